/* Why: what the files that make a stream's life share: stream.c (its states), dial.c (which slot,
 * connecting), giving.c (pools that get sockets), flow.c (bytes), streams.c (all of them). Not for
 * others. SPDX-License-Identifier: ISC */
#ifndef RELAY_STREAMS_H
#define RELAY_STREAMS_H

#include "relay/deadlines.h"
#include "relay/pump.h"
#include "relay/roll.h"
#include "relay/stream.h"

/*	SHAKING ──handshake over──► CHOOSING, GIVING
 *	CHOOSING ──slot──► CONNECTING, FLOWING (UNIX sockets connect at once)
 *	CHOOSING ──none now──► HELD ──opened, or a while──► CHOOSING
 *	CONNECTING ──accepted──► FLOWING    ──refused, late──► CHOOSING
 *	GIVING ──acceptor has it──► FLOWING
 *	FLOWING ──a side was reset──► BREAKING
 *	any ──► stream_end, stream_abort
 * stream_move makes them all. */
enum stream_state {
	STREAM_SHAKING,
	STREAM_CHOOSING,
	STREAM_HELD,
	STREAM_CONNECTING,
	STREAM_GIVING,
	STREAM_FLOWING,
	STREAM_BREAKING
};

enum stream_end { /* which side; which direction, by where it comes from */
	CLIENT,
	SERVER
};

/* What most streams do not need most of the time. */
struct luggage {
	struct hold holds[2]; /* by where the bytes come from */
	struct tls *tls;      /* of the client's side */
	uint64_t *tried;      /* while CHOOSING: a bit per slot that failed; NULL: none has */
};

#define STREAM_NO_SLOT ((1u << 24) - 1)

/* One per relayed connection, idle ones too: see the sizes in streams.c. */
struct stream {
	struct side sides[2]; /* first: stream_of */
	struct streams *streams;
	union {
		struct client *client;
		struct stream *next; /* unused ones */
	};
	struct luggage *luggage;
	uint32_t place;     /* on the roll of its state */
	uint32_t slot : 24; /* held for, connecting or connected to; STREAM_NO_SLOT: none */
	uint32_t state : 4;
	uint32_t has_spoken : 1;   /* a byte of the client came */
	uint32_t has_answered : 1; /* a byte of the server came */
	uint32_t breaker : 1;      /* BREAKING: which side was reset (enum stream_end) */
};

struct streams {
	struct event_base *base;
	const struct config *config;
	struct upstreams *upstreams;
	struct tls_store *tls;
	struct deadlines *deadlines;
	struct pipes *pipes;
	char *lent;          /* PUMP_LENT bytes for whoever reads now */
	struct roll ready;   /* FLOWING ones that have more to move than their turn allowed */
	struct roll waiting; /* HELD and GIVING ones */
	struct roll doubts;  /* sides that are unsure */
	struct event *on_ready, *on_waiting, *on_doubts;
	struct stream *unused;
	struct chunk *chunks;
	unsigned *shaking; /* of each [tls] section */
	unsigned count;
	int gifts;                        /* link to the acceptor, or -1 */
	uint32_t number;                  /* of the relay */
	uint64_t started_us, connections; /* the rest of a unique id */
	void (*idle)(void *arg);          /* NULL: not stopping */
	void *idle_arg;
};

/* --- streams.c --- */

struct stream *streams_take(struct streams *streams);
void streams_give(struct stream *stream);
void streams_wait(struct stream *stream);   /* looks at it again soon, and when something opened */
void streams_unwait(struct stream *stream); /* it ends, or is looked at */
void streams_ready(struct stream *stream);  /* it goes on when others had their turn */
void streams_doubt(struct stream *stream);  /* looks once more at its sides that are unsure */

/* --- stream.c --- */

void stream_move(struct stream *stream, enum stream_state to);
void stream_end(struct stream *stream, enum end_reason reason);
/* The same with a reset for whoever is still there. */
void stream_abort(struct stream *stream, enum end_reason reason);
/* Its server's side is this descriptor, taken and listened to; false: the stream has ended. */
bool stream_serve(struct stream *stream, int *fd);
void stream_look(struct client *client, int64_t now_ms, void *streams); /* a deadlines_handler */

static inline struct stream *stream_of(struct side *side)
{
	return (struct stream *)(void *)(side->flags & SIDE_SERVER ? side - SERVER : side);
}
static inline struct tls *stream_tls(const struct stream *stream)
{
	return stream->luggage ? stream->luggage->tls : NULL;
}
static inline const struct pool_config *stream_pool(const struct stream *stream)
{
	return &stream->streams->config->pools[stream->client->pool];
}
struct luggage *stream_luggage(struct stream *stream); /* fresh where it had none */
void stream_unpack(struct stream *stream);             /* gives an empty one back */

/* Its passport, with the connection's own addresses where that knows none. */
void stream_describe(const struct stream *stream, struct passport *passport_r);

/* The name of the slot, for the log. */
const char *stream_server(const struct stream *stream);

/* --- dial.c --- */

void dial_begin(struct stream *stream);             /* from CHOOSING */
void dial_event(struct stream *stream, short what); /* CONNECTING: something is known */
void dial_late(struct stream *stream);              /* CONNECTING: connect_timeout */
void dial_again(struct stream *stream);             /* HELD */
void dial_forget(struct stream *stream);            /* it ends: no slot counts it any more */

/* --- giving.c --- */

void giving_begin(struct stream *stream);
void giving_again(struct stream *stream); /* GIVING: something may have changed */

/* --- flow.c --- */

/* Its server's side is connected. */
void flow_begin(struct stream *stream);
void flow_run(struct stream *stream);
void flow_look(struct stream *stream, int64_t now_ms); /* a deadline has passed, maybe */

#endif
