/* Why: see the header. SPDX-License-Identifier: ISC */
#include "relay/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* So many large reads in a row are bulk; so much has a read that is large (of what was asked), and
 * a splice. A calm one counts down from there, so that a single pause changes nothing. */
#define BULK         4
#define BULK_MOST    8
#define SPLICE_LARGE (16u << 10)

void hold_keep(struct hold *hold, const void *bytes, size_t length)
{
	hold->bytes = malloc(length);
	if (!hold->bytes)
		fatal("out of memory");
	memcpy(hold->bytes, bytes, length);
	hold->start = 0;
	hold->end = (uint32_t)length;
}

void hold_drop(struct hold *hold, struct pipes *pipes)
{
	free(hold->bytes);
	if (hold->pipe)
		pipes_give(pipes, &hold->pipe);
	*hold = (struct hold){ 0 };
}

static void flush_bytes(struct pump *p)
{
	struct hold *hold = p->hold;
	const size_t n =
		side_write(p->to, p->to_tls, hold->bytes + hold->start, hold->end - hold->start);

	p->written += n;
	hold->start += (uint32_t)n;
	if (hold->start == hold->end)
		hold_drop(hold, p->pipes);
}

/* SIGPIPE is ignored by every role; there is no flag against it here. */
static void flush_pipe(struct pump *p)
{
	struct pipe *pipe = p->hold->pipe;

	while (pipe->held > 0) {
		const ssize_t n = splice(pipe->out, NULL, side_fd(p->to), NULL, pipe->held,
					 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n < 0 && errno == EAGAIN)
				p->to->flags &= (uint8_t)~SIDE_WRITABLE;
			else
				p->to->flags |= SIDE_BROKEN | SIDE_READABLE;
			return;
		}
		pipe->held -= (size_t)n;
		p->written += (size_t)n;
		p->spliced += (size_t)n;
	}
	hold_drop(p->hold, p->pipes);
}

/* true: nothing is held. */
static bool flush(struct pump *p)
{
	if (hold_is_empty(p->hold))
		return true;
	if (!(p->to->flags & SIDE_WRITABLE))
		return false;
	if (p->hold->bytes)
		flush_bytes(p);
	else
		flush_pipe(p);
	return hold_is_empty(p->hold);
}

static void count_large(struct side *side, bool is_large)
{
	if (is_large && side->large < BULK_MOST)
		side->large++;
	else if (!is_large)
		side->large = 0;
}

static void copy(struct pump *p)
{
	const size_t size = p->limit < PUMP_LENT ? p->limit : PUMP_LENT;
	const size_t n = side_read(p->from, p->from_tls, p->lent, size);
	size_t written;

	if (n == 0)
		return;
	p->read += n;
	count_large(p->from, n >= size / 2);
	written = side_write(p->to, p->to_tls, p->lent, n);
	p->written += written;
	if (written < n && !(p->to->flags & SIDE_BROKEN))
		hold_keep(p->hold, p->lent + written, n - written);
}

/* A splice of less than asked for may mean that the pipe's places are full: only EAGAIN tells that
 * the socket is empty, which the pipe is too at that time. */
static void fill_pipe(struct pump *p, struct pipe *pipe)
{
	struct side *from = p->from;
	const ssize_t n = splice(side_fd(from), NULL, pipe->in, NULL, pipe->size,
				 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0) {
		pipe->held = (size_t)n;
		p->read += (size_t)n;
		if ((size_t)n >= SPLICE_LARGE)
			from->large = BULK_MOST;
		else
			from->large--;
	} else if (n == 0) {
		from->flags |= SIDE_EOF;
	} else if (errno == EAGAIN) {
		from->flags &= (uint8_t)~SIDE_READABLE;
		from->unsure = SIDE_SURE;
		if (from->flags & SIDE_BROKEN)
			from->flags |= SIDE_EOF;
	} else if (errno == EINVAL) {
		from->large = 0; /* no splicing between these two */
	} else if (errno != EINTR) {
		from->flags |= SIDE_BROKEN | SIDE_EOF;
	}
}

static bool is_bulk(const struct pump *p)
{
	return p->from->large >= BULK && !p->from_tls && !p->to_tls;
}

static void move(struct pump *p)
{
	struct pipe *pipe = is_bulk(p) ? pipes_take(p->pipes) : NULL;

	if (!pipe) {
		copy(p);
		return;
	}
	fill_pipe(p, pipe);
	p->hold->pipe = pipe;
	if (pipe->held == 0)
		hold_drop(p->hold, p->pipes);
}

/* The end is told when everything before it is through. Where the other direction is over too, both
 * sockets are closed next, which tells it without a further call. */
static void forward_end(struct pump *p)
{
	const bool is_last = p->to->flags & SIDE_EOF && p->from->flags & SIDE_SHUT;

	if ((p->from->flags & SIDE_BROKEN) || (p->to->flags & SIDE_SHUT))
		return;
	if (is_last && !p->to_tls)
		p->to->flags |= SIDE_SHUT;
	else
		side_shut(p->to, p->to_tls);
}

bool pump_run(struct pump *p)
{
	for (;;) {
		if (p->to->flags & SIDE_BROKEN)
			return false;
		if (!flush(p))
			return false;
		if (p->from->flags & SIDE_EOF) {
			forward_end(p);
			return false;
		}
		if (!(p->from->flags & SIDE_READABLE))
			return false;
		if (p->read >= PUMP_TURN)
			return true;
		move(p);
	}
}
