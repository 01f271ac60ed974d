/* Why: clients whose TLS a relay has ended come to the acceptor by a link from that relay, and go
 * on to the workers as any other client. Here are these links, and the listeners on which the
 * relays accept: their limits were applied there, so they count nothing here.
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_GIFTS_H
#define ACCEPTOR_GIFTS_H

#include <event2/event.h>
#include <stdint.h>

#include "config/config.h"
#include "front/door.h"
#include "wire/message.h"

#define GIFTS_RELAYS 64 /* links at a time; the range of `relays` */

struct gifts;

/* `handler` owns every client that comes. */
struct gifts *gifts_new(struct event_base *base, const struct config *config, door_handler *handler,
			void *arg);
/* The clients that came must have ended: they name their listeners. */
void gifts_free(struct gifts **gifts);

/* LISTENER_KNOWN: a listener of the relays. */
void gifts_listener(struct gifts *gifts, const struct message_listener *what,
		    const struct listen_config *config);

/* GIFTS: a link to a relay, which replaces the one of its predecessor. Takes *link. */
void gifts_link(struct gifts *gifts, uint32_t relay, int *link);

unsigned gifts_links(const struct gifts *gifts); /* that are open */

#endif
