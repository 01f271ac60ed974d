/* Why: a session may be resumed only where everything that its full handshake proved would be
 * asked and shown in the same way: this is that "everything" as one number. Source: RFC 8446
 * 4.2.11; CVE-2025-23419. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_IDENTITY_H
#define RELAY_TLS_IDENTITY_H

#include "config/config.h"
#include "relay/tls_material.h"
#include "relay/tls_ticket.h"

/* SHA-256 of the section's name and rules, the authorities and revocation lists of clients, and the
 * host's certificates (`members`, indices of the material's). */
void tls_identity_of_host(const struct tls_config *tls, const struct tls_material *material,
			  const size_t *members, size_t count, uint8_t out[TLS_IDENTITY_SIZE]);

/* Of one server name of a host. */
void tls_identity_of_name(const uint8_t *host, const char *name, uint8_t out[TLS_IDENTITY_SIZE]);

#endif
