/* Why: see the header. SPDX-License-Identifier: ISC */
#include "relay/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

/* Beyond its limit per user the kernel gives pipes of a page or two: reading and writing is cheaper
 * than those. */
#define USEFUL       (64 << 10)
#define ASK_AGAIN_MS 1000

struct pipes {
	struct pipe *unused;
	unsigned count; /* lent ones included */
	int64_t ask_ms; /* the kernel refused: not before */
};

struct pipes *pipes_new(void)
{
	struct pipes *pipes = calloc(1, sizeof *pipes);

	if (!pipes)
		fatal("out of memory");
	return pipes;
}

static void pipe_close(struct pipes *pipes, struct pipe *pipe)
{
	fd_close(&pipe->out);
	fd_close(&pipe->in);
	free(pipe);
	pipes->count--;
}

void pipes_free(struct pipes **pipes)
{
	struct pipes *p = *pipes;

	*pipes = NULL;
	if (!p)
		return;
	while (p->unused) {
		struct pipe *next = p->unused->next;

		pipe_close(p, p->unused);
		p->unused = next;
	}
	free(p);
}

static struct pipe *make(struct pipes *pipes)
{
	int ends[2], size;
	struct pipe *pipe;

	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return NULL;
	pipe = calloc(1, sizeof *pipe);
	if (!pipe)
		fatal("out of memory");
	pipe->out = ends[0];
	pipe->in = ends[1];
	pipes->count++;
	size = fcntl(pipe->in, F_SETPIPE_SZ, PIPES_SIZE);
	if (size < 0)
		size = fcntl(pipe->in, F_GETPIPE_SZ);
	if (size < USEFUL) {
		pipe_close(pipes, pipe);
		return NULL;
	}
	pipe->size = (size_t)size;
	return pipe;
}

struct pipe *pipes_take(struct pipes *pipes)
{
	struct pipe *pipe = pipes->unused;
	int64_t now_ms;

	if (pipe) {
		pipes->unused = pipe->next;
		return pipe;
	}
	if (pipes->count >= PIPES_MOST)
		return NULL;
	now_ms = clock_now_ms();
	if (now_ms < pipes->ask_ms)
		return NULL;
	pipe = make(pipes);
	if (!pipe)
		pipes->ask_ms = now_ms + ASK_AGAIN_MS;
	return pipe;
}

void pipes_give(struct pipes *pipes, struct pipe **pipe)
{
	struct pipe *given = *pipe;

	*pipe = NULL;
	if (given->held > 0) {
		pipe_close(pipes, given);
		return;
	}
	given->next = pipes->unused;
	pipes->unused = given;
}
