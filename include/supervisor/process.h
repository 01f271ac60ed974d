/* Why: mechanism of starting, signalling and reaping one child; when and why is slot.c's business.
 * The order of steps in the child is the security of the program: signals blocked, dispositions
 * reset, process group, descriptors, limits, groups and ids (verified), attributes, mask cleared,
 * exec; an errno comes back by a close-on-exec pipe. Source: fork(2), pidfd_open(2), prctl(2),
 * setresuid(2), close_range(2). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_PROCESS_H
#define SUPERVISOR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define PROCESS_FDS_MAX  8
#define PROCESS_PID_TEXT 12

/* Ids that a child takes; `change` false: it keeps ours. */
struct process_identity {
	bool change;
	uid_t uid;
	gid_t gid;
	char name[64]; /* for initgroups(3) and USER */
	char home[256];
};

struct process_spec {
	char *const *argv; /* argv[0] is looked up in PATH of `envp` unless it has a slash */
	const char *path;  /* of the program where argv[0] is only its name; else NULL */
	char *const *envp;
	char *pid_text;           /* NULL, or where the child writes its pid before exec: at least
				     PROCESS_PID_TEXT bytes inside `envp` (LISTEN_PID) */
	const char *directory;    /* NULL: ours */
	int fds[PROCESS_FDS_MAX]; /* become descriptors 3, 4, ... */
	unsigned fd_count;
	int output, errors; /* become 1 and 2 */
	struct process_identity identity;
	int umask; /* CONFIG_UMASK_UNSET */
	int nice;
	int64_t rlimit_nofile, rlimit_core; /* CONFIG_RLIMIT_UNSET, CONFIG_RLIMIT_UNLIMITED */
	bool sealed; /* one of our own roles: no_new_privs, not dumpable, no core, descriptors to
			the hard limit */
};

/* pid 0: none. `report` is the read end of the errno pipe. */
struct process {
	pid_t pid;
	int pidfd;
	int report;
};

/* Our own soft limit of open files becomes the hard one; workers still get what we were started
 * with, since programs that use select(2) rely on it. */
void process_raise_limit(void);

/* Looks a user and group up ("" group: the user's primary one). */
bool process_identify(const char *user, const char *group, struct process_identity *identity_r,
		      struct error *e);

/* Forks and execs. false: fork itself failed. A failed exec shows when the child is reaped. */
bool process_start(const struct process_spec *spec, struct process *process_r, struct error *e);

/* To the process, or to its whole group. Never signals pid <= 1. Does nothing when there is none.
 */
void process_signal(const struct process *process, int signal, bool group);

struct process_end {
	bool start_failed; /* never became the program */
	bool by_signal;
	int code;      /* exit code or signal */
	char how[256]; /* "exited with code 1", "killed by SIGSEGV", "could not start node: No such
			  file ..." */
};

/* When pidfd is readable: reaps. `kill_group`: what it left in its process group is killed first.
 * Returns false if it has not ended. */
bool process_reap(struct process *process, const char *program, bool kill_group,
		  struct process_end *end_r);

#endif
