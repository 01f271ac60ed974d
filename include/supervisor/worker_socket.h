/* Why: a worker that is reached by proxying has an address of its own: a path or port that it opens
 * itself (delivery = proxy), or a socket that we open once, hold for life and give to every
 * generation (delivery = listen), so that clients wait in its backlog while there is none.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_WORKER_SOCKET_H
#define SUPERVISOR_WORKER_SOCKET_H

#include <stdbool.h>

#include "base/error.h"
#include "supervisor/process.h"

struct worker;

/* Sets worker->address, and for delivery = listen opens worker->own: blocking, as systemd gives
 * sockets. `relays` is who must be able to connect. false with a sentence. Does nothing for workers
 * that get sockets handed over. */
bool worker_socket_open(struct worker *worker, const char *runtime_directory,
			const struct process_identity *relays, struct error *e);
void worker_socket_close(struct worker *worker); /* removes a path that we made */

/* Before a start with delivery = proxy: a path that a dead predecessor left would refuse the next
 * one its bind. */
void worker_socket_sweep(const struct worker *worker, const struct process_identity *identity);

#endif
