/* Why: the process that must not die: it owns the configuration, the listening sockets, one link
 * per slot, the counters and all children, and never reads a byte that came from a client.
 *
 *   STARTING ──every worker was ready, or has failed once──► RUNNING ──TERM, INT, QUIT──►
 *   DRAINING (acceptor and relays: no more clients) ──the acceptor holds none, or deadline──►
 *   STOPPING (workers with handed-over clients finish; those behind relays are stopped when the
 *             relays hold no client, or at the deadline) ──none left──►
 *   ENDING (roles) ──none left──► exit
 *   a second TERM or INT in DRAINING or STOPPING: workers are stopped now
 *
 * All moves are made by shutdown.c and supervisor.c through supervisor_move.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <event2/event.h>

#include "config/config.h"
#include "supervisor/child.h"
#include "supervisor/keep.h"
#include "supervisor/listener.h"
#include "supervisor/notify.h"
#include "supervisor/role_process.h"
#include "supervisor/worker.h"

enum supervisor_state {
	STARTING,
	RUNNING,
	DRAINING,
	STOPPING,
	ENDING
};

/* What the command line adds to the configuration. */
struct supervisor_settings {
	const char *origin; /* "limpet run", or the file: for the first log line */
	int readiness; /* pipe of a parent that waits (-d): gets one byte when ready; -1: none */
};

struct checker;
struct servers;
struct tickets;
struct tls_files;

struct supervisor {
	struct event_base *base;
	struct config *config;
	struct supervisor_settings settings;
	enum supervisor_state state;
	uint64_t seed;
	int config_fd; /* sealed memfd: the effective configuration */
	struct process_identity identity, relay_identity; /* of the acceptor, of the relays */
	struct listener_list listeners;
	uint32_t next_listener;
	int inherited[64]; /* systemd's sockets in their order, -1: taken by a [listen] section */
	size_t inherited_count;
	struct keep keep;
	struct role_process acceptor, warden;
	struct role_process *relays;
	size_t relay_count;
	struct servers *servers;
	struct tls_files *tls_files; /* NULL: no relay needs any */
	struct tickets *tickets;     /* NULL: there is no TLS */
	struct checker *checker;     /* NULL: no check = exec */
	struct worker *workers;      /* of all pools, pool by pool */
	size_t worker_count;
	struct notify *notify;
	struct event *signals[8];
	struct event *stats, *deadline, *alive;
	int64_t drain_ms, stop_ms; /* of the shutdown that runs */
	int64_t drain_end_ms;      /* when drain_ms is over; SLOT_NO_TIMER: never */
	bool relays_are_done;      /* they hold no client any more, or their time is over */
	bool told_to_stop;         /* not "cannot start": the counters are worth a last line */
	bool failure_said;         /* every worker failed at the start */
	char runtime_directory[256];
	bool runtime_directory_is_ours; /* made below /tmp: removed at the end */
	int exit_code;
};

/* Runs until the end; takes *config. Returns the exit code: 0 ended as told, 1 could not start. */
int supervisor_run(struct config **config, const struct supervisor_settings *settings);

struct worker *supervisor_worker(struct supervisor *supervisor, uint32_t pool,
				 uint32_t slot); /* NULL: no such */
void supervisor_tell_acceptor(struct supervisor *supervisor, const struct message *message, int fd);
void supervisor_tell_warden(struct supervisor *supervisor, const struct message *message, int fd);

/* Something about a child changed: are we ready, are we done? */
void supervisor_review(struct supervisor *supervisor);
void supervisor_move(struct supervisor *supervisor, enum supervisor_state to);

#endif
