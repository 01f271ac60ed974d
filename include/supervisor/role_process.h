/* Why: acceptor, warden and relays (later the console) are children like workers: the same binary,
 * another word, one channel, and a counter page each. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_ROLE_PROCESS_H
#define SUPERVISOR_ROLE_PROCESS_H

#include "supervisor/child.h"
#include "supervisor/environment.h"
#include "wire/channel.h"
#include "wire/counter.h"

struct supervisor;
struct role_process;

/* What is particular to one kind of role. */
struct role_description {
	const char *name, *argument;
	int64_t start_ms; /* longest time from its start to SERVING */
	bool many;        /* its processes are called name/0, name/1, ... */
	bool counts;      /* gets a counter page */
	bool outlives_us; /* its standard output is where our lines go; DRAIN dismisses it */
	/* Who it is as a process; NULL: who we are. */
	const struct process_identity *(*identity)(const struct supervisor *supervisor);
	/* Tell a fresh process all it must know; GO is the last word. */
	void (*introduce)(struct role_process *role);
	/* One lawful message of it. The role may be gone afterwards (role_process_drop). */
	void (*hear)(struct role_process *role, const struct message *message);
};

struct role_process {
	struct child child;
	const struct role_description *description;
	size_t number; /* of several of one kind, from 0 */
	bool drained;  /* the present process said that it holds nothing any more */
	struct channel *channel;
	int counter_fd;                      /* -1: none */
	const struct counter_page *counters; /* the same, readable; NULL: none */
	struct environment environment;      /* only while starting */
	int far_channel;                     /* only while starting */
};

/* Makes the counter page where the role counts; false with a sentence. */
bool role_process_prepare(struct role_process *role, const struct role_description *description,
			  size_t number, struct error *e);
/* Starts it, for the first time. */
void role_process_begin(struct role_process *role, struct supervisor *supervisor);
/* Ends it by closing its channel; SIGKILL after the policy's stop_timeout. */
void role_process_stop(struct role_process *role);
void role_process_free(struct role_process *role);

/* Does nothing where there is no process. */
void role_process_tell(struct role_process *role, const struct message *message, int fd);
/* It broke the rules: the next one is better. */
void role_process_drop(struct role_process *role, const char *why);
bool role_process_is_gone(const struct role_process *role);
bool role_process_is_ready(const struct role_process *role);

/* Tells the warden to end it if we die. `slot` makes it different from other roles. */
void role_process_ward(const struct role_process *role, uint32_t slot);

extern const struct role_description acceptor_description, relay_description, warden_description;

#endif
