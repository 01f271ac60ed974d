/* Why: see the header. A slot takes clients when all four sources agree; each is kept by itself, so
 * that none can undo the word of another. SPDX-License-Identifier: ISC */
#include "relay/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wire/counter.h"

#define DOWN_FIRST_MS 100
#define DOWN_MOST_MS  30000

struct upstreams {
	struct upstream *pools; /* of all pools; slots NULL: not proxied */
	size_t count;
	upstream_opened *opened;
	void *arg;
};

struct question {
	const struct upstream *upstream;
	const uint64_t *tried;
	int64_t now_ms;
	bool failover;
	bool is_starting; /* of the slot that was chosen */
};

static void slot_name(struct upstream_slot *slot, const struct pool_config *pool, size_t number,
		      const char *name)
{
	if (name[0] != '\0')
		snprintf(slot->name, sizeof slot->name, "%s", name);
	else
		snprintf(slot->name, sizeof slot->name, "%s/%zu", pool->name, number);
}

/* Nothing is known yet: workers may come, servers are not there. */
static void pool_begin(struct upstream *u, const struct pool_config *pool, uint64_t seed)
{
	u->pool = pool;
	if (!pool->proxied)
		return;
	route_begin(&u->route, pool, seed);
	u->slots = calloc(pool->slots, sizeof *u->slots);
	if (!u->slots)
		fatal("out of memory");
	for (size_t i = 0; i < pool->slots; i++) {
		struct upstream_slot *slot = &u->slots[i];

		slot->is_local = i < pool->locals;
		slot->is_good = true;
		slot_name(slot, pool, i, "");
	}
}

struct upstreams *upstreams_new(const struct config *config, uint64_t seed, upstream_opened *opened,
				void *arg)
{
	struct upstreams *all = calloc(1, sizeof *all);

	if (!all || !(all->pools = calloc(config->pool_count, sizeof *all->pools)))
		fatal("out of memory");
	all->count = config->pool_count;
	all->opened = opened;
	all->arg = arg;
	for (size_t i = 0; i < all->count; i++)
		pool_begin(&all->pools[i], &config->pools[i], seed);
	return all;
}

void upstreams_free(struct upstreams **upstreams)
{
	struct upstreams *all = *upstreams;

	*upstreams = NULL;
	if (!all)
		return;
	for (size_t i = 0; i < all->count; i++) {
		if (all->pools[i].slots)
			route_end(&all->pools[i].route);
		free(all->pools[i].slots);
	}
	free(all->pools);
	free(all);
}

struct upstream *upstream_of(struct upstreams *upstreams, size_t pool)
{
	if (pool >= upstreams->count || !upstreams->pools[pool].slots)
		return NULL;
	return &upstreams->pools[pool];
}

static struct upstream_slot *slot_of(struct upstreams *upstreams, size_t pool, size_t slot)
{
	struct upstream *u = upstream_of(upstreams, pool);

	return u && slot < u->pool->slots ? &u->slots[slot] : NULL;
}

static void tell_opened(struct upstreams *upstreams)
{
	upstreams->opened(upstreams->arg);
}

/* A process or address that is new has done nothing wrong yet. */
static void forgive(struct upstream_slot *slot)
{
	slot->failures = 0;
	slot->down_until_ms = 0;
}

void upstream_server(struct upstreams *upstreams, const struct message_server *server)
{
	struct upstream_slot *slot = slot_of(upstreams, server->pool, server->slot);
	struct upstream *u = upstream_of(upstreams, server->pool);

	if (!slot)
		return;
	if (!address_equal(&slot->address, &server->address))
		forgive(slot);
	slot->address = server->address;
	slot->server = (enum server_state)server->state;
	slot_name(slot, u->pool, server->slot, server->name);
	if (!slot->is_local)
		route_set(&u->route, server->slot,
			  slot->server == SERVER_ABSENT ? NULL : server->name,
			  (double)server->weight / 1000);
	if (slot->server == SERVER_PRESENT)
		tell_opened(upstreams);
}

void upstream_state(struct upstreams *upstreams, const struct message_slot_state *state)
{
	struct upstream_slot *slot = slot_of(upstreams, state->pool, state->slot);
	const bool opens = slot && state->route == ROUTE_OPEN && slot->route != ROUTE_OPEN;

	if (!slot)
		return;
	slot->route = (enum slot_route)state->route;
	slot->runs = state->generation != 0;
	if (opens)
		forgive(slot);
	tell_opened(upstreams); /* closed counts too: those that wait for it go elsewhere */
}

void upstream_health(struct upstreams *upstreams, const struct message_health *health)
{
	struct upstream_slot *slot = slot_of(upstreams, health->pool, health->slot);

	if (!slot)
		return;
	slot->is_good = health->good != 0;
	if (!slot->is_good)
		return;
	forgive(slot);
	tell_opened(upstreams);
}

/* A worker that starts, or whose address is not told yet, is worth waiting for; a server that is
 * not there is not. */
static bool is_expected(const struct upstream_slot *slot)
{
	return slot->is_local && slot->route != ROUTE_CLOSED;
}

static bool is_open(const struct upstream_slot *slot, int64_t now_ms)
{
	if (slot->is_local ? slot->route != ROUTE_OPEN : slot->server != SERVER_PRESENT)
		return false;
	return slot->address.length > 0 && slot->is_good && now_ms >= slot->down_until_ms;
}

static bool admits(size_t number, void *arg)
{
	struct question *q = arg;
	const struct upstream_slot *slot = &q->upstream->slots[number];

	q->is_starting = false;
	if (q->tried && q->tried[number / 64] & UINT64_C(1) << number % 64)
		return false;
	if (is_open(slot, q->now_ms))
		return true;
	q->is_starting = !q->failover && is_expected(slot) &&
			 (slot->route == ROUTE_WAIT || slot->address.length == 0) &&
			 slot->held < q->upstream->pool->max_queue;
	return q->is_starting;
}

enum upstream_verdict upstream_choose(struct upstream *upstream, uint64_t key,
				      const uint64_t *tried, bool failover, size_t *slot_r,
				      size_t *rank_r)
{
	struct question q = {
		.upstream = upstream,
		.tried = tried,
		.now_ms = clock_now_ms(),
		.failover = failover,
	};

	*slot_r = route_choose(&upstream->route, key, admits, &q, rank_r);
	if (*slot_r == RENDEZVOUS_NONE)
		return UPSTREAM_NONE;
	return q.is_starting ? UPSTREAM_HOLD : UPSTREAM_SLOT;
}

unsigned upstreams_up(const struct upstreams *upstreams)
{
	unsigned up = 0;

	for (size_t i = 0; i < upstreams->count; i++) {
		const struct upstream *u = &upstreams->pools[i];

		for (size_t slot = 0; u->slots && slot < u->pool->slots; slot++)
			up += is_open(&u->slots[slot], INT64_MAX);
	}
	return up;
}

static int64_t delay_ms(unsigned beyond)
{
	const int64_t delay = beyond < 9 ? (int64_t)DOWN_FIRST_MS << beyond : DOWN_MOST_MS;

	return delay < DOWN_MOST_MS ? delay : DOWN_MOST_MS;
}

void upstream_failed(struct upstreams *upstreams, struct upstream *upstream, size_t number,
		     const char *why)
{
	struct upstream_slot *slot = &upstream->slots[number];
	const unsigned fall = (unsigned)upstream->pool->check_fall;
	const int64_t now_ms = clock_now_ms();

	(void)upstreams;
	/* Those that were under way when it closed say nothing new. */
	if (now_ms < slot->down_until_ms)
		return;
	slot->failures++;
	if (slot->failures < fall)
		return;
	if (slot->down_until_ms == 0) {
		counter_add(COUNTER_HEALTH_CHANGES, 1);
		log_line(LOG_WARNING, slot->name,
			 "gets no clients for now: %u connections in a row failed (%s)",
			 slot->failures, why);
	}
	slot->down_until_ms = now_ms + delay_ms(slot->failures - fall);
}

void upstream_worked(struct upstreams *upstreams, struct upstream *upstream, size_t number)
{
	struct upstream_slot *slot = &upstream->slots[number];
	const bool was_down = slot->down_until_ms != 0;

	if (slot->failures == 0)
		return;
	forgive(slot);
	if (!was_down)
		return;
	counter_add(COUNTER_HEALTH_CHANGES, 1);
	log_line(LOG_NOTICE, slot->name, "takes connections again");
	tell_opened(upstreams);
}
