/* Why: the part of the store that the other files of TLS need. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_STORE_H
#define RELAY_TLS_STORE_H

#include "relay/tls.h"
#include "relay/tls_context.h"

/* tls_store_load with a fault that can be blamed on a line. */
bool tls_store_build(struct tls_store *store, size_t tls, struct tls_fault *fault, char *warning,
		     size_t size);

/* What the section serves now; NULL: nothing. The store's: a connection holds it. */
struct tls_context *tls_store_context(const struct tls_store *store, size_t tls);

#endif
