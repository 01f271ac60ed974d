/* Why: what is wrong with a [tls] section is found deep in its material, and told with the line
 * that named it. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_FAULT_H
#define RELAY_TLS_FAULT_H

#include <stddef.h>

#include "base/error.h"

struct tls_fault {
	struct error error;
	const char *option; /* of the section; NULL: the section itself */
	size_t item;        /* which of its lines */
};

/* Always false, so that a function can end with it. */
#define tls_fault_set(fault, name, index, ...)                                                     \
	((fault)->option = (name), (fault)->item = (index), error_set(&(fault)->error, __VA_ARGS__))

/* OpenSSL's first word on what failed last, for the end of a sentence; its queue is empty then.
 * Valid until the next call. */
const char *tls_fault_reason(void);

#endif
