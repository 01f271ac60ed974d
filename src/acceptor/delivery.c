/* Why: see the header: the policy of delivery. Each client that is not sent at once is in exactly
 * one queue (a seat's or its pool's), has a deadline, and is looked at by the tick.
 * SPDX-License-Identifier: ISC */
#include "acceptor/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "acceptor/node_seat.h"
#include "base/clock.h"
#include "base/log.h"
#include "front/door.h"
#include "wire/counter.h"

/* How often waiting clients and silent workers are looked at; runs only while there are any. */
#define TICK_MS 50

struct question {
	struct delivery_pool *pool;
	struct client *client;
	int64_t now_ms;
	bool full; /* a slot would have taken it, had its queue had room */
};

static struct delivery_pool *pool_of(struct seat *seat)
{
	return &seat->delivery->pools[seat->pool->index];
}

static bool may_wait(const struct question *q)
{
	return q->client->deadline_ms == 0 || q->now_ms < q->client->deadline_ms;
}

static bool may_hold(const struct question *q)
{
	return q->pool->config->on_down == ON_DOWN_HOLD && may_wait(q);
}

/* Would this slot be right for the client now? */
static bool seat_admits(size_t slot, void *arg)
{
	struct question *q = arg;
	struct seat *seat = &q->pool->seats[slot];
	bool takes =
		seat->state == SEAT_UP && seat->link >= 0 && q->now_ms >= seat->refusing_until_ms;

	if (takes && seat->stalled)
		takes = may_hold(q);
	else if (takes && !seat->kind->serves(seat, q->client))
		takes = may_hold(q);
	else if (takes && seat_is_full(seat))
		takes = may_wait(q);
	else if (!takes)
		takes = seat->expected && seat->state != SEAT_LEAVING && may_hold(q) &&
			q->now_ms >= seat->refusing_until_ms;
	if (takes && seat->waiting_count >= seat->pool->max_queue) {
		q->full = true;
		return false;
	}
	return takes;
}

static void start_tick(struct delivery *d)
{
	struct timeval period = clock_timeval(TICK_MS);

	if (!event_pending(d->tick, EV_TIMEOUT, NULL))
		event_add(d->tick, &period);
}

static void hold_for_any(struct delivery_pool *pool, struct client *client)
{
	TAILQ_INSERT_TAIL(&pool->held, client, link);
	pool->held_count++;
	counter_add(COUNTER_HELD, 1);
}

static void release(struct delivery_pool *pool, struct client *client)
{
	TAILQ_REMOVE(&pool->held, client, link);
	pool->held_count--;
	counter_sub(COUNTER_HELD, 1);
}

/* Nobody can take it: hold it for whoever comes first, or end it. */
static void hold_or_end(struct question *q)
{
	struct client *client = q->client;

	if (q->now_ms >= client->deadline_ms)
		client_end(&client, q->full ? END_QUEUE_FULL : END_NO_WORKER);
	else if (q->pool->held_count >= q->pool->config->max_queue)
		client_end(&client, END_QUEUE_FULL);
	else
		hold_for_any(q->pool, client);
}

/* Gives the client to the best slot, or holds it, or ends it. */
static void place(struct delivery *d, struct delivery_pool *pool, struct client *client)
{
	struct question q = { .pool = pool, .client = client, .now_ms = clock_now_ms() };
	size_t rank, slot = route_choose(&pool->route, client->key, seat_admits, &q, &rank);

	if (client->deadline_ms == 0)
		client->deadline_ms = q.now_ms + pool->config->queue_timeout;
	start_tick(d);
	if (slot == RENDEZVOUS_NONE) {
		hold_or_end(&q);
		return;
	}
	if (rank > 0 && !client->rerouted) {
		client->rerouted = true;
		counter_add(COUNTER_REROUTED, 1);
	}
	seat_wait(&pool->seats[slot], client);
	seat_flush(&pool->seats[slot]);
}

void delivery_take(struct client *client, void *arg)
{
	struct delivery *d = arg;
	struct delivery_pool *pool = &d->pools[client->pool];

	client->key = route_key(&pool->route, &client->peer);
	place(d, pool, client);
}

void delivery_again(struct seat *from, struct client *client)
{
	place(from->delivery, pool_of(from), client);
}

/* Every client of a queue is placed anew; those that end up in the same queue again are not visited
 * twice. */
static void place_all(struct delivery *d, struct delivery_pool *pool, struct client_queue *queue)
{
	struct client *client;

	while ((client = TAILQ_FIRST(queue))) {
		TAILQ_REMOVE(queue, client, link);
		place(d, pool, client);
	}
}

static void take_waiting(struct seat *seat, struct client_queue *out)
{
	struct client *client;

	while ((client = TAILQ_FIRST(&seat->waiting))) {
		seat_unwait(seat, client);
		TAILQ_INSERT_TAIL(out, client, link);
	}
}

static void place_held(struct delivery *d, struct delivery_pool *pool)
{
	struct client_queue queue = TAILQ_HEAD_INITIALIZER(queue);
	struct client *client;

	while ((client = TAILQ_FIRST(&pool->held))) {
		release(pool, client);
		TAILQ_INSERT_TAIL(&queue, client, link);
	}
	place_all(d, pool, &queue);
}

void delivery_seat_opened(struct seat *seat)
{
	seat_flush(seat);
	place_held(seat->delivery, pool_of(seat));
}

void delivery_seat_closed(struct seat *seat)
{
	struct client_queue queue = TAILQ_HEAD_INITIALIZER(queue);

	take_waiting(seat, &queue);
	place_all(seat->delivery, pool_of(seat), &queue);
}

struct seat *delivery_seat(struct delivery *d, uint32_t pool, uint32_t slot)
{
	if (pool >= d->pool_count || slot >= d->pools[pool].seat_count)
		return NULL;
	return &d->pools[pool].seats[slot];
}

void delivery_slot_begin(struct delivery *d, const struct message_slot *slot, int *link)
{
	struct seat *seat = delivery_seat(d, slot->pool, slot->slot);

	if (!seat)
		fatal("no such slot: %u/%u", slot->pool, slot->slot);
	if (seat->state != SEAT_EMPTY)
		fatal("%s: a generation began before the last one ended", seat->name);
	seat_open(seat, d->base, link, slot, d->incarnation);
}

static void tell_to_drain(struct seat *seat)
{
	if (seat->link >= 0)
		seat->kind->drain(seat);
	seat_move(seat, SEAT_LEAVING);
}

void delivery_slot_state(struct delivery *d, const struct message_slot_state *word)
{
	struct seat *seat = delivery_seat(d, word->pool, word->slot);

	if (!seat || (word->generation != 0 && word->generation != seat->generation))
		return;
	seat->expected = word->route != ROUTE_CLOSED;
	if (seat->state == SEAT_EMPTY) {
		if (!seat->expected)
			delivery_seat_closed(seat);
		return;
	}
	if (word->drain)
		tell_to_drain(seat);
	else if (seat->state != SEAT_LEAVING)
		seat_move(seat, word->route == ROUTE_OPEN ? SEAT_UP : SEAT_STARTING);
	if (seat->state == SEAT_UP)
		delivery_seat_opened(seat);
	else
		delivery_seat_closed(seat);
}

void delivery_slot_end(struct delivery *d, const struct message_slot_end *word)
{
	struct client_queue orphans = TAILQ_HEAD_INITIALIZER(orphans);
	struct seat *seat = delivery_seat(d, word->pool, word->slot);
	struct client *client;

	if (!seat || word->generation != seat->generation || seat->state == SEAT_EMPTY)
		return;
	seat_close(seat, &orphans);
	seat->expected = word->route != ROUTE_CLOSED;
	TAILQ_FOREACH (client, &orphans, link)
		counter_add(COUNTER_RESENT, 1);
	take_waiting(seat, &orphans);
	place_all(d, &d->pools[word->pool], &orphans);
}

void delivery_tickets(struct delivery *d, const struct message_tickets *tickets)
{
	d->tickets = *tickets;
	for (size_t i = 0; i < d->pool_count; i++) {
		for (size_t s = 0; d->pools[i].node && s < d->pools[i].seat_count; s++)
			node_seat_tickets(&d->pools[i].seats[s]);
	}
}

static void expire(struct seat *seat, int64_t now_ms)
{
	struct client_queue late = TAILQ_HEAD_INITIALIZER(late);
	struct client *client, *next;

	for (client = TAILQ_FIRST(&seat->waiting); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (now_ms >= client->deadline_ms) {
			seat_unwait(seat, client);
			TAILQ_INSERT_TAIL(&late, client, link);
		}
	}
	place_all(seat->delivery, pool_of(seat), &late);
}

static void watch(struct seat *seat, int64_t now_ms)
{
	int64_t limit = seat->pool->stall_timeout;

	if (seat->stalled || limit == 0 || seat->in_flight == 0 ||
	    now_ms - seat->progress_ms < limit)
		return;
	seat->stalled = true;
	counter_add(COUNTER_STALLS, 1);
	log_line(LOG_WARNING, seat->name, "has acknowledged none of %u clients for %lld ms: %s",
		 seat->in_flight, (long long)(now_ms - seat->progress_ms),
		 seat->pool->on_down == ON_DOWN_HOLD ? "its clients wait"
						     : "its clients go elsewhere");
	if (seat->pool->on_down == ON_DOWN_FAILOVER)
		delivery_seat_closed(seat);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct delivery *d = arg;
	int64_t now_ms = clock_now_ms();

	(void)fd, (void)what;
	for (size_t i = 0; i < d->pool_count; i++) {
		struct delivery_pool *pool = &d->pools[i];

		for (size_t s = 0; s < pool->seat_count; s++) {
			watch(&pool->seats[s], now_ms);
			expire(&pool->seats[s], now_ms);
			seat_flush(&pool->seats[s]);
		}
		place_held(d, pool);
	}
	if (delivery_unfinished(d) > 0)
		start_tick(d);
	else if (d->stopping && d->idle)
		d->idle(d->idle_arg);
}

unsigned delivery_unfinished(const struct delivery *d)
{
	unsigned sum = 0;

	for (size_t i = 0; i < d->pool_count; i++) {
		sum += d->pools[i].held_count;
		for (size_t s = 0; s < d->pools[i].seat_count; s++)
			sum += d->pools[i].seats[s].waiting_count + d->pools[i].seats[s].in_flight;
	}
	return sum;
}

void delivery_stop(struct delivery *d, void (*idle)(void *arg), void *arg)
{
	d->stopping = true;
	d->idle = idle;
	d->idle_arg = arg;
	start_tick(d);
}

void delivery_drain_all(struct delivery *d)
{
	for (size_t i = 0; i < d->pool_count; i++) {
		for (size_t s = 0; s < d->pools[i].seat_count; s++) {
			if (d->pools[i].seats[s].state != SEAT_EMPTY)
				tell_to_drain(&d->pools[i].seats[s]);
		}
	}
}

unsigned delivery_links(const struct delivery *d)
{
	unsigned sum = 0;

	for (size_t i = 0; i < d->pool_count; i++) {
		for (size_t s = 0; s < d->pools[i].seat_count; s++)
			sum += d->pools[i].seats[s].link >= 0;
	}
	return sum;
}

static void pool_begin(struct delivery *d, struct delivery_pool *pool,
		       const struct pool_config *config, uint64_t seed)
{
	pool->config = config;
	route_begin(&pool->route, config, seed);
	TAILQ_INIT(&pool->held);
	pool->seat_count = config->proxied ? 0 : config->locals;
	pool->seats = calloc(pool->seat_count + 1, sizeof *pool->seats); /* never of size 0 */
	if (!pool->seats)
		fatal("out of memory");
	for (size_t s = 0; s < pool->seat_count; s++)
		seat_begin(&pool->seats[s], d, config, s);
	if (config->delivery == DELIVERY_NODE)
		pool->node = node_primary_new(config, d->incarnation, d->sender, d->sender_arg);
}

struct delivery *delivery_new(struct event_base *base, const struct config *config, uint64_t seed,
			      uint64_t incarnation, node_primary_sender *sender, void *arg)
{
	struct delivery *d = calloc(1, sizeof *d);

	if (!d || !(d->pools = calloc(config->pool_count, sizeof *d->pools)))
		fatal("out of memory");
	d->base = base;
	d->incarnation = incarnation;
	d->sender = sender;
	d->sender_arg = arg;
	d->pool_count = config->pool_count;
	d->tick = event_new(base, -1, 0, on_tick, d);
	if (!d->tick)
		fatal("no event for the tick");
	d->gather = gather_new(base);
	for (size_t i = 0; i < d->pool_count; i++)
		pool_begin(d, &d->pools[i], &config->pools[i], seed);
	return d;
}

static void pool_end(struct delivery_pool *pool)
{
	struct client_queue rest = TAILQ_HEAD_INITIALIZER(rest);
	struct client *client;

	/* A last answer may fill any queue: they are emptied when all links are closed. */
	for (size_t s = 0; s < pool->seat_count; s++) {
		if (pool->seats[s].state != SEAT_EMPTY)
			seat_close(&pool->seats[s], &rest);
	}
	for (size_t s = 0; s < pool->seat_count; s++)
		take_waiting(&pool->seats[s], &rest);
	while ((client = TAILQ_FIRST(&pool->held))) {
		release(pool, client);
		TAILQ_INSERT_TAIL(&rest, client, link);
	}
	while ((client = TAILQ_FIRST(&rest))) {
		TAILQ_REMOVE(&rest, client, link);
		client_end(&client, END_SHUTDOWN);
	}
	node_primary_free(&pool->node);
	route_end(&pool->route);
	free(pool->seats);
}

void delivery_free(struct delivery **delivery)
{
	struct delivery *d = *delivery;

	*delivery = NULL;
	if (!d)
		return;
	for (size_t i = 0; i < d->pool_count; i++)
		pool_end(&d->pools[i]);
	event_free(d->tick);
	gather_free(&d->gather);
	explicit_bzero(&d->tickets, sizeof d->tickets);
	free(d->pools);
	free(d);
}
