/* Why: every supervised process, worker or role of ours, is the same thing: a slot (policy), a
 * process (mechanism), two captured pipes and a timer. What differs is in struct child_kind. The
 * death of any child is seen here and nowhere else. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_CHILD_H
#define SUPERVISOR_CHILD_H

#include <event2/event.h>

#include "supervisor/logs.h"
#include "supervisor/process.h"
#include "supervisor/slot.h"

struct child;

struct child_kind {
	/* Fills argv, envp, fds, identity ... of the coming generation; output and errors are set
	 * already. */
	bool (*prepare)(struct child *child, struct process_spec *spec, struct error *e);
	/* It runs (pid is known), or could not be forked (`running` false): gives back what prepare
	 * made. */
	void (*started)(struct child *child, struct process_spec *spec, bool running);
	void (*route)(struct child *child, enum slot_route route, bool drain);
	void (*signal)(struct child *child, int signal, bool group);
	/* It was reaped; its slot hears of it right after. */
	void (*ended)(struct child *child);
	/* Its slot has settled in a new state. */
	void (*changed)(struct child *child);
	bool verbatim; /* its lines are formatted already */
};

struct child {
	struct slot slot;
	struct slot_policy policy;
	struct process process;
	const struct child_kind *kind;
	struct event_base *base;
	struct event *exited, *timer;
	struct log_tap *output, *errors;
	void *owner; /* struct supervisor */
	char name[48];
	char program[128];
};

/* `policy` is copied. */
void child_begin(struct child *child, const struct child_kind *kind, struct event_base *base,
		 const struct slot_policy *policy, const char *name, void *owner);
void child_handle(struct child *child, enum slot_event event);
void child_free(struct child *child); /* of a child without a process */

#endif
