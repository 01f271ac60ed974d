/* Why: the acceptor's life: told what there is (BEGIN, LISTENER, KEPT, SLOT_BEGIN ...), serving
 * from GO on, until DRAIN or the death of the supervisor.
 *
 *   TOLD ──GO──► SERVING ──DRAIN──────────────► DRAINING (waits to be killed or for the channel's
 * end) └─────supervisor is gone──► ORPHANED ──nothing left, or drain_timeout──► exit
 *
 * SPDX-License-Identifier: ISC */
#include "acceptor/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acceptor/delivery.h"
#include "acceptor/gifts.h"
#include "base/clock.h"
#include "base/fd.h"
#include "config/option.h"
#include "front/door.h"
#include "front/greeting.h"
#include "wire/counter.h"
#include "wire/role.h"

/* How often an orphan looks whether its workers have gone. */
#define ORPHAN_CHECK_MS 100

enum acceptor_state {
	TOLD,
	SERVING,
	DRAINING,
	ORPHANED
};

struct acceptor {
	struct event_base *base;
	struct config *config;
	struct channel *channel;
	struct door *door;
	struct greeting_desk *desk;
	struct gifts *gifts;
	struct delivery *delivery;
	struct event *orphan_check;
	int64_t orphan_deadline_ms;
	enum acceptor_state state;
	bool told_drained;
	struct listen_config adopted; /* what listeners have that applications asked for */
};

typedef void message_handler(struct acceptor *a, const struct message *message, int *fd);

static void acceptor_move(struct acceptor *a, enum acceptor_state to)
{
	a->state = to;
}

static void tell(const struct message *message, void *arg)
{
	struct acceptor *a = arg;

	if (a->channel)
		channel_send(a->channel, message, -1);
}

static void begin(struct acceptor *a, const struct message *message, int *fd)
{
	(void)fd;
	if (a->delivery)
		fatal("told to begin twice");
	a->delivery = delivery_new(a->base, a->config, message->BEGIN.seed,
				   message->BEGIN.incarnation, tell, a);
	a->desk = greeting_desk_new(a->base, delivery_take, a->delivery);
	a->door = door_new(a->base, greeting_take, a->desk);
	a->gifts = gifts_new(a->base, a->config, delivery_take, a->delivery);
	counter_add(COUNTER_ACCEPTOR_STARTS, 1);
}

static const struct listen_config *config_of(struct acceptor *a, const struct message_listener *l)
{
	if (l->listen == MESSAGE_ADOPTED)
		return &a->adopted;
	if (l->listen >= a->config->listen_count)
		fatal("no such [listen] section: %u", l->listen);
	return &a->config->listens[l->listen];
}

/* Node servers of a pool can be fed by this listener. */
static void tell_pool(struct acceptor *a, size_t pool, const struct message_listener *l,
		      const struct listen_config *config, int *fd)
{
	struct node_primary *node;

	if (pool >= a->delivery->pool_count)
		fatal("no such pool: %zu", pool);
	node = a->delivery->pools[pool].node;
	if (node)
		node_primary_listener(node, l, l->listen == MESSAGE_ADOPTED ? NULL : config, fd);
}

/* Is the pool of this server name one that was told already? */
static bool is_told(const struct listen_config *config, size_t sni, size_t pool)
{
	for (size_t i = 0; i < sni; i++) {
		if (config->sni.items[i].pool_index == config->sni.items[sni].pool_index)
			return true;
	}
	return config->sni.items[sni].pool_index == pool;
}

static void add_listener(struct acceptor *a, const struct message *message, int *fd)
{
	const struct message_listener *l = &message->LISTENER;
	const struct listen_config *config = config_of(a, l);

	if (l->use == LISTENER_ACCEPT)
		door_add(a->door, fd, l->id, l->pool, config, &l->local);
	else if (l->use == LISTENER_KNOWN)
		gifts_listener(a->gifts, l, config);
	tell_pool(a, l->pool, l, config, fd);
	for (size_t i = 0; i < config->sni.count; i++) {
		if (!is_told(config, i, l->pool))
			tell_pool(a, config->sni.items[i].pool_index, l, config, fd);
	}
}

static void add_gifts(struct acceptor *a, const struct message *message, int *fd)
{
	gifts_link(a->gifts, message->GIFTS.relay, fd);
}

static void take_tickets(struct acceptor *a, const struct message *message, int *fd)
{
	(void)fd;
	delivery_tickets(a->delivery, &message->TICKETS);
}

static void open_failed(struct acceptor *a, const struct message *message, int *fd)
{
	(void)fd;
	for (size_t i = 0; i < a->delivery->pool_count; i++) {
		if (a->delivery->pools[i].node)
			node_primary_open_failed(a->delivery->pools[i].node, &message->OPEN_FAILED);
	}
}

static void slot_begin(struct acceptor *a, const struct message *message, int *fd)
{
	delivery_slot_begin(a->delivery, &message->SLOT_BEGIN, fd);
}

static void slot_state(struct acceptor *a, const struct message *message, int *fd)
{
	(void)fd;
	delivery_slot_state(a->delivery, &message->SLOT_STATE);
}

static void slot_end(struct acceptor *a, const struct message *message, int *fd)
{
	(void)fd;
	delivery_slot_end(a->delivery, &message->SLOT_END);
}

static void kept(struct acceptor *a, const struct message *message, int *fd)
{
	const struct message_keep *keep = &message->KEPT;

	(void)fd;
	if (keep->pool < a->delivery->pool_count && a->delivery->pools[keep->pool].node)
		node_primary_kept(a->delivery->pools[keep->pool].node, keep);
}

static void go(struct acceptor *a, const struct message *message, int *fd)
{
	struct message serving = { .type = MESSAGE_SERVING };

	(void)fd;
	acceptor_move(a, SERVING);
	if (!message->GO.draining)
		door_open(a->door);
	tell(&serving, a);
}

static void on_drained(void *arg)
{
	struct acceptor *a = arg;
	struct message drained = { .type = MESSAGE_DRAINED };

	if (a->told_drained)
		return;
	if (greeting_count(a->desk) > 0) { /* they have a deadline: asked again soon */
		delivery_stop(a->delivery, on_drained, a);
		return;
	}
	a->told_drained = true;
	tell(&drained, a);
}

static void drain(struct acceptor *a, const struct message *message, int *fd)
{
	(void)message, (void)fd;
	acceptor_move(a, DRAINING);
	door_close(a->door);
	delivery_stop(a->delivery, on_drained, a);
}

static message_handler *const handlers[MESSAGE_TYPES] = {
	[MESSAGE_BEGIN] = begin,
	[MESSAGE_LISTENER] = add_listener,
	[MESSAGE_OPEN_FAILED] = open_failed,
	[MESSAGE_SLOT_BEGIN] = slot_begin,
	[MESSAGE_SLOT_STATE] = slot_state,
	[MESSAGE_SLOT_END] = slot_end,
	[MESSAGE_KEPT] = kept,
	[MESSAGE_GIFTS] = add_gifts,
	[MESSAGE_TICKETS] = take_tickets,
	[MESSAGE_GO] = go,
	[MESSAGE_DRAIN] = drain,
};

static void on_orphan_check(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;
	bool finished = delivery_unfinished(a->delivery) == 0 && delivery_links(a->delivery) == 0;
	struct timeval period = clock_timeval(ORPHAN_CHECK_MS);

	(void)fd, (void)what;
	if (finished || clock_now_ms() >= a->orphan_deadline_ms)
		event_base_loopbreak(a->base);
	else
		event_add(a->orphan_check, &period);
}

/* Only when the last client is handed over: what a worker is told to finish, it must have. */
static void on_orphan_idle(void *arg)
{
	struct acceptor *a = arg;

	if (greeting_count(a->desk) > 0)
		delivery_stop(a->delivery, on_orphan_idle, a);
	else
		delivery_drain_all(a->delivery);
}

/* The clients that the kernel has queued are served, the ports are free for the next Limpet, the
 * workers finish. */
static void orphaned(struct acceptor *a)
{
	enum acceptor_state before = a->state;

	acceptor_move(a, ORPHANED);
	if (before == TOLD) {
		event_base_loopbreak(a->base);
		return;
	}
	if (before == SERVING) {
		log_error("the supervisor is gone: no new clients, workers finish theirs");
		door_close(a->door);
	}
	delivery_stop(a->delivery, on_orphan_idle, a);
	/* A little before the warden kills what is left. */
	a->orphan_deadline_ms = clock_now_ms() + a->config->limpet.drain_timeout * 9 / 10;
	event_active(a->orphan_check, EV_TIMEOUT, 0);
}

static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	struct acceptor *a = arg;

	if (!message) {
		channel_free(&a->channel);
		orphaned(a);
		return;
	}
	(void)channel;
	if (!handlers[message->type])
		fatal("%s is not for the acceptor", message_name(message->type));
	if (!a->delivery && message->type != MESSAGE_BEGIN)
		fatal("%s before BEGIN", message_name(message->type));
	handlers[message->type](a, message, fd);
}

static void end(struct acceptor *a)
{
	/* Clients name their listeners, so these go last. */
	greeting_desk_free(&a->desk);
	delivery_free(&a->delivery);
	gifts_free(&a->gifts);
	door_free(&a->door);
	channel_free(&a->channel);
	event_free(a->orphan_check);
	event_base_free(a->base);
	option_end_all(&option_tables[SECTION_LISTEN], &a->adopted);
	config_free(&a->config);
}

int acceptor_run(void)
{
	struct acceptor a = { .state = TOLD };

	int counters = ROLE_FD_COUNTERS;

	option_begin_all(&option_tables[SECTION_LISTEN], &a.adopted);
	a.adopted.tls_index = SIZE_MAX;
	a.base = role_begin("acceptor", &a.config, &a.channel, on_message, &a);
	if (!counter_map(counters))
		fatal("counter page: %s", strerror(errno));
	fd_close(&counters);
	a.orphan_check = event_new(a.base, -1, 0, on_orphan_check, &a);
	if (!a.orphan_check)
		fatal("no event");
	if (event_base_dispatch(a.base) < 0)
		fatal("event loop: %s", strerror(errno));
	end(&a);
	return 0;
}
