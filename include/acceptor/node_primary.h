/* Why: plays the primary of Node's cluster module for the workers of one pool, so that an
 * unmodified Node application believes that it runs under `cluster`. Knows which servers the
 * applications of the pool opened, which listeners feed them, and which worker serves which.
 * Source: Node's lib/internal/cluster/{child,primary,round_robin_handle,shared_handle}.js, Node
 * 12-25.
 *
 * A server (node_server.h) gets its clients from the first of these that there is:
 *   1. listeners of [listen] sections whose app_port is the port asked for;
 *   2. listeners of sections of which one listens on that very port (or path); all binds of a
 * section go together;
 *   3. for a TCP server: all listeners of sections that nobody asked for yet and that name no
 * app_port ("virtual port"). A later server that asks for the very port of such a section takes it
 * over: an exact answer beats a guess;
 *   4. a port, path or descriptor that the supervisor opens for it, where the pool's adopt_ports is
 * on. Otherwise the application gets EACCES, and the log says what to write. Listeners of another
 * server that is in use give EADDRINUSE.
 *
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_NODE_PRIMARY_H
#define ACCEPTOR_NODE_PRIMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "acceptor/node_server.h"
#include "acceptor/seat.h"
#include "wire/message.h"
#include "wire/node_ipc.h"

struct node_primary;

/* What it needs from the acceptor: send a message to the supervisor (OPEN, KEEP). */
typedef void node_primary_sender(const struct message *message, void *arg);

/* For a pool of delivery node. */
struct node_primary *node_primary_new(const struct pool_config *pool, uint64_t incarnation,
				      node_primary_sender *sender, void *arg);
void node_primary_free(struct node_primary **primary);

/* A listener of this pool (from a [listen] section or opened on request) exists now. For
 * LISTENER_SHARED `*fd` is the socket to give away, and is taken. Answers the workers that wait for
 * it. */
void node_primary_listener(struct node_primary *primary, const struct message_listener *listener,
			   const struct listen_config *config, int *fd);
void node_primary_open_failed(struct node_primary *primary,
			      const struct message_open_failed *failed);

/* What a predecessor asked to keep (MESSAGE_KEEP), replayed after the listeners and before the
 * links. */
void node_primary_kept(struct node_primary *primary, const struct message_keep *keep);

/* For node_seat.c, the workers' side. */

/* A worker asks for a server: it is answered by node_seat_serve or node_seat_refuse, at once or
 * when the supervisor has spoken. May take message->data. */
void node_primary_ask(struct node_primary *primary, struct seat *seat,
		      struct node_message *message);

/* A server was opened or closed in a worker: counted, and kept for a successor where `is_news`. */
void node_primary_opened(struct node_primary *primary, const struct seat *seat,
			 struct node_server *server, bool is_news);
void node_primary_closed(struct node_primary *primary, const struct seat *seat,
			 struct node_server *server, bool is_news);

/* The worker was told to disconnect: kept, since a second time would end it at once. */
void node_primary_told_to_leave(struct node_primary *primary, const struct seat *seat);

/* What a predecessor knew of this worker: calls node_seat_restore for each server that is open in
 * it. true: it was told to disconnect already. */
bool node_primary_restore(struct node_primary *primary, struct seat *seat);

/* Its questions need no answer any more. */
void node_primary_forget_seat(struct node_primary *primary, const struct seat *seat);

/* Which server gets the clients of a listener; NULL: none. Called per connection: no allocation,
 * O(log listeners). */
struct node_server *node_primary_fed_by(const struct node_primary *primary, uint32_t listener);

#endif
