/* Why: server lines name hosts whose addresses change; they are looked up on the event loop
 * (c-ares), at start and every resolve_interval. Run by relay 0 alone: what it finds goes to the
 * supervisor as SERVER_FOUND and from him to all relays, this one too. A failed lookup changes
 * nothing; an address that is gone from its name leaves (its connections go on); every address of a
 * dns: or srv: line keeps its slot for as long as it is there, since clients follow the slot's
 * name. Source: RFC 1035, RFC 2782, ares(3). SPDX-License-Identifier: ISC */
#ifndef RELAY_RESOLVER_H
#define RELAY_RESOLVER_H

#include <event2/event.h>

#include "config/config.h"
#include "wire/message.h"

struct resolver;

typedef void resolver_sender(const struct message *message, void *arg);

struct resolver *resolver_new(struct event_base *base, const struct config *config,
			      resolver_sender *sender, void *arg);
void resolver_free(struct resolver **resolver);

/* What is known already (from a predecessor), before resolver_start. */
void resolver_known(struct resolver *resolver, const struct message_server *server);
void resolver_start(struct resolver *resolver);

#endif
