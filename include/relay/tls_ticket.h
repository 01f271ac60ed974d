/* Why: a session ticket lets its holder in again without a handshake's proofs. So it may be used
 * only where it was given: the keys that seal it are made from the shared ones and an identity
 * (policy, authorities, certificates), the session id context binds the server's name too, and the
 * time of the first handshake travels inside, so that renewal does not prolong it. All relays share
 * the keys, and so do a relay and its successor. Source: RFC 5077, RFC 8446 4.6.1, RFC 5869.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_TICKET_H
#define RELAY_TLS_TICKET_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

#define TLS_IDENTITY_SIZE   32
#define TLS_TICKET_LIFETIME (12 * 3600) /* seconds since the full handshake */

/* The keys of this process. */
struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);
struct tls_tickets *tls_tickets_hold(struct tls_tickets *tickets); /* one more owner */
void tls_tickets_release(struct tls_tickets **tickets);
void tls_tickets_set(struct tls_tickets *tickets, const struct message_tickets *message);
bool tls_tickets_usable(const struct tls_tickets *tickets); /* there is a key to seal with */

/* What one SSL_CTX makes of them. */
struct tls_ring;

/* Installs itself in `ssl_ctx` (whose app data it takes) and must outlive its use. */
struct tls_ring *tls_ring_new(struct tls_tickets *tickets, const uint8_t *identity,
			      SSL_CTX *ssl_ctx);
void tls_ring_free(struct tls_ring **ring);

#endif
