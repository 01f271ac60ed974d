/* Why: key -> slot, the same decision in every role that takes clients in. What a slot may take now
 * is the caller's knowledge; the order of preference is ours. SPDX-License-Identifier: ISC */
#ifndef FRONT_ROUTE_H
#define FRONT_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "base/rendezvous.h"
#include "config/config.h"
#include "front/client.h"

/* The slots of one pool as candidates. Local ones are known by their numbers from the start, places
 * of server lines are absent until route_set says otherwise. */
struct route {
	const struct pool_config *pool;
	struct rendezvous *candidates;
	bool *absent; /* no such slot now: in nobody's ranking */
	bool *skip;
	size_t count;
	uint64_t seed;
	uint64_t serial; /* stands for the address of clients that have none (UNIX sockets) */
};

void route_begin(struct route *route, const struct pool_config *pool, uint64_t seed);
void route_end(struct route *route);

/* A server's slot is there, known by `name`; NULL: it is not there any more. */
void route_set(struct route *route, size_t slot, const char *name, double weight);

uint64_t route_key(struct route *route, const struct peer *peer);

/* Walks the ranking of the key: asks `admits` of each slot in turn until one says yes, and returns
 * it, or RENDEZVOUS_NONE. *rank_r is its place (0: first choice). Slots of weight 0 come last, in
 * their order. */
size_t route_choose(struct route *route, uint64_t key, bool (*admits)(size_t slot, void *arg),
		    void *arg, size_t *rank_r);

#endif
