{{- define "storeplane.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{ include "storeplane.podLabels" . }}
{{- end }}

{{- define "storeplane.podLabels" -}}
{{ include "storeplane.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Takes (dict "root" $ "name" SERVICE). The release is left out, so that services deployed by
releases of their own in one namespace still find each other. */}}
{{- define "storeplane.selector" -}}
app.kubernetes.io/part-of: storeplane
app.kubernetes.io/name: {{ .name }}
{{- end }}

{{/* A service's settings over the defaults, as YAML. Takes (dict "root" $ "name" SERVICE). */}}
{{- define "storeplane.settings" -}}
{{- $own := index .root.Values.services .name }}
{{- mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy $own) | toYaml }}
{{- end }}

{{/* Takes (dict "root" $ "own" IMAGE-FIELDS). */}}
{{- define "storeplane.image" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (deepCopy (.own | default dict)) }}
{{- $name := $image.repository }}
{{- with $image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if $image.digest }}{{ printf "%s@%s" $name $image.digest }}{{ else }}{{ printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion) }}{{ end }}
{{- end }}

{{- define "storeplane.pullPolicy" -}}
{{- (mergeOverwrite (deepCopy .root.Values.image) (deepCopy (.own | default dict))).pullPolicy }}
{{- end }}

{{- define "storeplane.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "storeplane.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  {{- toYaml . | nindent 2 }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "storeplane.podDisruptionBudgetVersion" -}}
{{- if and (.Capabilities.APIVersions.Has "policy/v1") (semverCompare ">=1.21.0-0" .Capabilities.KubeVersion.Version) -}}
policy/v1
{{- else -}}
policy/v1beta1
{{- end }}
{{- end }}

{{/* Environment that is no secret, of one service. Takes (dict "root" $ "name" SERVICE "settings" MAP). */}}
{{- define "storeplane.environment" -}}
{{- $ports := .root.Values.ports }}
{{- $all := dict "ADMIN_ADDRESS" (printf "0.0.0.0:%d" (int $ports.admin)) "TLS_CERTIFICATE_FILE" "/etc/storeplane/tls/tls.crt" "TLS_KEY_FILE" "/etc/storeplane/tls/tls.key" "TLS_CA_FILE" "/etc/storeplane/tls/ca.crt" }}
{{- if eq .name "gateway" }}
{{- $_ := set $all "LISTEN_ADDRESS" (printf "0.0.0.0:%d" (int $ports.http)) }}
{{- else }}
{{- $_ := set $all "LISTEN_ADDRESS" (printf "0.0.0.0:%d" (int $ports.grpc)) }}
{{- $_ := set $all "CALLER_KEYS_FILE" "/etc/storeplane/caller-keys/caller-keys.json" }}
{{- end }}
{{- range .settings.calls }}
{{- $address := index $.root.Values.externalServices . | default (printf "%s:%d" . (int $ports.grpc)) }}
{{- $_ := set $all (printf "%s_ADDRESS" (upper .)) $address }}
{{- end }}
{{- mergeOverwrite $all (deepCopy .root.Values.env) (deepCopy .settings.env) | toYaml }}
{{- end }}
