/* Why: every role process begins in the same order, so that no step is forgotten in one of them:
 * lines, signals, attributes, event base, configuration, counters, channel. Source: prctl(2),
 * signal(7). SPDX-License-Identifier: ISC */
#ifndef WIRE_ROLE_H
#define WIRE_ROLE_H

#include <event2/event.h>

#include "config/config.h"
#include "wire/channel.h"

/* Descriptors that the supervisor places in a role; ROLE_FD_COUNTERS only where the role counts. */
enum role_fd {
	ROLE_FD_CHANNEL = 3,
	ROLE_FD_CONFIG = 4,
	ROLE_FD_COUNTERS = 5
};

/* An event base as this program uses it: environment ignored, no changelist (a passed descriptor
 * would keep firing), monotonic. Never NULL. */
struct event_base *role_base(void);

/* Logging as `config` says, for the process called `name`. */
void role_log(const char *name, const struct config *config);

/* All of it: returns the base; *config_r is read from ROLE_FD_CONFIG; *channel_r talks to the
 * supervisor. Roles obey their channel only: INT, TERM, HUP, QUIT and PIPE are ignored, since a
 * terminal or an init system sends them to all. */
struct event_base *role_begin(const char *name, struct config **config_r,
			      struct channel **channel_r, channel_handler *handler, void *arg);

#endif
