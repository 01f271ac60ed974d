/* Why: whoever prints our lines may stop reading (a paused terminal, a pipe into a dead program,
 * journald), and we must not stop with him. O_NONBLOCK on an inherited descriptor would change it
 * for the shell too, so a sink is a description of its own. Source: open(2), poll(2), pipe(7),
 * proc(5). SPDX-License-Identifier: ISC */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sink_kind {
	SINK_NONE,
	SINK_FILE,   /* a regular file or /dev/null: never full, cannot be waited for */
	SINK_OWN,    /* a pipe or terminal opened again: O_NONBLOCK is ours alone */
	SINK_SOCKET, /* MSG_DONTWAIT does it */
	SINK_SHARED, /* could not be opened again: poll first, then at most PIPE_BUF bytes */
};

/* Zero-initialised: a sink that takes nothing. */
struct sink {
	enum sink_kind kind;
	int fd;
};

/* A sink that writes where `fd` does; the caller keeps `fd`. On failure (of dup) the sink takes
 * nothing. */
void sink_begin(struct sink *sink, int fd);

/* The same for a description that nobody shares with us and that is non-blocking: *fd is taken
 * (left -1). */
void sink_take(struct sink *sink, int *fd);

void sink_end(struct sink *sink);

/* Like write(2), but never blocks and never raises SIGPIPE where that can be had (sockets): bytes
 * written, fewer than asked where the place is full, or -1 with errno; EAGAIN: later. */
ssize_t sink_write(const struct sink *sink, const char *bytes, size_t length);

/* Can epoll tell when a full sink has room again? */
bool sink_can_be_awaited(const struct sink *sink);

#endif
