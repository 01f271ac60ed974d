/* Why: how clients come in, the same for acceptor and relay: accept in bounded bursts, stop without
 * spinning when descriptors run out, start again as soon as one is free, apply the listener's
 * rules. Source: accept(2), tcp(7). SPDX-License-Identifier: ISC */
#ifndef FRONT_DOOR_H
#define FRONT_DOOR_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"
#include "front/client.h"

struct door;

/* A listening socket as its role sees it. */
struct door_listener {
	struct door *door;
	const struct listen_config
		*config; /* of its [listen] section; adopted ones have the defaults */
	struct address local;
	uint32_t id; /* the supervisor's number */
	size_t pool; /* index */
	int fd;
	unsigned open; /* clients in our hands */
	char name[40]; /* for logs: "listen:web" or "port 3000" */
};

/* Gets every client that passed the listener's rules, and owns it from then on. */
typedef void door_handler(struct client *client, void *arg);

struct door *door_new(struct event_base *base, door_handler *handler, void *arg);
void door_free(struct door **door); /* closes our copies of the listening sockets */

/* Takes *fd (left -1): non-blocking, listening. Accepting starts with door_open. */
struct door_listener *door_add(struct door *door, int *fd, uint32_t id, size_t pool,
			       const struct listen_config *config, const struct address *local);

/* Starts accepting on every listener, present and future. */
void door_open(struct door *door);

/* Takes what the kernel has queued already, hands it to the handler, then closes the listening
 * sockets: a new Limpet can bind the port at once, and no queued client is reset. */
void door_close(struct door *door);

/* A descriptor of this process became free: accepting may go on (called by client_end). */
void door_relieved(struct door *door);

/* One client of the listener ended in our hands: `handed_over` ones live on elsewhere and stay
 * counted by front/census.h where limits are set. Called by client_end only. */
void door_left(struct door_listener *listener, const struct client *client, bool handed_over);

#endif
