/* Why: everything that the handshakes of a section use, built whole and never changed: a reload
 * makes another one, and connections keep theirs until they end. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_CONTEXT_H
#define RELAY_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/tls_fault.h"
#include "relay/tls_material.h"
#include "relay/tls_ticket.h"

struct tls_context;

/* Takes the material, also when it fails: NULL with a fault. Certificates that `before` (may be
 * NULL) has too are not rehearsed again. `warning` gets what a person should know, or "". */
struct tls_context *tls_context_new(const struct tls_config *tls, struct tls_material **material,
				    struct tls_tickets *tickets, const struct tls_context *before,
				    struct tls_fault *fault, char *warning, size_t size);
struct tls_context *tls_context_hold(struct tls_context *context);
void tls_context_release(struct tls_context **context);

/* A connection of it; it holds the context for as long as it lives. */
SSL *tls_context_connection(struct tls_context *context);

const struct tls_material *tls_context_material(const struct tls_context *context);
int64_t tls_context_expires(const struct tls_context *context); /* earliest notAfter */
size_t tls_context_hosts(const struct tls_context *context);    /* sets of certificates */

#endif
