/* Why: a certificate is of use only with its key, the certificates behind it and the names that it
 * stands for. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_CERTIFICATE_H
#define RELAY_TLS_CERTIFICATE_H

#include <openssl/x509.h>
#include <stdint.h>

#include "relay/tls_fault.h"
#include "relay/tls_pem.h"
#include "wire/message.h"

#define TLS_FILE_DIGEST 32

struct tls_certificate {
	struct message_tls_file file, key_file; /* where they are from, for sentences */
	uint8_t digest[TLS_FILE_DIGEST], key_digest[TLS_FILE_DIGEST]; /* of the files' bytes */
	X509 *leaf;                                                   /* NULL: not come yet */
	STACK_OF(X509) * chain;                                       /* behind it; may be empty */
	EVP_PKEY *key;                                                /* NULL: not come yet */
	char **names; /* as tls_name_read gives them, "*." included */
	size_t name_count;
	int64_t from, until; /* validity, seconds since 1970 */
};

/* Takes certificates (and the key, where there is one) out of the parsed file. */
bool tls_certificate_take(struct tls_certificate *certificate, struct tls_pem *pem,
			  struct tls_fault *fault);
bool tls_certificate_take_key(struct tls_certificate *certificate, struct tls_pem *pem,
			      struct tls_fault *fault);
/* The same as another one has, from a file with the same bytes. */
void tls_certificate_share(struct tls_certificate *certificate,
			   const struct tls_certificate *other);
void tls_certificate_share_key(struct tls_certificate *certificate,
			       const struct tls_certificate *other);
void tls_certificate_clear(struct tls_certificate *certificate);

/* Whole, key and certificate belong together, and the key is strong enough. */
bool tls_certificate_check(const struct tls_certificate *certificate, struct tls_fault *fault);

/* What a person should know of it although it works: false and nothing written where all is well.
 */
bool tls_certificate_warning(const struct tls_certificate *certificate, int64_t now, char *out,
			     size_t size);

/* EVP_PKEY_RSA, EVP_PKEY_EC, ...: one certificate of each can stand for a name. */
int tls_certificate_type(const struct tls_certificate *certificate);
bool tls_certificate_has_name(const struct tls_certificate *certificate, const char *name);
bool tls_certificate_equal(const struct tls_certificate *a, const struct tls_certificate *b);

/* Of a file, as the option that names it. */
const char *tls_file_option(const struct message_tls_file *file);
size_t tls_file_item(const struct message_tls_file *file);

#endif
