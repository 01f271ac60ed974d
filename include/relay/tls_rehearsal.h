/* Why: a certificate may be well-formed, belong to its key and still fail with each client (a kind
 * of signature that no group or cipher here goes with); it is better to find out before the old one
 * is given up. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_REHEARSAL_H
#define RELAY_TLS_REHEARSAL_H

#include "config/config.h"
#include "relay/tls_certificate.h"
#include "relay/tls_fault.h"

/* A handshake in memory with this certificate alone, by the rules of its section. */
bool tls_rehearse(const struct tls_config *tls, const struct tls_certificate *certificate,
		  struct tls_fault *fault);

#endif
