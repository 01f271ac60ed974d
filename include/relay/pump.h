/* Why: bytes of one direction of a stream. They are read into one buffer that all streams of the
 * process share and written to the other side at once; only what the receiver does not take is kept
 * by the direction, and while it keeps anything nothing more is read. A plain stream that has shown
 * itself to be bulk goes through a pipe in the kernel instead, and comes back when it calms down.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_PUMP_H
#define RELAY_PUMP_H

#include "relay/pipes.h"
#include "relay/side.h"

#define PUMP_LENT (256u << 10)
#define PUMP_TURN (1u << 20) /* bytes of one run; then others have their turn */

/* What a direction could not get rid of: bytes or a pipe, never both. */
struct hold {
	char *bytes; /* [start, end) of them, or NULL */
	uint32_t start, end;
	struct pipe *pipe; /* with bytes in it, or NULL */
};

/* A view of one direction for one run. */
struct pump {
	struct side *from, *to;
	struct tls *from_tls, *to_tls; /* NULL: plain */
	struct hold *hold;
	struct pipes *pipes;
	char *lent;     /* PUMP_LENT bytes */
	size_t limit;   /* most bytes to read at once, and so to hold */
	size_t read;    /* results: bytes that came, */
	size_t written; /* went, */
	size_t spliced; /* and went by the kernel's way */
};

/* Moves what can be moved, forwards the end behind it. true: the turn is over, but not the bytes:
 * run it again without waiting for an event. */
bool pump_run(struct pump *pump);

static inline bool hold_is_empty(const struct hold *hold)
{
	return !hold->bytes && !hold->pipe;
}
void hold_keep(struct hold *hold, const void *bytes, size_t length); /* into an empty one */
void hold_drop(struct hold *hold, struct pipes *pipes);

#endif
