/* Why: some listeners' clients begin with words that are not for the worker: a PROXY protocol
 * header that says who they are, or (tls_passthrough) a TLS ClientHello whose server name decides
 * the pool. Both are read before the client is placed, the same for acceptor and relay: exactly, so
 * that no byte behind them is taken from the socket that the worker gets, and within a deadline
 * that counts from accept.
 *
 *   WAITING ──header whole──► (HELLO ──name seen──►) done: handler(client)
 *      └── wrong, not trusted, too late, gone ──► client_end(END_...)
 *
 * SPDX-License-Identifier: ISC */
#ifndef FRONT_GREETING_H
#define FRONT_GREETING_H

#include <event2/event.h>

#include "front/client.h"
#include "front/door.h"

struct greeting_desk;

/* `handler` owns every client that has passed (with client->peer, client->passport and client->pool
 * set by what was read). */
struct greeting_desk *greeting_desk_new(struct event_base *base, door_handler *handler, void *arg);

/* Clients that still wait are ended with END_SHUTDOWN. */
void greeting_desk_free(struct greeting_desk **desk);

/* A door_handler: `desk` is its arg. Clients of listeners that expect no words pass at once,
 * without a system call. */
void greeting_take(struct client *client, void *desk);

unsigned greeting_count(const struct greeting_desk *desk); /* clients that wait */

#endif
