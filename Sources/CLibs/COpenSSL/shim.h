// OpenSSL, with its function-like macros as functions, since Swift imports no macros of that kind.
#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline long storeplane_SSL_CTX_set_minimum_version(SSL_CTX *context, int version) {
  return SSL_CTX_set_min_proto_version(context, version);
}

// Every handshake is whole: no renegotiation (RFC 9113 section 9.2.1), no resumption, whose tickets and
// cached sessions cost memory and would outlive the check of the client's certificate.
static inline int storeplane_SSL_CTX_forbid_resumption(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return SSL_CTX_set_num_tickets(context, 0);
}

static inline long storeplane_SSL_CTX_set_mode(SSL_CTX *context, long mode) {
  return SSL_CTX_set_mode(context, mode);
}

static inline long storeplane_SSL_set_server_name(SSL *session, const char *name) {
  return SSL_set_tlsext_host_name(session, name);
}

static inline int storeplane_GENERAL_NAMES_count(const GENERAL_NAMES *names) {
  return sk_GENERAL_NAME_num(names);
}

static inline const GENERAL_NAME *storeplane_GENERAL_NAMES_get(const GENERAL_NAMES *names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}

static inline long storeplane_SSL_CTX_set_read_ahead(SSL_CTX *context, long enabled) {
  return SSL_CTX_set_read_ahead(context, enabled);
}

// X.509: composed flags.
static inline unsigned long storeplane_name_format_rfc2253(void) { return XN_FLAG_RFC2253; }
static inline int storeplane_name_string_utf8(void) { return MBSTRING_UTF8; }

// Calls with an OSSL_PARAM array, which keeps pointers to its names: only C's literals live on.
static inline int storeplane_hmac_sha256_init(
    EVP_MAC_CTX *context, const unsigned char *key, size_t key_length) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_init(context, key, key_length, parameters);
}

static inline int storeplane_scrypt(
    EVP_KDF_CTX *context, const void *password, size_t password_length, const void *salt,
    size_t salt_length, uint64_t n, uint32_t r, uint32_t p, uint64_t memory_max,
    unsigned char *output, size_t output_length) {
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(
          OSSL_KDF_PARAM_PASSWORD, (void *)password, password_length),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_max),
      OSSL_PARAM_construct_end(),
  };
  return EVP_KDF_derive(context, output, output_length, parameters);
}

// `point` is 4 | x | y, 65 bytes. NULL if it is not on the curve.
static inline EVP_PKEY *storeplane_p256_public_key(const unsigned char *point) {
  char group[] = "prime256v1";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, 65),
      OSSL_PARAM_construct_end(),
  };
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  return key;
}
