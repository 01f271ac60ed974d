/* Why: the files of a section come one by one and count only together. SPDX-License-Identifier: ISC
 */
#ifndef RELAY_TLS_MATERIAL_H
#define RELAY_TLS_MATERIAL_H

#include "relay/tls_certificate.h"

struct tls_material {
	struct tls_certificate *certificates; /* pairs first, then those of the directory */
	size_t count;
	STACK_OF(X509) * authorities; /* of clients; NULL: none */
	STACK_OF(X509_CRL) * crls;    /* NULL: none */
	struct tls_bytes staple;      /* length 0: none */
	struct message_tls_file authorities_file, crls_file, staple_file;
	bool is_bad; /* a file could not be used: `fault` says which */
	struct tls_fault fault;
};

struct tls_material *tls_material_new(void);
void tls_material_free(struct tls_material **material);

/* Reads and closes *fd. What is wrong is remembered (the first of several faults). Certificates and
 * keys whose bytes have not changed since `before` (may be NULL) are shared with it: to read a key
 * takes OpenSSL a millisecond, and a directory may have a thousand. */
void tls_material_add(struct tls_material *material, const struct tls_material *before,
		      const struct message_tls_file *file, int *fd);

/* All there, and every certificate good. */
bool tls_material_check(const struct tls_material *material, struct tls_fault *fault);

#endif
