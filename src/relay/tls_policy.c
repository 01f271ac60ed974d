/* Why: tls_policy.h. Source: SSL_CTX_set_options(3), SSL_CTX_set_mode(3), OPENSSL_init_crypto(3).
 * SPDX-License-Identifier: ISC */
#include "relay/tls_policy.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "base/log.h"

#define CIPHERS                                                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERSUITES   "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS         "X25519:P-256:P-384"
#define GROUPS_HYBRID  "X25519MLKEM768:" GROUPS /* known from OpenSSL 3.5 on */
#define SECURITY_LEVEL 2                        /* 112 bits */
#define VERIFY_DEPTH   5
#define CLIENT_CHAIN_MOST                                                                          \
	(48 << 10) /* bytes; less than what may be read before the handshake is over */

/* An RSA key of 2,048 bits takes 2 KiB of it. More than the system lets us lock is not locked. */
#define LOCKED_SIZE  (8u << 20)
#define LOCKED_LEAST 32

void tls_library_begin(void)
{
	if (!OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		fatal("OpenSSL cannot start: %s", tls_fault_reason());
	if (!CRYPTO_secure_malloc_initialized() &&
	    !CRYPTO_secure_malloc_init(LOCKED_SIZE, LOCKED_LEAST))
		fatal("no memory for keys");
	ERR_clear_error();
}

bool tls_library_is_full(void)
{
	return CRYPTO_secure_used() > LOCKED_SIZE / 4 * 3;
}

static int oldest_version(const struct tls_config *tls)
{
	if (tls->min_version == TLS_VERSION_13)
		return TLS1_3_VERSION;
	if (tls->min_version == TLS_VERSION_12)
		return TLS1_2_VERSION;
	return tls->policy == TLS_MODERN ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static void set_rules(SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_security_level(ssl_ctx, SECURITY_LEVEL);
	SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(ssl_ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ssl_ctx, 0);
	SSL_CTX_set_recv_max_early_data(ssl_ctx, 0);
	SSL_CTX_set_max_cert_list(ssl_ctx, CLIENT_CHAIN_MOST);
	SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A record's head and body by one call to the system. */
	SSL_CTX_set_read_ahead(ssl_ctx, 1);
}

const char *tls_policy_ciphersuites(const struct tls_config *tls)
{
	return *tls->ciphersuites ? tls->ciphersuites : CIPHERSUITES;
}

/* "@SECLEVEL=0" in a list of ciphers would undo the security level. */
static bool set_ciphers(SSL_CTX *ssl_ctx, const struct tls_config *tls, struct tls_fault *fault)
{
	if (strchr(tls->ciphers, '@'))
		return tls_fault_set(fault, "ciphers", 0,
				     "ciphers takes names of ciphers only, not @ commands");
	if (!SSL_CTX_set_cipher_list(ssl_ctx, *tls->ciphers ? tls->ciphers : CIPHERS))
		return tls_fault_set(fault, "ciphers", 0,
				     "ciphers names no cipher that OpenSSL has: %s",
				     tls_fault_reason());
	if (!SSL_CTX_set_ciphersuites(ssl_ctx, tls_policy_ciphersuites(tls)))
		return tls_fault_set(fault, "ciphersuites", 0,
				     "ciphersuites has a name that OpenSSL does not know: %s",
				     tls_fault_reason());
	return true;
}

static bool set_groups(SSL_CTX *ssl_ctx, const struct tls_config *tls, struct tls_fault *fault)
{
	if (*tls->groups) {
		if (SSL_CTX_set1_groups_list(ssl_ctx, tls->groups))
			return true;
		return tls_fault_set(fault, "groups", 0,
				     "groups has a name that OpenSSL does not know: %s",
				     tls_fault_reason());
	}
	if (SSL_CTX_set1_groups_list(ssl_ctx, GROUPS_HYBRID) ||
	    SSL_CTX_set1_groups_list(ssl_ctx, GROUPS)) {
		ERR_clear_error();
		return true;
	}
	return tls_fault_set(fault, "groups", 0, "OpenSSL lacks %s", GROUPS);
}

SSL_CTX *tls_policy_context(const struct tls_config *tls, struct tls_fault *fault)
{
	SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_server_method());

	if (!ssl_ctx)
		fatal("no TLS context: %s", tls_fault_reason());
	set_rules(ssl_ctx);
	if (SSL_CTX_set_min_proto_version(ssl_ctx, oldest_version(tls)) &&
	    set_ciphers(ssl_ctx, tls, fault) && set_groups(ssl_ctx, tls, fault))
		return ssl_ctx;
	SSL_CTX_free(ssl_ctx);
	return NULL;
}

X509_STORE *tls_policy_authorities(const struct tls_config *tls,
				   const struct tls_material *material)
{
	X509_STORE *store;

	if (tls->verify == TLS_VERIFY_OFF)
		return NULL;
	store = X509_STORE_new();
	if (!store)
		fatal("out of memory");
	for (int i = 0; i < sk_X509_num(material->authorities); i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(material->authorities, i)))
			fatal("out of memory");
	for (int i = 0; i < sk_X509_CRL_num(material->crls); i++)
		if (!X509_STORE_add_crl(store, sk_X509_CRL_value(material->crls, i)))
			fatal("out of memory");
	if (material->crls)
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return store;
}

void tls_policy_verify(SSL_CTX *ssl_ctx, const struct tls_config *tls,
		       const struct tls_material *material, X509_STORE *authorities)
{
	int mode = SSL_VERIFY_PEER;

	if (!authorities)
		return;
	if (tls->verify == TLS_VERIFY_REQUIRE)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ssl_ctx, mode, NULL);
	SSL_CTX_set_verify_depth(ssl_ctx, VERIFY_DEPTH);
	SSL_CTX_set1_cert_store(ssl_ctx, authorities);
	for (int i = 0; i < sk_X509_num(material->authorities); i++)
		if (!SSL_CTX_add_client_CA(ssl_ctx, sk_X509_value(material->authorities, i)))
			fatal("out of memory");
}

bool tls_policy_use(SSL_CTX *ssl_ctx, const struct tls_certificate *certificate,
		    struct tls_fault *fault)
{
	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(ssl_ctx, certificate->leaf, certificate->key,
				     certificate->chain, 1) == 1)
		return true;
	return tls_fault_set(fault, tls_file_option(&certificate->file),
			     tls_file_item(&certificate->file), "%s cannot be used: %s",
			     certificate->file.path, tls_fault_reason());
}
