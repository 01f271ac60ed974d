/* Why: the two directions of a stream together: whoever wakes it, both are pumped, and then it is
 * decided whether it goes on, ends in order, or is broken. A reset of one side becomes a reset of
 * the other, after what came before it. SPDX-License-Identifier: ISC */
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "relay/streams.h"
#include "wire/counter.h"
#include "wire/proxy_header.h"

/* So long a reset waits for the kernel to deliver what was sent before it: it would discard that.
 */
#define BREAK_MS      5000
#define BREAK_LOOK_MS 50

#define OTHER(end) ((end) == CLIENT ? SERVER : CLIENT)

/* --- send_proxy --- */

/* No two connections of any relay have the same. */
static size_t unique_id(struct streams *all, uint8_t out[20])
{
	const uint64_t connection = all->connections++;

	memcpy(out, &all->number, 4);
	memcpy(out + 4, &connection, 8);
	memcpy(out + 12, &all->started_us, 8);
	return 20;
}

static void introduce(struct stream *stream)
{
	const bool is_v1 = stream_pool(stream)->send_proxy == SEND_PROXY_V1;
	struct passport passport;
	char header[PROXY_V2_MAX];
	uint8_t unique[20];
	size_t length;

	stream_describe(stream, &passport);
	if (is_v1)
		length = proxy_header_write_v1(header, sizeof header, &passport.from, &passport.to);
	else
		length = proxy_header_write_passport(header, sizeof header, &passport, unique,
						     unique_id(stream->streams, unique), true);
	hold_keep(&stream_luggage(stream)->holds[CLIENT], header, length);
}

/* --- Deadlines --- */

/* By chance for each connection, and the same whenever it is asked. */
static int64_t jitter_of(const struct client *client, int64_t most)
{
	uint64_t z = (uint64_t)client->accepted_us ^ client->key;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (int64_t)((z ^ z >> 31) % ((uint64_t)most + 1));
}

static void earlier(int64_t *due, enum end_reason *reason_r, int64_t since, int64_t wait,
		    enum end_reason reason)
{
	if (wait == 0 || since + wait >= *due)
		return;
	*due = since + wait;
	*reason_r = reason;
}

/* When it would end if nothing moved from now on, and why. */
static int64_t due(const struct stream *stream, enum end_reason *reason_r)
{
	const struct pool_config *pool = stream_pool(stream);
	const struct client *client = stream->client;
	const int64_t accepted_ms = client->accepted_us / 1000;
	int64_t due = CLOCK_NEVER;

	*reason_r = END_IDLE;
	earlier(&due, reason_r, client->moved_ms, pool->idle_timeout, END_IDLE);
	if ((stream->sides[CLIENT].flags | stream->sides[SERVER].flags) & SIDE_EOF)
		earlier(&due, reason_r, client->moved_ms, pool->half_closed_timeout,
			END_HALF_CLOSED);
	if (!stream->has_spoken)
		earlier(&due, reason_r, accepted_ms, pool->first_byte_timeout, END_FIRST_BYTE);
	if (pool->max_connection_age > 0)
		earlier(&due, reason_r, accepted_ms,
			pool->max_connection_age +
				jitter_of(client, pool->max_connection_age_jitter),
			END_AGE);
	return due;
}

static void set_deadline(struct stream *stream)
{
	enum end_reason reason;

	deadlines_set(stream->streams->deadlines, stream->client, due(stream, &reason));
}

/* --- The end --- */

static bool is_undelivered(const struct side *side)
{
	int left = 0;

	return ioctl(side_fd(side), SIOCOUTQ, &left) == 0 && left > 0;
}

static enum end_reason reset_reason(const struct stream *stream)
{
	if (stream->breaker == SERVER)
		return END_SERVER_RESET;
	return stream_tls(stream) ? END_TLS_BROKEN : END_CLIENT_RESET;
}

/* A server that resets before anybody has said a word takes no connections; after that it may be
 * the client's fault. */
static void blame(struct stream *stream)
{
	struct upstream *u = upstream_of(stream->streams->upstreams, stream->client->pool);

	if (u && stream->breaker == SERVER && !stream->has_answered && !stream->has_spoken)
		upstream_failed(stream->streams->upstreams, u, stream->slot, "reset at once");
}

static void break_off(struct stream *stream, int64_t now_ms)
{
	const struct side *other = &stream->sides[OTHER(stream->breaker)];

	if (!(other->flags & SIDE_BROKEN) && is_undelivered(other) &&
	    now_ms < stream->client->moved_ms + BREAK_MS) {
		stream_move(stream, STREAM_BREAKING);
		deadlines_set(stream->streams->deadlines, stream->client, now_ms + BREAK_LOOK_MS);
		return;
	}
	blame(stream);
	stream_abort(stream, reset_reason(stream));
}

static bool holds(const struct stream *stream, enum stream_end from)
{
	return stream->luggage && !hold_is_empty(&stream->luggage->holds[from]);
}

/* What the broken side had sent goes first; what was for it is lost. */
static void broken(struct stream *stream)
{
	const struct side *sides = stream->sides;
	const struct side *first;

	if (stream->state == STREAM_FLOWING)
		stream->breaker = sides[CLIENT].flags & SIDE_BROKEN ? CLIENT : SERVER;
	first = &sides[stream->breaker];
	if (!(sides[OTHER(stream->breaker)].flags & SIDE_BROKEN) &&
	    (!(first->flags & SIDE_EOF) || holds(stream, (enum stream_end)stream->breaker)))
		return;
	break_off(stream, clock_now_ms());
}

static bool is_over(const struct side *side)
{
	return (side->flags & (SIDE_EOF | SIDE_SHUT)) == (SIDE_EOF | SIDE_SHUT);
}

static void conclude(struct stream *stream)
{
	const struct side *sides = stream->sides;

	if ((sides[CLIENT].flags | sides[SERVER].flags) & SIDE_BROKEN)
		broken(stream);
	else if (is_over(&sides[CLIENT]) && is_over(&sides[SERVER]))
		stream_end(stream, END_RELAYED);
}

/* --- Bytes --- */

static void count(struct stream *stream, enum stream_end from, const struct pump *p)
{
	if (p->read + p->written == 0)
		return;
	stream->client->moved_ms = clock_now_ms();
	if (p->spliced > 0)
		counter_add(COUNTER_SPLICED, p->spliced);
	if (from == CLIENT) {
		stream->has_spoken |= p->read > 0;
		counter_add(COUNTER_BYTES_IN, p->read);
		return;
	}
	counter_add(COUNTER_BYTES_OUT, p->written);
	if (!stream->has_answered && p->read > 0) {
		struct upstream *u = upstream_of(stream->streams->upstreams, stream->client->pool);

		stream->has_answered = 1;
		if (u)
			upstream_worked(stream->streams->upstreams, u, stream->slot);
	}
}

/* Most of the time nothing is held, and nothing of the stream's need be there to hold it. */
static bool run(struct stream *stream, enum stream_end from)
{
	struct streams *all = stream->streams;
	struct hold none = { 0 };
	struct tls *tls = stream_tls(stream);
	struct pump pump = {
		.from = &stream->sides[from],
		.to = &stream->sides[OTHER(from)],
		.from_tls = from == CLIENT ? tls : NULL,
		.to_tls = from == SERVER ? tls : NULL,
		.hold = stream->luggage ? &stream->luggage->holds[from] : &none,
		.pipes = all->pipes,
		.lent = all->lent,
		.limit = stream_pool(stream)->relay_buffer,
	};
	const bool more = pump_run(&pump);

	if (!hold_is_empty(&none))
		stream_luggage(stream)->holds[from] = none;
	count(stream, from, &pump);
	return more;
}

static bool must_be_read(const struct side *side)
{
	return (side->flags & (SIDE_BROKEN | SIDE_EOF)) == SIDE_BROKEN;
}

void flow_run(struct stream *stream)
{
	struct side *sides = stream->sides;
	const unsigned ends = (sides[CLIENT].flags | sides[SERVER].flags) & SIDE_EOF;
	bool more = run(stream, CLIENT);

	more |= run(stream, SERVER);
	if (must_be_read(&sides[CLIENT])) /* found out by the second run */
		more |= run(stream, CLIENT);
	if (stream->luggage)
		stream_unpack(stream);
	if (sides[CLIENT].unsure || sides[SERVER].unsure)
		streams_doubt(stream);
	if (more)
		streams_ready(stream);
	if (stream->state == STREAM_FLOWING && !ends &&
	    (sides[CLIENT].flags | sides[SERVER].flags) & SIDE_EOF)
		set_deadline(stream);
	conclude(stream);
}

void flow_look(struct stream *stream, int64_t now_ms)
{
	enum end_reason reason;
	const int64_t due_ms = due(stream, &reason);

	if (stream->state == STREAM_BREAKING) {
		break_off(stream, now_ms);
		return;
	}
	if (due_ms > now_ms) {
		deadlines_set(stream->streams->deadlines, stream->client, due_ms);
		return;
	}
	if (stream_tls(stream) && !holds(stream, SERVER))
		side_shut(&stream->sides[CLIENT], stream_tls(stream));
	stream_end(stream, reason);
}

/* The client has most likely spoken by now: it is read without waiting to be told. */
void flow_begin(struct stream *stream)
{
	struct client *client = stream->client;

	stream_move(stream, STREAM_FLOWING);
	counter_add(COUNTER_RELAYED, 1);
	client->moved_ms = clock_now_ms();
	if (!side_listen(&stream->sides[CLIENT])) {
		stream_end(stream, END_NO_SERVER);
		return;
	}
	stream->sides[CLIENT].flags |= SIDE_READABLE | SIDE_WRITABLE;
	stream->sides[SERVER].flags |= SIDE_WRITABLE;
	set_deadline(stream);
	if (stream_pool(stream)->proxied && stream_pool(stream)->send_proxy != SEND_PROXY_OFF)
		introduce(stream);
	flow_run(stream);
}
