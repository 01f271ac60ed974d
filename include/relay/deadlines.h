/* Why: ten thousand connections have ten thousand deadlines, and bytes push them off all the time.
 * A wheel of buckets: setting one costs no search and no system call, and what moved since is asked
 * only when the bucket comes round. Fires at most DEADLINES_STEP_MS late.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_DEADLINES_H
#define RELAY_DEADLINES_H

#include <event2/event.h>

#include "base/clock.h"
#include "front/client.h"

#define DEADLINES_STEP_MS 32

struct deadlines;

/* client->deadline_ms has passed and is 0 now: end it, or set it anew. It may touch no other
 * client's deadline. */
typedef void deadlines_handler(struct client *client, int64_t now_ms, void *arg);

struct deadlines *deadlines_new(struct event_base *base, deadlines_handler *handler, void *arg);
void deadlines_free(struct deadlines **deadlines);

/* Uses client->link and client->deadline_ms. Replaces the one before; CLOCK_NEVER: none. */
void deadlines_set(struct deadlines *deadlines, struct client *client, int64_t due_ms);
void deadlines_drop(struct deadlines *deadlines, struct client *client);

#endif
