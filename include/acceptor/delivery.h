/* Why: decides which worker gets a client, holds clients whose worker is not there, and sends again
 * what a dead worker had not acknowledged. A client is never with two workers: it is sent again
 * only after the process that may have it was reaped, and never after an acknowledgement.
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_DELIVERY_H
#define ACCEPTOR_DELIVERY_H

#include <event2/event.h>
#include <stdbool.h>

#include "acceptor/node_primary.h"
#include "acceptor/seat.h"
#include "front/route.h"

/* All pools of the acceptor. */
struct delivery_pool {
	const struct pool_config *config;
	struct route route;
	struct seat *seats;
	size_t seat_count;         /* config->locals; 0: reached by proxying, not by us */
	struct node_primary *node; /* NULL for fd pools */
	struct client_queue held;  /* waiting for any seat */
	unsigned held_count;
};
struct delivery {
	struct event_base *base;
	struct delivery_pool *pools;
	size_t pool_count;
	struct event *tick; /* runs while somebody waits */
	struct gather *gather;
	struct message_tickets tickets; /* for workers that end TLS by themselves */
	uint64_t incarnation;
	bool stopping; /* draining: clients that nobody can take are not held longer than they must
			*/
	node_primary_sender *sender; /* to the supervisor */
	void *sender_arg;
	void *idle_arg;
	void (*idle)(void *arg); /* called by the tick when stopping and nobody waits or is
				    unacknowledged any more */
};

struct delivery *delivery_new(struct event_base *base, const struct config *config, uint64_t seed,
			      uint64_t incarnation, node_primary_sender *sender, void *arg);
void delivery_free(struct delivery **delivery);

struct seat *delivery_seat(struct delivery *delivery, uint32_t pool,
			   uint32_t slot); /* NULL: no such slot */

/* The door's handler: owns the client from here. */
void delivery_take(struct client *client, void *delivery);

/* Words of the supervisor. */
void delivery_slot_begin(struct delivery *delivery, const struct message_slot *slot, int *link);
void delivery_slot_state(struct delivery *delivery, const struct message_slot_state *state);
void delivery_slot_end(struct delivery *delivery, const struct message_slot_end *end);
void delivery_tickets(struct delivery *delivery, const struct message_tickets *tickets);

/* A seat can take clients (again), or a server of a Node worker opened: clients that wait are tried
 * anew. */
void delivery_seat_opened(struct seat *seat);
/* A seat takes no clients any more: those that wait for it go elsewhere. */
void delivery_seat_closed(struct seat *seat);
/* A client comes back from a seat (refused, lost, expired, orphaned): goes to the next slot or is
 * held. */
void delivery_again(struct seat *from, struct client *client);

void delivery_stop(struct delivery *delivery, void (*idle)(void *arg), void *arg);
unsigned delivery_unfinished(const struct delivery *delivery);

/* The supervisor is gone: every worker is told to finish its clients and go. */
void delivery_drain_all(struct delivery *delivery);
unsigned delivery_links(const struct delivery *delivery); /* links that are still open */

#endif
