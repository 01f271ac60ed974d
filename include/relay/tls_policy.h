/* Why: what is never negotiated (old versions, weak ciphers, renegotiation, compression, early
 * data) is said in one place and holds for every context. Source: RFC 9325; Mozilla's Server Side
 * TLS 5.8. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_POLICY_H
#define RELAY_TLS_POLICY_H

#include <openssl/ssl.h>

#include "config/config.h"
#include "relay/tls_fault.h"
#include "relay/tls_material.h"

/* Once per process, before anything else of OpenSSL: no openssl.cnf, and locked memory for keys. */
void tls_library_begin(void);
/* Locked memory is nearly full: the next key, or handshake, might find none. */
bool tls_library_is_full(void);

/* A server context with the section's versions, ciphers and groups, without certificates and
 * callbacks. NULL with a fault that blames the option. */
SSL_CTX *tls_policy_context(const struct tls_config *tls, struct tls_fault *fault);

/* Cipher suites of TLS 1.3 that the section allows, in OpenSSL's form. */
const char *tls_policy_ciphersuites(const struct tls_config *tls);

/* Client certificates: what they are checked against, shared by all contexts of a section. NULL
 * where the section asks for none. */
X509_STORE *tls_policy_authorities(const struct tls_config *tls,
				   const struct tls_material *material);
void tls_policy_verify(SSL_CTX *ssl_ctx, const struct tls_config *tls,
		       const struct tls_material *material, X509_STORE *authorities);

/* One host's certificate, key and chain. */
bool tls_policy_use(SSL_CTX *ssl_ctx, const struct tls_certificate *certificate,
		    struct tls_fault *fault);

#endif
