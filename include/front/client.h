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

struct door_listener;

struct client {
	TAILQ_ENTRY(client) link; /* in the one queue that holds it */
	struct door_listener *listener;
	uint64_t key;        /* affinity */
	uint64_t id;         /* of its present delivery; 0: not sent */
	int64_t accepted_us; /* monotonic; set by the door, whose clock is read once per burst */
	int64_t deadline_ms; /* end of holding; fixed when it is first placed, 0 before */
	int64_t sent_ms;     /* of the present delivery */
	struct peer peer;
	int fd;            /* non-blocking, close-on-exec */
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

/* Clients in our hands now. */
unsigned client_count(void);

#endif
