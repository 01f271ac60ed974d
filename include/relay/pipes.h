/* Why: splice(2) moves bulk through the kernel for a third of the cost of reading and writing it,
 * but needs a large pipe between the two sockets, and unprivileged pipe memory is bounded per user:
 * a few are kept and lent for as long as bytes are in them. Source: pipe(7), splice(2).
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_PIPES_H
#define RELAY_PIPES_H

#include <stddef.h>

#define PIPES_MOST 48
#define PIPES_SIZE (1 << 20)

/* One pipe, non-blocking. `held` is kept by its borrower. */
struct pipe {
	struct pipe *next;
	int out, in; /* read end, write end */
	size_t size; /* what the kernel gave */
	size_t held; /* bytes in it */
};

struct pipes;

struct pipes *pipes_new(void);
void pipes_free(struct pipes **pipes); /* all must have been given back */

/* NULL: all are lent, or the kernel gives no useful one (it is not asked again for a second). */
struct pipe *pipes_take(struct pipes *pipes);
/* One with bytes left in it is closed. */
void pipes_give(struct pipes *pipes, struct pipe **pipe);

#endif
