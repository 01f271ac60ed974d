/* Why: from a client to a connected socket: which slot, and what to do when it does not answer. The
 * next slot of the client's ranking is tried; nothing of the client has been read by then, so any
 * slot is as good as the first. A client that nobody can take now is held until queue_timeout.
 * Source: connect(2), unix(7), tcp(7). SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/door.h"
#include "relay/streams.h"
#include "wire/counter.h"

enum dialled {
	DIAL_CONNECTED,
	DIAL_UNDER_WAY,
	DIAL_BUSY,  /* we or the machine are out of something, or its backlog is full: no fault of
		       the server */
	DIAL_FAILED /* errno */
};

static struct upstream *upstream_of_stream(const struct stream *stream)
{
	return upstream_of(stream->streams->upstreams, stream->client->pool);
}

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof value);
}

/* Of a server elsewhere nobody tells us when its machine dies. */
static void set_options(int fd, const struct address *address, int64_t keepalive_ms)
{
	const bool is_near = (address->any.sa_family == AF_INET &&
			      ntohl(address->v4.sin_addr.s_addr) >> 24 == 127) ||
			     (address->any.sa_family == AF_INET6 &&
			      IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr));

	if (address->any.sa_family == AF_UNIX)
		return;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (is_near || keepalive_ms == 0)
		return;
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)((keepalive_ms + 999) / 1000));
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

static enum dialled answer_of(int number)
{
	static const int busy[] = { EAGAIN,  EADDRNOTAVAIL, EMFILE,    ENFILE,
				    ENOBUFS, ENOMEM,        EADDRINUSE };

	for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
		if (number == busy[i])
			return DIAL_BUSY;
	return number == EINPROGRESS ? DIAL_UNDER_WAY : DIAL_FAILED;
}

static enum dialled dial(const struct address *address, int64_t keepalive_ms, int *fd_r)
{
	enum dialled answer = DIAL_CONNECTED;

	*fd_r = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd_r < 0)
		return answer_of(errno);
	set_options(*fd_r, address, keepalive_ms);
	if (connect(*fd_r, &address->any, address->length) < 0)
		answer = answer_of(errno);
	if (answer == DIAL_BUSY || answer == DIAL_FAILED)
		fd_close(fd_r);
	return answer;
}

/* --- Which slot counts the stream --- */

static void take_slot(struct stream *stream, size_t slot)
{
	stream->slot = (uint32_t)slot & STREAM_NO_SLOT;
	upstream_of_stream(stream)->slots[slot].open++;
}

static void leave_slot(struct stream *stream)
{
	if (stream->slot != STREAM_NO_SLOT)
		upstream_of_stream(stream)->slots[stream->slot].open--;
	stream->slot = STREAM_NO_SLOT;
}

static unsigned *held_count(struct stream *stream)
{
	struct upstream *u = upstream_of_stream(stream);

	return stream->slot == STREAM_NO_SLOT ? &u->held : &u->slots[stream->slot].held;
}

static void unhold(struct stream *stream)
{
	--*held_count(stream);
	stream->slot = STREAM_NO_SLOT;
}

void dial_forget(struct stream *stream)
{
	if (!upstream_of_stream(stream))
		return;
	if (stream->state == STREAM_HELD)
		unhold(stream);
	else
		leave_slot(stream);
}

/* --- What failed already --- */

static void forget_tried(struct stream *stream)
{
	if (!stream->luggage || !stream->luggage->tried)
		return;
	free(stream->luggage->tried);
	stream->luggage->tried = NULL;
	stream_unpack(stream);
}

static void note_tried(struct stream *stream, size_t slot)
{
	struct luggage *l = stream_luggage(stream);

	if (!l->tried) {
		l->tried = calloc((stream_pool(stream)->slots + 63) / 64, sizeof *l->tried);
		if (!l->tried)
			fatal("out of memory");
	}
	l->tried[slot / 64] |= UINT64_C(1) << slot % 64;
}

/* false: enough has been tried, and the stream is gone. */
static bool failed(struct stream *stream, size_t slot, const char *why)
{
	struct client *client = stream->client;
	const uint64_t most = stream_pool(stream)->retries;

	counter_add(COUNTER_CONNECT_ERRORS, 1);
	upstream_failed(stream->streams->upstreams, upstream_of_stream(stream), slot, why);
	log_debug("%s: connecting failed: %s", upstream_of_stream(stream)->slots[slot].name, why);
	if (client->refusals >= most) {
		stream_end(stream, END_NO_SERVER);
		return false;
	}
	client->refusals++;
	counter_add(COUNTER_RETRIES, 1);
	note_tried(stream, slot);
	return true;
}

/* --- Holding --- */

/* For `slot`, or for any. All that failed may be tried again by then. */
static void hold(struct stream *stream, size_t slot)
{
	struct client *client = stream->client;
	const int64_t now_ms = clock_now_ms();

	forget_tried(stream);
	if (client->moved_ms == 0)
		client->moved_ms = now_ms + stream_pool(stream)->queue_timeout;
	stream->slot = slot == RENDEZVOUS_NONE ? STREAM_NO_SLOT : (uint32_t)slot & STREAM_NO_SLOT;
	if (now_ms >= client->moved_ms) {
		stream->slot = STREAM_NO_SLOT;
		stream_end(stream, END_NO_SERVER);
		return;
	}
	if (*held_count(stream) >= stream_pool(stream)->max_queue) {
		stream->slot = STREAM_NO_SLOT;
		stream_end(stream, END_QUEUE_FULL);
		return;
	}
	++*held_count(stream);
	stream_move(stream, STREAM_HELD);
	streams_wait(stream);
}

void dial_again(struct stream *stream)
{
	unhold(stream);
	stream_move(stream, STREAM_CHOOSING);
	dial_begin(stream);
}

/* --- Connecting --- */

static void connected(struct stream *stream)
{
	forget_tried(stream);
	log_debug("a client of %s is relayed to %s", stream->client->listener->name,
		  stream_server(stream));
	flow_begin(stream);
}

static void under_way(struct stream *stream)
{
	stream_move(stream, STREAM_CONNECTING);
	deadlines_set(stream->streams->deadlines, stream->client,
		      clock_now_ms() + stream_pool(stream)->connect_timeout);
}

/* true: the stream goes its way (or has ended); false: the next slot. */
static bool try_slot(struct stream *stream, size_t slot)
{
	const struct upstream *u = upstream_of_stream(stream);
	int fd;
	const enum dialled answer =
		dial(&u->slots[slot].address, stream->client->listener->config->keepalive, &fd);
	const int number = errno;

	counter_add(COUNTER_CONNECTS, 1);
	if (answer == DIAL_BUSY) {
		counter_add(COUNTER_CONNECT_ERRORS, 1);
		hold(stream, slot);
		return true;
	}
	if (answer == DIAL_FAILED)
		return !failed(stream, slot, strerror(number));
	take_slot(stream, slot);
	if (!stream_serve(stream, &fd))
		return true;
	if (answer == DIAL_CONNECTED)
		connected(stream);
	else
		under_way(stream);
	return true;
}

static void count_reroute(struct stream *stream, size_t rank)
{
	if (rank == 0 || stream->client->rerouted)
		return;
	stream->client->rerouted = true;
	counter_add(COUNTER_REROUTED, 1);
}

/* Chooses until one is connecting, or there is nobody to choose. */
static void place(struct stream *stream)
{
	struct upstream *u = upstream_of_stream(stream);
	struct client *client = stream->client;
	size_t slot, rank;

	for (;;) {
		const bool late = client->moved_ms != 0 && clock_now_ms() >= client->moved_ms;
		const bool failover = late || u->pool->on_down == ON_DOWN_FAILOVER;
		const uint64_t *tried = stream->luggage ? stream->luggage->tried : NULL;

		if (upstream_choose(u, client->key, tried, failover, &slot, &rank) !=
		    UPSTREAM_SLOT) {
			hold(stream, slot);
			return;
		}
		count_reroute(stream, rank);
		if (try_slot(stream, slot))
			return;
	}
}

void dial_begin(struct stream *stream)
{
	struct client *client = stream->client;

	if (client->key == 0)
		client->key = route_key(&upstream_of_stream(stream)->route, &client->peer);
	place(stream);
}

static void next_slot(struct stream *stream, const char *why)
{
	const size_t slot = stream->slot;
	struct side *side = &stream->sides[SERVER];
	int fd = side_fd(side);

	side_end(side);
	fd_close(&fd);
	leave_slot(stream);
	deadlines_drop(stream->streams->deadlines, stream->client);
	stream_move(stream, STREAM_CHOOSING);
	if (failed(stream, slot, why))
		place(stream);
}

/* A failure is told as readable and writable at once (EPOLLERR), so one that is writable only needs
 * not be asked. */
void dial_event(struct stream *stream, short what)
{
	int number = 0;
	socklen_t length = sizeof number;

	if (what & ~(EV_WRITE | EV_ET) &&
	    getsockopt(side_fd(&stream->sides[SERVER]), SOL_SOCKET, SO_ERROR, &number, &length) < 0)
		number = errno;
	if (number == 0)
		connected(stream);
	else
		next_slot(stream, strerror(number));
}

void dial_late(struct stream *stream)
{
	next_slot(stream, "not connected within connect_timeout");
}
