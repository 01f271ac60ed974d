/* Why: the clients of one thread, and what they have met. SPDX-License-Identifier: ISC */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "histogram.h"

struct crowd {
	const struct plan *plan;
	int epoll;
	unsigned size;
	struct ssl_ctx_st *tls; /* NULL: plain */
	struct client *clients; /* `size` of them */
	unsigned busy;          /* not idle */
	unsigned next;          /* the first client that has not begun yet */
	unsigned held, paused;
	unsigned answered; /* clients that were, at least once */
	uint64_t begun;    /* connections */
	uint64_t outcomes[OUTCOMES];
	uint64_t shaken, resumed; /* TLS handshakes, and those of them by a ticket */
	uint64_t bytes;           /* of long answers */
	int64_t started, ended;
	struct histogram latency; /* ns, of answered requests */
};

/* Set by a signal: all crowds stop at once. */
extern volatile sig_atomic_t crowd_ending;

/* Exits with a message when the system refuses an epoll instance or memory. */
struct crowd *crowd_new(const struct plan *plan, unsigned size);
void crowd_free(struct crowd **crowd);

/* Lets the clients work until `deadline`, or until the plan's count is reached and answered. */
void crowd_run(struct crowd *crowd, int64_t deadline);

#endif
