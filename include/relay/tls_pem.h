/* Why: a PEM file may hold certificates, a private key, revocation lists and more, in any order;
 * the bytes of a key must not be left behind in memory that is given back. Source: RFC 7468.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_PEM_H
#define RELAY_TLS_PEM_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The whole of a file. A secret one is in locked memory that core dumps leave out, where the system
 * allows, and is wiped when freed. */
struct tls_bytes {
	unsigned char *data;
	size_t length, size;
	bool secret;
};

/* Reads a regular file from its start; the descriptor's own offset is not used, since others may
 * share it. false with the end of a sentence ("cannot be read: ..."). */
bool tls_bytes_read(int fd, bool secret, struct tls_bytes *bytes_r, struct error *e);
void tls_bytes_free(struct tls_bytes *bytes);

struct tls_pem {
	STACK_OF(X509) * certificates; /* in their order; never NULL */
	STACK_OF(X509_CRL) * crls;
	EVP_PKEY *key; /* NULL: none; only looked for in secret bytes */
};

/* false with the end of a sentence; then there is nothing to free. */
bool tls_pem_parse(const struct tls_bytes *bytes, struct tls_pem *pem_r, struct error *e);
void tls_pem_free(struct tls_pem *pem);

#endif
