/* Why: the server name that a client sends is hostile text, and names of certificates come from
 * others too; both are taken only as what they should be, and compared in one form. Source: RFC
 * 6066 3, RFC 6125 6.4.3, RFC 952. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_NAME_H
#define RELAY_TLS_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define TLS_NAME_SIZE 254 /* the longest name, and NUL */

/* Letters, digits and hyphens in labels of at most 63, lower-cased; where `wildcard`, the first
 * label may be "*" and another must follow. false and "": anything else. */
bool tls_name_read(const void *text, size_t length, bool wildcard, char name_r[TLS_NAME_SIZE]);

/* Names and the number that belongs to each; looked up by bisection. */
struct tls_name_index {
	struct tls_name_entry {
		char *name;
		size_t number;
	} * entries;
	size_t count, size;
};

void tls_name_index_add(struct tls_name_index *index, const char *name, size_t number);
/* By name, then by number; needed before the search. */
void tls_name_index_sort(struct tls_name_index *index);
/* The exact name, else the one whose "*" stands for the first label. false: there is none. */
bool tls_name_index_find(const struct tls_name_index *index, const char *name, size_t *number_r);
void tls_name_index_free(struct tls_name_index *index);

#endif
