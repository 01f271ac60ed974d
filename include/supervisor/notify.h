/* Why: workers speak sd_notify to us (READY, STOPPING, STATUS, WATCHDOG), as they would to systemd;
 * who speaks is what the kernel says, not what the message says. Source: sd_notify(3), unix(7)
 * SCM_CREDENTIALS. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct notify;
enum notify_word {
	NOTIFY_READY,
	NOTIFY_STOPPING,
	NOTIFY_STATUS,
	NOTIFY_WATCHDOG
};

/* `pid` is the sender's by SO_PASSCRED; `status` is escaped text for NOTIFY_STATUS, else NULL. */
typedef void notify_handler(pid_t pid, enum notify_word word, const char *status, void *arg);

/* A datagram socket `directory`/notify.PID, writable by everybody in a directory searchable by
 * everybody: the sender's pid is the check. Descriptors that come along are refused; at most 64
 * datagrams per turn of the loop. */
struct notify *notify_open(struct event_base *base, const char *directory, notify_handler *handler,
			   void *arg, struct error *e);
const char *notify_path(const struct notify *notify);
void notify_close(struct notify **notify); /* unlinks the path */

#endif
