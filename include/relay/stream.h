/* Why: one relayed connection, from the moment that its client has said who he is to its one end.
 *
 *   (SHAKING ──TLS handshake over──►) CHOOSING ──slot──► CONNECTING ──accepted──► FLOWING ──► end
 *                                        │  ▲               │ refused, late: next slot
 *                                        ▼  │ opened        │
 *                                        HELD ◄─────────────┘ none now, but soon (queue_timeout)
 *   or, for pools that get sockets: SHAKING ──► GIVING ──acceptor has one end of a pair──► FLOWING
 *
 * FLOWING ──one side was reset──► BREAKING: the other has got what came before, then a reset: end.
 * All moves are made by stream_move. SPDX-License-Identifier: ISC */
#ifndef RELAY_STREAM_H
#define RELAY_STREAM_H

#include <event2/event.h>

#include "front/client.h"
#include "relay/tls.h"
#include "relay/upstream.h"

struct streams;

/* All streams of this process. `tls` may be NULL where no section is used; `number` is the relay's,
 * for the unique ids of send_proxy. */
struct streams *streams_new(struct event_base *base, const struct config *config,
			    struct upstreams *upstreams, struct tls_store *tls, uint32_t number);
void streams_free(struct streams **streams); /* all end with END_SHUTDOWN */

/* The greeting desk's handler: owns the client. arg is the struct streams. */
void stream_begin(struct client *client, void *streams);

/* The link to the acceptor (GIFTS); takes *fd, replaces the one before. */
void streams_gifts(struct streams *streams, int *fd);

void streams_opened(void *streams); /* an upstream_opened */
unsigned streams_count(const struct streams *streams);

/* Draining: told once; `idle` is called when none is left. */
void streams_stop(struct streams *streams, void (*idle)(void *arg), void *arg);

#endif
