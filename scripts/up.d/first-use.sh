# shellcheck shell=bash disable=SC2154 # variables are shared with scripts/up
# The administrator and the first tenant. Each step changes nothing when it was done before.

make_administrator() {
  local output
  output=$(login password | setup run gateway create-admin \
    --username "$(login username)" --tenant "$(login tenant)" 2>&1) || {
    printf '%s\n' "$output" >&2
    fail "the administrator could not be made"
  }
}

make_tenant() {
  local answer token
  answer=$(login_body | ask_gateway v1/auth/login)
  [[ $answer == *$'\n'200 ]] ||
    fail "the administrator of $state/admin-login cannot sign in: $answer" \
      "Put the password of user $(login username) into that file."
  token=$(sed -n 's/.*"accessToken": *"\([^"]*\)".*/\1/p' <<<"$answer")
  [[ -n $token ]] || fail "the gateway's answer to the login has no access token"
  answer=$(printf '{"tenant":"%s"}' "$(login tenant)" | ask_gateway v1/tenants "$token")
  case ${answer##*$'\n'} in
    200 | 409) ;; # 409: it exists
    *) fail "the tenant $(login tenant) could not be made: $answer" ;;
  esac
}

login_body() {
  printf '{"username":"%s","password":"%s"}' "$(login username)" "$(login password)"
}

# ask_gateway PATH [TOKEN] <BODY: prints the answer and, on a line of its own, its status. Neither the
# body nor the token is an argument of a program, which others could see.
ask_gateway() {
  curl -sS --max-time 30 --header 'content-type: application/json' \
    --header @<(printf '%s' "${2:+authorization: Bearer $2}") \
    --data-binary @- --write-out '\n%{http_code}' "$(url_of_gateway)/$1" ||
    fail "the gateway does not answer at $(url_of_gateway)"
}
