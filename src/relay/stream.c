/* Why: see the header: the states of a stream, its TLS handshake, and its one end.
 * SPDX-License-Identifier: ISC */
#include "relay/stream.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/door.h"
#include "front/sni.h"
#include "relay/streams.h"
#include "wire/counter.h"

void stream_move(struct stream *stream, enum stream_state to)
{
	stream->state = (uint32_t)to & 15;
}

struct luggage *stream_luggage(struct stream *stream)
{
	if (!stream->luggage) {
		stream->luggage = calloc(1, sizeof *stream->luggage);
		if (!stream->luggage)
			fatal("out of memory");
	}
	return stream->luggage;
}

void stream_unpack(struct stream *stream)
{
	const struct luggage *l = stream->luggage;

	if (!l || l->tls || l->tried || !hold_is_empty(&l->holds[CLIENT]) ||
	    !hold_is_empty(&l->holds[SERVER]))
		return;
	free(stream->luggage);
	stream->luggage = NULL;
}

const char *stream_server(const struct stream *stream)
{
	const struct upstream *u = upstream_of(stream->streams->upstreams, stream->client->pool);

	return u && stream->slot != STREAM_NO_SLOT ? u->slots[stream->slot].name
						   : stream_pool(stream)->name;
}

void stream_describe(const struct stream *stream, struct passport *passport_r)
{
	const struct client *client = stream->client;
	struct address local = { .length = sizeof local - offsetof(struct address, any) };

	*passport_r = client->passport ? *client->passport : (struct passport){ 0 };
	if (passport_r->from.any.sa_family == AF_UNSPEC)
		passport_r->from = client->peer;
	if (passport_r->to.any.sa_family == AF_UNSPEC &&
	    getsockname(client->fd, &local.any, &local.length) == 0)
		peer_set(&passport_r->to, &local.any, local.length);
}

/* --- The end --- */

static void drop_luggage(struct stream *stream)
{
	struct luggage *l = stream->luggage;

	if (!l)
		return;
	hold_drop(&l->holds[CLIENT], stream->streams->pipes);
	hold_drop(&l->holds[SERVER], stream->streams->pipes);
	tls_end(&l->tls);
	free(l->tried);
	free(l);
	stream->luggage = NULL;
}

/* What counts a stream counts it by its state. */
static void uncount(struct stream *stream)
{
	struct streams *all = stream->streams;

	switch ((enum stream_state)stream->state) {
	case STREAM_SHAKING:
		all->shaking[stream->client->listener->config->tls_index]--;
		counter_sub(COUNTER_HANDSHAKING, 1);
		break;
	case STREAM_HELD:
	case STREAM_GIVING:
		if (stream->place != 0)
			streams_unwait(stream);
		break;
	case STREAM_FLOWING:
	case STREAM_BREAKING:
		roll_leave(&all->ready, &stream->place);
		counter_sub(COUNTER_RELAYED, 1);
		break;
	case STREAM_CHOOSING:
	case STREAM_CONNECTING:
		break;
	}
	dial_forget(stream);
}

static void end_because(struct stream *stream, enum end_reason reason, const char *why)
{
	struct client *client = stream->client;
	int server = stream->sides[SERVER].event.ev_fd;

	uncount(stream);
	deadlines_drop(stream->streams->deadlines, client);
	for (int i = CLIENT; i <= SERVER; i++) {
		roll_leave(&stream->streams->doubts, &stream->sides[i].doubt);
		side_end(&stream->sides[i]);
	}
	client->stream = NULL;
	if (why)
		client_end_because(&client, reason, why);
	else
		client_end(&client, reason);
	drop_luggage(stream);
	fd_close(&server);
	streams_give(stream);
}

void stream_end(struct stream *stream, enum end_reason reason)
{
	end_because(stream, reason, NULL);
}

/* Source: socket(7), SO_LINGER with 0 makes close(2) send a reset. UNIX sockets have none: their
 * peer sees an end. */
static void reset_on_close(int fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void stream_abort(struct stream *stream, enum end_reason reason)
{
	reset_on_close(stream->client->fd);
	reset_on_close(side_fd(&stream->sides[SERVER]));
	end_because(stream, reason, NULL);
}

/* --- The beginning --- */

/* The pool is known: by connecting, or by giving the worker a socket. */
static void choose(struct stream *stream)
{
	stream_move(stream, STREAM_CHOOSING);
	if (stream_pool(stream)->proxied)
		dial_begin(stream);
	else
		giving_begin(stream);
}

static void shaken(struct stream *stream)
{
	struct client *client = stream->client;
	const struct listen_config *config = client->listener->config;
	const struct tls *tls = stream_tls(stream);
	struct passport *passport = client_passport(client);
	const struct sni_route *route;

	stream->streams->shaking[config->tls_index]--;
	counter_sub(COUNTER_HANDSHAKING, 1);
	counter_add(COUNTER_HANDSHAKES, 1);
	if (tls_resumed(tls))
		counter_add(COUNTER_RESUMED, 1);
	tls_tell(tls, passport);
	route = sni_find(&config->sni, passport->server_name);
	if (route)
		client->pool = (uint32_t)route->pool_index;
	deadlines_drop(stream->streams->deadlines, client);
	choose(stream);
}

static void shake(struct stream *stream)
{
	struct tls *tls = stream_tls(stream);
	const char *why;

	switch (tls_handshake(tls)) {
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return;
	case TLS_DONE:
		shaken(stream);
		return;
	case TLS_EOF:
	case TLS_TRUNCATED:
	case TLS_BROKEN:
		why = tls_why(tls);
		end_because(stream, END_TLS_FAILED, why && *why ? why : NULL);
	}
}

static void begin_tls(struct stream *stream)
{
	struct streams *all = stream->streams;
	struct client *client = stream->client;
	const size_t section = client->listener->config->tls_index;
	const struct tls_config *config = &all->config->tlss[section];
	struct tls *tls;

	if (all->shaking[section] >= config->max_handshakes) {
		stream_end(stream, END_TLS_CROWD);
		return;
	}
	tls = all->tls ? tls_begin(all->tls, section, client->fd) : NULL;
	if (!tls) {
		end_because(stream, END_TLS_FAILED, "no certificate is loaded");
		return;
	}
	stream_luggage(stream)->tls = tls;
	stream_move(stream, STREAM_SHAKING);
	all->shaking[section]++;
	counter_add(COUNTER_HANDSHAKING, 1);
	deadlines_set(all->deadlines, client,
		      client->accepted_us / 1000 + config->handshake_timeout);
	if (!side_listen(&stream->sides[CLIENT]))
		end_because(stream, END_TLS_FAILED, "no event for its socket");
}

/* CONNECTING and later are of the same mind about both sides. */
static void on_side(evutil_socket_t fd, short what, void *arg)
{
	struct side *side = arg;
	struct stream *stream = stream_of(side);

	(void)fd;
	side_heard(side, what, side->flags & SIDE_SERVER ? NULL : stream_tls(stream));
	switch ((enum stream_state)stream->state) {
	case STREAM_SHAKING:
		shake(stream);
		return;
	case STREAM_CONNECTING:
		if (side->flags & SIDE_SERVER)
			dial_event(stream, what);
		return;
	case STREAM_FLOWING:
	case STREAM_BREAKING:
		flow_run(stream);
		return;
	case STREAM_CHOOSING:
	case STREAM_HELD:
	case STREAM_GIVING:
		return; /* a client of TLS says more already: it is remembered */
	}
}

bool stream_serve(struct stream *stream, int *fd)
{
	struct side *side = &stream->sides[SERVER];

	side_begin(side, stream->streams->base, fd_take(fd), SIDE_SERVER, on_side);
	if (side_listen(side))
		return true;
	end_because(stream, END_NO_SERVER, "no event for its socket");
	return false;
}

void stream_begin(struct client *client, void *streams)
{
	struct streams *all = streams;
	struct stream *stream = streams_take(all);

	stream->client = client;
	client->stream = stream;
	client->deadline_ms = 0;
	client->moved_ms = 0;
	client->refusals = 0;
	stream_move(stream, STREAM_CHOOSING); /* a refused handshake was never counted as one */
	side_begin(&stream->sides[CLIENT], all->base, client->fd, 0, on_side);
	side_begin(&stream->sides[SERVER], all->base, -1, SIDE_SERVER, on_side);
	if (client->listener->config->tls_index != SIZE_MAX)
		begin_tls(stream);
	else
		choose(stream);
}

void stream_look(struct client *client, int64_t now_ms, void *streams)
{
	struct stream *stream = client->stream;

	(void)streams;
	switch ((enum stream_state)stream->state) {
	case STREAM_SHAKING:
		stream_end(stream, END_TLS_LATE);
		return;
	case STREAM_CONNECTING:
		dial_late(stream);
		return;
	case STREAM_FLOWING:
	case STREAM_BREAKING:
		flow_look(stream, now_ms);
		return;
	case STREAM_CHOOSING:
	case STREAM_HELD:
	case STREAM_GIVING:
		return; /* those are looked at by streams.c */
	}
}
