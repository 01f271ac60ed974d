/* Why: a certificate may be well-formed, belong to its key and still fail with each client (a kind
 * of signature that no group or cipher here goes with); it is better to find out before the old one
 * is given up. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_REHEARSAL_H
#define RELAY_TLS_REHEARSAL_H

#include "config/config.h"
#include "relay/tls_certificate.h"
#include "relay/tls_fault.h"

struct tls_rehearsal;

/* The two sides, by the rules of a section. NULL with a fault that blames one of its options. */
struct tls_rehearsal *tls_rehearsal_new(const struct tls_config *tls, struct tls_fault *fault);
void tls_rehearsal_free(struct tls_rehearsal **rehearsal);

/* A handshake in memory with this certificate alone. */
bool tls_rehearsal_try(struct tls_rehearsal *rehearsal, const struct tls_certificate *certificate,
		       struct tls_fault *fault);

#endif
