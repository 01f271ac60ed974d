/* Why: one slot of a pool with its present process: its link or address, its environment, its
 * watchdog.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_WORKER_H
#define SUPERVISOR_WORKER_H

#include "config/config.h"
#include "supervisor/child.h"
#include "supervisor/environment.h"

struct listener;
struct role_process;
struct supervisor;

struct worker {
	struct child child;
	const struct pool_config *pool;
	size_t index;
	int link; /* our end of the present generation's link, held for its life; -1: none */
	struct address address; /* where relays reach it; length 0: it gets sockets by its link */
	struct listener *own;   /* delivery = listen: what it inherits; held for life */
	enum slot_route route;  /* as last told to the acceptor, or to the relays */
	bool draining;          /* told so */
	struct event *watchdog;
	struct event *stagger;          /* the first start */
	struct environment environment; /* only while starting */
	char **argv;
	char *directory;
	int far_link; /* the worker's end, only while starting */
};

void worker_begin(struct worker *worker, struct supervisor *supervisor,
		  const struct pool_config *pool, size_t index);
void worker_start(struct worker *worker, int64_t delay_ms);
void worker_free(struct worker *worker);

/* Tells a (new) acceptor of the slot and its link, or a (new) relay of its address; a (new) warden
 * of its process and its log pipes. Whom the slot does not concern is told nothing. */
void worker_introduce(struct worker *worker, struct role_process *role);
void worker_ward(struct worker *worker);

/* A word of readiness for `generation`: from the acceptor (it listens), or by sd_notify. Whether it
 * counts is the pool's `ready`. */
enum worker_readiness {
	WORKER_LISTENS,
	WORKER_NOTIFIED
};
void worker_is_ready(struct worker *worker, uint64_t generation, enum worker_readiness how);
void worker_leaves(struct worker *worker, uint64_t generation);
void worker_pats_watchdog(struct worker *worker);

/* Can the pool's command be started at all? A sentence where not. */
bool worker_check(const struct pool_config *pool, struct error *e);

/* What every program of a pool finds, checks too: ours or the little that clear_environment leaves,
 * who it is, and what the pool's environment says. */
void pool_environment(struct environment *environment, const struct pool_config *pool, size_t slot,
		      char *const *ours);

/* The whole environment of one generation. */
void worker_environment(struct environment *environment, const struct worker *worker,
			const char *notify_path, char *const *ours);

#endif
