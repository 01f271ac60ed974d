/* Why: a server that accepts nobody, or answers 500, should get no clients before they find out by
 * themselves. Run by relay 0 alone, so that servers are asked once and all relays agree; it tells
 * the supervisor, who tells all relays. For local workers of delivery = proxy it also finds out
 * when a starting one accepts (ready = auto, listening). exec checks are the supervisor's.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_HEALTH_H
#define RELAY_HEALTH_H

#include <event2/event.h>

#include "relay/upstream.h"

struct health;

/* Says HEALTH messages. */
typedef void health_sender(const struct message *message, void *arg);

struct health *health_new(struct event_base *base, const struct config *config,
			  struct upstreams *upstreams, health_sender *sender, void *arg);
void health_free(struct health **health);

/* A slot's address, state or process changed: its checks begin anew. */
void health_slot_changed(struct health *health, size_t pool, size_t slot);

#endif
