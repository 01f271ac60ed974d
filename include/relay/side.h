/* Why: a stream has two ends, and what it may do next depends on what the kernel has told of each.
 * A side is one end: its one event, registered once and edge-triggered, so that waking up costs no
 * epoll_ctl(2), and what was told so far. Bytes go in and out here, plain or TLS.
 *
 * An edge comes once: SIDE_READABLE holds until a read has shown that nothing is left. A read that
 * gave less than asked for has shown it, unless the peer's end is behind the bytes. Its FIN is told
 * by EV_CLOSED; its RST is not (libevent reports it as bytes), so a side is `unsure` after such a
 * read, and is to be looked at once more when nothing has come for a while. Source: epoll(7).
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_SIDE_H
#define RELAY_SIDE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/tls.h"

enum side_flag {
	SIDE_SERVER = 1,   /* the worker's end; else the client's */
	SIDE_LISTENS = 2,  /* the event is registered */
	SIDE_READABLE = 4, /* a read may give something */
	SIDE_WRITABLE = 8,
	SIDE_CLOSED = 16, /* the peer sends no more: its end is behind the bytes */
	SIDE_EOF = 32,    /* and was read */
	SIDE_SHUT = 64,   /* it was told that we send no more */
	SIDE_BROKEN = 128 /* reset, or TLS cut off: what was received still counts */
};

struct side {
	struct event event; /* of its descriptor */
	uint32_t doubt;     /* place on the roll of the unsure */
	uint8_t flags;      /* enum side_flag */
	uint8_t large;      /* large reads in a row, see pump.c */
	uint8_t unsure;     /* enum side_doubt */
};

/* A busy side is never looked at for nothing: its next bytes make the doubt a fresh one. */
enum side_doubt {
	SIDE_SURE,
	SIDE_DOUBTED, /* since before the last turn of the roll */
	SIDE_UNSURE   /* afresh */
};

#define side_fd(side) ((side)->event.ev_fd)

/* `kind` is SIDE_SERVER or 0. Nobody is told anything until side_listen. */
void side_begin(struct side *side, struct event_base *base, int fd, uint8_t kind,
		event_callback_fn handler);
bool side_listen(struct side *side); /* false: errno */
void side_deafen(struct side *side);

/* Before the descriptor is closed; the descriptor stays the caller's. */
void side_end(struct side *side);

/* `what` of an event: what may be tried now. */
void side_heard(struct side *side, short what, const struct tls *tls);

/* Bytes read; 0: see the flags. `tls` NULL: plain. */
size_t side_read(struct side *side, struct tls *tls, void *out, size_t size);
size_t side_write(struct side *side, struct tls *tls, const void *bytes, size_t size);

/* Tells the peer that we send no more; SIDE_SHUT when that is done. */
void side_shut(struct side *side, struct tls *tls);

#endif
