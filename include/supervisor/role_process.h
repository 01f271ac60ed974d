/* Why: acceptor and warden (later relays, console) are children like workers: the same binary,
 * another word, one channel. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_ROLE_PROCESS_H
#define SUPERVISOR_ROLE_PROCESS_H

#include "supervisor/supervisor.h"

/* What is particular to one role. */
struct role_description {
	const char *name, *argument;
	bool drops_identity;
	bool counts;      /* gets the counter page */
	bool outlives_us; /* its standard output is where our lines go; DRAIN dismisses it */
	/* Tell a fresh process all it must know; GO is the last word. */
	void (*introduce)(struct supervisor *supervisor);
	channel_handler *handler; /* its messages; arg is the supervisor */
};

void role_process_begin(struct role_process *role, struct supervisor *supervisor,
			const struct role_description *description);
/* Ends it by closing its channel; SIGKILL after the policy's stop_timeout. */
void role_process_stop(struct role_process *role);
void role_process_free(struct role_process *role);

extern const struct role_description acceptor_description, warden_description;

#endif
