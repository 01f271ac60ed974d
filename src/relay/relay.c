/* Why: the relay's life, which reads like the acceptor's: told what there is, serving from GO on,
 * until DRAIN or the death of the supervisor.
 *
 *   TOLD ──GO──► SERVING ──DRAIN──► DRAINING ──the channel ends──► exit
 *                   └──supervisor is gone──► ORPHANED ──no stream left, or drain_timeout──► exit
 *
 * SPDX-License-Identifier: ISC */
#include "relay/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "front/door.h"
#include "front/greeting.h"
#include "relay/health.h"
#include "relay/resolver.h"
#include "relay/stream.h"
#include "wire/counter.h"
#include "wire/role.h"

/* How often one that leaves looks whether all have gone. */
#define LEAVING_CHECK_MS 50

enum relay_state {
	TOLD,
	SERVING,
	DRAINING,
	ORPHANED
};

struct relay {
	struct event_base *base;
	struct config *config;
	struct listen_config *listens; /* of the [listen] sections, with our share of the limits */
	struct channel *channel;
	struct door *door;
	struct greeting_desk *desk;
	struct upstreams *upstreams;
	struct streams *streams;
	struct tls_store *tls;     /* NULL: no [tls] section */
	struct health *health;     /* relay 0 only */
	struct resolver *resolver; /* relay 0 only */
	struct event *leaving_check;
	int64_t deadline_ms; /* of an orphan */
	unsigned slots_up;
	enum relay_state state;
	bool told_drained;
};

typedef void message_handler(struct relay *r, const struct message *message, int *fd);

static void relay_move(struct relay *r, enum relay_state to)
{
	r->state = to;
}

static void tell(const struct message *message, void *arg)
{
	struct relay *r = arg;

	if (r->channel)
		channel_send(r->channel, message, -1);
}

/* Held clients are tried again by the streams, which are made after the upstreams. */
static void on_opened(void *arg)
{
	struct relay *r = arg;

	streams_opened(r->streams);
}

static void copy_listens(struct relay *r)
{
	const size_t count = r->config->listen_count;

	r->listens = calloc(count + 1, sizeof *r->listens);
	if (!r->listens)
		fatal("out of memory");
	if (count > 0)
		memcpy(r->listens, r->config->listens, count * sizeof *r->listens);
}

static void begin(struct relay *r, const struct message *message, int *fd)
{
	const struct message_begin *word = &message->BEGIN;

	(void)fd;
	if (r->streams)
		fatal("told to begin twice");
	copy_listens(r);
	r->upstreams = upstreams_new(r->config, word->seed, on_opened, r);
	if (r->config->tls_count > 0)
		r->tls = tls_store_new(r->config);
	r->streams = streams_new(r->base, r->config, r->upstreams, r->tls, word->number);
	r->desk = greeting_desk_new(r->base, stream_begin, r->streams);
	r->door = door_new(r->base, greeting_take, r->desk);
	if (word->number == 0) {
		r->health = health_new(r->base, r->config, r->upstreams, tell, r);
		r->resolver = resolver_new(r->base, r->config, tell, r);
	}
	counter_add(COUNTER_RELAY_STARTS, 1);
}

static void add_listener(struct relay *r, const struct message *message, int *fd)
{
	const struct message_listener *l = &message->LISTENER;

	if (l->listen >= r->config->listen_count)
		fatal("no such [listen] section: %u", l->listen);
	if (l->pool >= r->config->pool_count)
		fatal("no such pool: %u", l->pool);
	r->listens[l->listen].max_connections = l->share;
	door_add(r->door, fd, l->id, l->pool, &r->listens[l->listen], &l->local);
}

/* Every relay is told the same: one of them counts. */
static void count_up(struct relay *r)
{
	const unsigned before = r->slots_up;

	if (!r->health)
		return;
	r->slots_up = upstreams_up(r->upstreams);
	if (r->slots_up > before)
		counter_add(COUNTER_SLOTS_UP, r->slots_up - before);
	else
		counter_sub(COUNTER_SLOTS_UP, before - r->slots_up);
}

static void slot_changed(struct relay *r, size_t pool, size_t slot)
{
	count_up(r);
	if (r->health)
		health_slot_changed(r->health, pool, slot);
}

static void server(struct relay *r, const struct message *message, int *fd)
{
	const struct message_server *word = &message->SERVER;

	(void)fd;
	upstream_server(r->upstreams, word);
	if (r->resolver && r->state == TOLD)
		resolver_known(r->resolver, word);
	slot_changed(r, word->pool, word->slot);
}

static void slot_state(struct relay *r, const struct message *message, int *fd)
{
	(void)fd;
	upstream_state(r->upstreams, &message->SLOT_STATE);
	slot_changed(r, message->SLOT_STATE.pool, message->SLOT_STATE.slot);
}

static void slot_health(struct relay *r, const struct message *message, int *fd)
{
	(void)fd;
	upstream_health(r->upstreams, &message->SLOT_HEALTH);
	count_up(r);
}

static void tls_file(struct relay *r, const struct message *message, int *fd)
{
	if (r->tls)
		tls_store_file(r->tls, &message->TLS_FILE, fd);
}

static void tls_load(struct relay *r, const struct message *message, int *fd)
{
	struct message loaded = { .type = MESSAGE_TLS_LOADED };

	(void)fd;
	if (!r->tls)
		fatal("told to load a [tls] section that is not there");
	tls_store_load(r->tls, &message->TLS_LOAD, &loaded.TLS_LOADED);
	tell(&loaded, r);
}

static void tickets(struct relay *r, const struct message *message, int *fd)
{
	(void)fd;
	if (r->tls)
		tls_store_tickets(r->tls, &message->TICKETS);
}

static void gifts(struct relay *r, const struct message *message, int *fd)
{
	(void)message;
	streams_gifts(r->streams, fd);
}

static void go(struct relay *r, const struct message *message, int *fd)
{
	struct message serving = { .type = MESSAGE_SERVING };

	(void)fd;
	relay_move(r, SERVING);
	if (r->resolver)
		resolver_start(r->resolver);
	if (!message->GO.draining)
		door_open(r->door);
	tell(&serving, r);
}

/* Clients whose first words are awaited still become streams. */
static bool is_empty(const struct relay *r)
{
	return streams_count(r->streams) == 0 && greeting_count(r->desk) == 0;
}

static void on_leaving_check(evutil_socket_t fd, short what, void *arg)
{
	struct relay *r = arg;
	struct message drained = { .type = MESSAGE_DRAINED };
	const struct timeval period = clock_timeval(LEAVING_CHECK_MS);

	(void)fd, (void)what;
	if (r->state == DRAINING && is_empty(r) && !r->told_drained) {
		r->told_drained = true;
		tell(&drained, r);
		return;
	}
	if (r->state == ORPHANED && (is_empty(r) || clock_now_ms() >= r->deadline_ms)) {
		event_base_loopbreak(r->base);
		return;
	}
	if (!r->told_drained)
		event_add(r->leaving_check, &period);
}

static void on_idle(void *arg)
{
	struct relay *r = arg;

	event_active(r->leaving_check, EV_TIMEOUT, 0);
}

static void leave(struct relay *r)
{
	door_close(r->door);
	streams_stop(r->streams, on_idle, r);
	event_active(r->leaving_check, EV_TIMEOUT, 0);
}

static void drain(struct relay *r, const struct message *message, int *fd)
{
	(void)message, (void)fd;
	relay_move(r, DRAINING);
	leave(r);
}

static message_handler *const handlers[MESSAGE_TYPES] = {
	[MESSAGE_BEGIN] = begin,
	[MESSAGE_LISTENER] = add_listener,
	[MESSAGE_SERVER] = server,
	[MESSAGE_SLOT_STATE] = slot_state,
	[MESSAGE_SLOT_HEALTH] = slot_health,
	[MESSAGE_TLS_FILE] = tls_file,
	[MESSAGE_TLS_LOAD] = tls_load,
	[MESSAGE_TICKETS] = tickets,
	[MESSAGE_GIFTS] = gifts,
	[MESSAGE_GO] = go,
	[MESSAGE_DRAIN] = drain,
};

/* While draining the end of the channel is the supervisor's word that the time is over. */
static void orphaned(struct relay *r)
{
	const enum relay_state before = r->state;

	relay_move(r, ORPHANED);
	if (before != SERVING) {
		event_base_loopbreak(r->base);
		return;
	}
	log_error("the supervisor is gone: no new clients, relayed connections may finish");
	/* A little before the warden kills what is left. */
	r->deadline_ms = clock_now_ms() + r->config->limpet.drain_timeout * 9 / 10;
	leave(r);
}

static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	struct relay *r = arg;

	(void)channel;
	if (!message) {
		channel_free(&r->channel);
		orphaned(r);
		return;
	}
	if (!handlers[message->type])
		fatal("%s is not for a relay", message_name(message->type));
	if (!r->streams && message->type != MESSAGE_BEGIN)
		fatal("%s before BEGIN", message_name(message->type));
	handlers[message->type](r, message, fd);
}

static void end(struct relay *r)
{
	health_free(&r->health);
	resolver_free(&r->resolver);
	if (r->desk)
		greeting_desk_free(&r->desk); /* its clients, and those of */
	streams_free(&r->streams);            /* streams name their listeners */
	door_free(&r->door);
	upstreams_free(&r->upstreams);
	if (r->tls)
		tls_store_free(&r->tls);
	channel_free(&r->channel);
	event_free(r->leaving_check);
	event_base_free(r->base);
	free(r->listens);
	config_free(&r->config);
}

int relay_run(void)
{
	const char *name = getenv("LIMPET_ROLE");
	int counters = ROLE_FD_COUNTERS;
	struct relay r = { .state = TOLD };

	r.base = role_begin(name ? name : "relay", &r.config, &r.channel, on_message, &r);
	if (!counter_map(counters))
		fatal("counter page: %s", strerror(errno));
	fd_close(&counters);
	r.leaving_check = event_new(r.base, -1, 0, on_leaving_check, &r);
	if (!r.leaving_check)
		fatal("no event");
	if (event_base_dispatch(r.base) < 0)
		fatal("event loop: %s", strerror(errno));
	end(&r);
	return 0;
}
