/* Why: the demo worker is Limpet shown to the eye: a small web server that gets its clients by
 * limpet_worker.h and tells each of them which worker he has. A role of the limpet binary
 * ("@demo"). SPDX-License-Identifier: ISC */
#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

/* Who this worker is, from the environment. */
struct demo_identity {
	uint64_t slot, generation;
	pid_t pid;
	char pool[256]; /* fit to stand in a JSON string */
};

TAILQ_HEAD(demo_clients, demo_client);

struct demo {
	struct event_base *base;
	struct event *on_link, *on_term, *on_stopped;
	int link;
	struct demo_identity identity;
	struct demo_clients clients;
	bool is_draining; /* no more clients come: connections end with the answer that is due */
	bool is_stopping; /* SIGTERM came: clients that still come are refused */
};

/* The whole process; returns its exit status: 0, or 2 when Limpet did not start it. */
int demo_run(void);

/* A client left: ends the process when he was the last one to be served. */
void demo_client_left(struct demo *demo);

#endif
