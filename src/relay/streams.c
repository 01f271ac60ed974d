/* Why: all streams of a relay: their memory, and the three rolls of those that something must be
 * done for without an event of their own. SPDX-License-Identifier: ISC */
#include "relay/streams.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/counter.h"

#define CHUNK      64 /* streams */
#define WAITING_MS 20
#define DOUBTS_MS  50

/* An idle plain stream costs these two and what libevent keeps per descriptor: two blocks of 32
 * bytes, and up to 32 bytes in its table. 512 in all. */
_Static_assert(sizeof(struct stream) + sizeof(struct client) + 2 * 32 + 32 <= 512,
	       "an idle relayed connection has become too large");

struct chunk {
	struct chunk *next;
	struct stream streams[CHUNK];
};

static void grow(struct streams *all)
{
	struct chunk *chunk = calloc(1, sizeof *chunk);

	if (!chunk)
		fatal("out of memory");
	chunk->next = all->chunks;
	all->chunks = chunk;
	for (size_t i = 0; i < CHUNK; i++) {
		chunk->streams[i].next = all->unused;
		all->unused = &chunk->streams[i];
	}
}

struct stream *streams_take(struct streams *all)
{
	struct stream *stream;

	if (!all->unused)
		grow(all);
	stream = all->unused;
	all->unused = stream->next;
	*stream = (struct stream){ .streams = all, .slot = STREAM_NO_SLOT };
	all->count++;
	return stream;
}

void streams_give(struct stream *stream)
{
	struct streams *all = stream->streams;

	stream->streams = NULL; /* what end_all knows it by */
	stream->next = all->unused;
	all->unused = stream;
	all->count--;
	if (all->count == 0 && all->idle)
		all->idle(all->idle_arg);
}

static void wake_in(struct event *event, int64_t ms)
{
	const struct timeval wait = clock_timeval(ms);

	if (!event_pending(event, EV_TIMEOUT, NULL))
		event_add(event, &wait);
}

void streams_wait(struct stream *stream)
{
	struct streams *all = stream->streams;

	roll_enter(&all->waiting, stream, &stream->place);
	counter_add(COUNTER_HELD, 1);
	wake_in(all->on_waiting, WAITING_MS);
}

void streams_unwait(struct stream *stream)
{
	roll_leave(&stream->streams->waiting, &stream->place);
	counter_sub(COUNTER_HELD, 1);
}

/* Whoever must go on waiting comes back to the roll, which is ours no more by then. */
static void look_at_waiting(evutil_socket_t fd, short what, void *arg)
{
	struct streams *all = arg;
	struct roll waiting = all->waiting;

	(void)fd, (void)what;
	all->waiting = (struct roll){ 0 };
	while (waiting.count > 0) {
		struct stream *stream = roll_take(&waiting);

		counter_sub(COUNTER_HELD, 1);
		if (stream->state == STREAM_HELD)
			dial_again(stream);
		else
			giving_again(stream);
	}
	roll_end(&waiting);
}

/* One turn each; who is not finished then stands on the next roll. */
static void run_ready(evutil_socket_t fd, short what, void *arg)
{
	struct streams *all = arg;
	struct roll ready = all->ready;
	struct stream *stream;

	(void)fd, (void)what;
	all->ready = (struct roll){ 0 };
	while ((stream = roll_take(&ready)))
		flow_run(stream);
	roll_end(&ready);
}

/* Whom nothing has come to since the last turn is looked at; both sides, since the stream may end
 * by it and must stand on no roll of ours then. */
static void doubt(struct stream *stream, struct roll *doubts)
{
	bool is_due = false;

	for (int i = CLIENT; i <= SERVER; i++) {
		struct side *side = &stream->sides[i];

		roll_leave(doubts, &side->doubt);
		if (side->unsure == SIDE_DOUBTED) {
			side->flags |= SIDE_READABLE;
			is_due = true;
		} else if (side->unsure == SIDE_UNSURE) {
			side->unsure = SIDE_DOUBTED;
		}
	}
	if (is_due)
		flow_run(stream);
	else
		streams_doubt(stream);
}

static void run_doubts(evutil_socket_t fd, short what, void *arg)
{
	struct streams *all = arg;
	struct roll doubts = all->doubts;
	struct side *side;

	(void)fd, (void)what;
	all->doubts = (struct roll){ 0 };
	while ((side = roll_take(&doubts)))
		doubt(stream_of(side), &doubts);
	roll_end(&doubts);
}

/* Not by event_active: that would run before the others' events are looked at. */
void streams_ready(struct stream *stream)
{
	roll_enter(&stream->streams->ready, stream, &stream->place);
	wake_in(stream->streams->on_ready, 0);
}

void streams_doubt(struct stream *stream)
{
	struct streams *all = stream->streams;

	for (int i = CLIENT; i <= SERVER; i++) {
		struct side *side = &stream->sides[i];

		if (side->unsure && side->doubt == 0) {
			roll_enter(&all->doubts, side, &side->doubt);
			wake_in(all->on_doubts, DOUBTS_MS);
		}
	}
}

void streams_opened(void *streams)
{
	struct streams *all = streams;
	const struct timeval now = { 0, 0 };

	if (all && all->waiting.count > 0)
		event_add(all->on_waiting, &now);
}

void streams_gifts(struct streams *streams, int *fd)
{
	fd_close(&streams->gifts);
	streams->gifts = fd_take(fd);
	streams_opened(streams);
}

unsigned streams_count(const struct streams *streams)
{
	return streams->count;
}

void streams_stop(struct streams *streams, void (*idle)(void *arg), void *arg)
{
	streams->idle = idle;
	streams->idle_arg = arg;
	if (streams->count == 0)
		idle(arg);
}

struct streams *streams_new(struct event_base *base, const struct config *config,
			    struct upstreams *upstreams, struct tls_store *tls, uint32_t number)
{
	struct streams *all = calloc(1, sizeof *all);

	if (!all)
		fatal("out of memory");
	all->base = base;
	all->config = config;
	all->upstreams = upstreams;
	all->tls = tls;
	all->number = number;
	all->started_us = (uint64_t)clock_now_us();
	all->gifts = -1;
	all->deadlines = deadlines_new(base, stream_look, all);
	all->pipes = pipes_new();
	all->lent = malloc(PUMP_LENT);
	all->shaking = calloc(config->tls_count + 1, sizeof *all->shaking);
	all->on_ready = event_new(base, -1, 0, run_ready, all);
	all->on_waiting = event_new(base, -1, 0, look_at_waiting, all);
	all->on_doubts = event_new(base, -1, 0, run_doubts, all);
	if (!all->lent || !all->shaking || !all->on_ready || !all->on_waiting || !all->on_doubts)
		fatal("out of memory");
	return all;
}

/* Streams are found by their chunks: no list holds them all. */
static void end_all(struct streams *all)
{
	for (struct chunk *chunk = all->chunks; chunk; chunk = chunk->next)
		for (size_t i = 0; i < CHUNK; i++)
			if (chunk->streams[i].streams)
				stream_end(&chunk->streams[i], END_SHUTDOWN);
}

void streams_free(struct streams **streams)
{
	struct streams *all = *streams;

	*streams = NULL;
	if (!all)
		return;
	all->idle = NULL;
	end_all(all);
	while (all->chunks) {
		struct chunk *next = all->chunks->next;

		free(all->chunks);
		all->chunks = next;
	}
	event_free(all->on_ready);
	event_free(all->on_waiting);
	event_free(all->on_doubts);
	roll_end(&all->ready);
	roll_end(&all->waiting);
	roll_end(&all->doubts);
	deadlines_free(&all->deadlines);
	pipes_free(&all->pipes);
	fd_close(&all->gifts);
	free(all->lent);
	free(all->shaking);
	free(all);
}
