/* Why: one accepted connection while it is in our hands. It begins in door.c and ends in
 * client_end, nowhere else.
 *
 *   door.c     client_begin    accepted; limits passed
 *   route.c    key, ranking    which slot
 *   delivery.c HELD -> SENT -> (HELD ->) ... -> client_end(END_HANDED_OVER | other)
 *
 * Clients come from a pool: nothing is allocated per connection once it has grown.
 * SPDX-License-Identifier: ISC */
#ifndef FRONT_CLIENT_H
#define FRONT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"
#include "wire/end_table.h"
#include "wire/passport.h"

struct door_listener;
struct stream;

struct client {
	TAILQ_ENTRY(client) link; /* in the one queue that holds it */
	struct door_listener *listener;
	struct passport *passport; /* ours; NULL: the socket tells its own story */
	uint64_t key;              /* affinity */
	union {
		uint64_t id;           /* acceptor: of its present delivery; 0: not sent */
		struct stream *stream; /* relay: what it has become */
	};
	int64_t accepted_us; /* monotonic; set by the door, whose clock is read once per burst */
	int64_t deadline_ms; /* acceptor: end of holding, fixed when it is first placed, 0 before;
				relay: when it is looked at again, 0: never */
	union {
		int64_t sent_ms;  /* acceptor: of the present delivery */
		int64_t moved_ms; /* relay: the last byte; before the first: end of holding, or 0 */
	};
	struct peer peer;
	int fd;            /* non-blocking, close-on-exec */
	uint32_t pool;     /* index: that of the listener, or what sni said */
	bool rerouted;     /* counted as such already */
	uint16_t refusals; /* workers that refused it so far */
};
TAILQ_HEAD(client_queue, client);

/* Takes *fd (left -1). Never NULL. `listener` needs no door (door NULL): then nothing is limited.
 */
struct client *client_begin(int *fd, struct door_listener *listener, const struct peer *peer);

/* The one exit: closes our copy of the socket, counts and logs the reason, tells the listener, and
 * gives the struct back. *client becomes NULL. */
void client_end(struct client **client, enum end_reason reason);

/* The same; `why` says in the log what exactly was wrong. May hold foreign bytes. */
void client_end_because(struct client **client, enum end_reason reason, const char *why);

/* The client's passport, a fresh one (its addresses not known) where it had none. */
struct passport *client_passport(struct client *client);

/* Clients in our hands now. */
unsigned client_count(void);

#endif
