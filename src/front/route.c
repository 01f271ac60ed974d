/* Why: stickiness is one decision, made in one place by everybody who takes clients in. The order
 * of preference depends on the key, the seed and the slot's number only, never on who is up: so a
 * slot that was down gets back exactly the clients that it had.
 * SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/log.h"
#include "front/route.h"

/* A local slot is known by its number alone, not by its pool or machine, a server's by its name:
 * several Limpets with one seed decide alike. */
static uint64_t slot_hash(size_t slot, uint64_t seed)
{
	char name[24];

	snprintf(name, sizeof name, "%zu", slot);
	return rendezvous_name(name, seed);
}

void route_begin(struct route *route, const struct pool_config *pool, uint64_t seed)
{
	const size_t count = pool->slots;

	*route = (struct route){
		.pool = pool,
		.candidates = calloc(count, sizeof *route->candidates),
		.absent = calloc(count, sizeof *route->absent),
		.skip = calloc(count, sizeof *route->skip),
		.count = count,
		.seed = seed,
	};
	if (!route->candidates || !route->absent || !route->skip)
		fatal("out of memory");
	for (size_t slot = 0; slot < pool->locals; slot++)
		route->candidates[slot] = (struct rendezvous){
			.name_hash = slot_hash(slot, seed),
			.weight = config_weight(pool, slot),
		};
	for (size_t slot = pool->locals; slot < count; slot++)
		route->absent[slot] = true;
}

void route_set(struct route *route, size_t slot, const char *name, double weight)
{
	route->absent[slot] = name == NULL;
	if (name)
		route->candidates[slot] = (struct rendezvous){
			.name_hash = rendezvous_name(name, route->seed),
			.weight = weight,
		};
}

void route_end(struct route *route)
{
	free(route->candidates);
	free(route->absent);
	free(route->skip);
	*route = (struct route){ 0 };
}

uint64_t route_key(struct route *route, const struct peer *peer)
{
	const sa_family_t family = peer->any.sa_family;

	if (family == AF_INET || family == AF_INET6)
		return peer_key(peer, (unsigned)route->pool->prefix4,
				(unsigned)route->pool->prefix6, route->seed);
	route->serial++;
	return XXH3_64bits_withSeed(&route->serial, sizeof route->serial, route->seed);
}

/* Slots of weight 0 never win in the ranking: they stand behind it, in their own order. */
static size_t choose_spare(const struct route *route, size_t rank, bool (*admits)(size_t, void *),
			   void *arg, size_t *rank_r)
{
	for (size_t slot = 0; slot < route->count; slot++) {
		if (route->skip[slot])
			continue;
		*rank_r = rank++;
		if (admits(slot, arg))
			return slot;
	}
	*rank_r = rank;
	return RENDEZVOUS_NONE;
}

size_t route_choose(struct route *route, uint64_t key, bool (*admits)(size_t slot, void *arg),
		    void *arg, size_t *rank_r)
{
	size_t rank;

	memcpy(route->skip, route->absent, route->count * sizeof *route->skip);
	for (rank = 0;; rank++) {
		const size_t slot =
			rendezvous_choose(key, route->candidates, route->count, route->skip);

		if (slot == RENDEZVOUS_NONE)
			break;
		*rank_r = rank;
		if (admits(slot, arg))
			return slot;
		route->skip[slot] = true;
	}
	return choose_spare(route, rank, admits, arg, rank_r);
}
