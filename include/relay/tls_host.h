/* Why: certificates of different kinds (ECDSA, RSA) may stand for one name, and one certificate for
 * many names; a handshake needs the set that belongs to the name that the client asks for.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_HOST_H
#define RELAY_TLS_HOST_H

#include <openssl/ssl.h>

#include "relay/tls_material.h"
#include "relay/tls_name.h"
#include "relay/tls_ticket.h"

#define TLS_HOST_KINDS 5 /* RSA, RSA-PSS, ECDSA, Ed25519, Ed448 */

/* A set of certificates; all names with the same set share it. */
struct tls_host {
	size_t members[TLS_HOST_KINDS]; /* indices of the material's, one of each kind */
	size_t member_count;
	uint8_t identity[TLS_IDENTITY_SIZE]; /* what follows is the context's, ... */
	SSL_CTX *ssl_ctx;                    /* ... and made at the first use; NULL before */
	struct tls_ring *ring;
};

struct tls_hosts {
	struct tls_host *items; /* the first is for clients that name none of ours */
	size_t count;
	struct tls_name_index index;
};

/* The material has at least one certificate, and all are checked. */
void tls_hosts_group(struct tls_hosts *hosts, const struct tls_material *material);
void tls_hosts_free(struct tls_hosts *hosts);

#endif
