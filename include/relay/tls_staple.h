/* Why: a staple spares clients a question to the authority, but one that is old, of another
 * certificate or not signed by the authority makes them refuse us. Source: RFC 6066 8, RFC 6960.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_STAPLE_H
#define RELAY_TLS_STAPLE_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "relay/tls_certificate.h"

struct tls_staple;

/* NULL with the end of a sentence: it must not be sent. */
struct tls_staple *tls_staple_new(const struct tls_bytes *der, const char *path,
				  const struct tls_certificate *certificate, struct error *e);
void tls_staple_free(struct tls_staple **staple);

/* It must outlive the use of `ssl_ctx`. */
void tls_staple_install(struct tls_staple *staple, SSL_CTX *ssl_ctx);

#endif
