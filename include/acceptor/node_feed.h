/* Why: the listeners of one pool as its Node servers see them, and the rules of node_primary.h by
 * which a server gets its clients from them. SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_NODE_FEED_H
#define ACCEPTOR_NODE_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acceptor/node_server.h"
#include "config/config.h"
#include "wire/message.h"

/* A listener and the one server that gets its clients. */
struct node_feed {
	struct message_listener what;
	const struct listen_config *config; /* NULL: opened on request */
	struct node_server *server;
	int shared; /* the socket of a LISTENER_SHARED until a server has it, else -1 */
};

struct node_feeds {
	struct node_feed *items; /* by ascending id */
	size_t count;
};

void node_feeds_free(struct node_feeds *feeds);

/* Takes *fd of a LISTENER_SHARED. The result is valid until the next call. */
struct node_feed *node_feeds_add(struct node_feeds *feeds, const struct message_listener *what,
				 const struct listen_config *config, int *fd);
struct node_feed *node_feeds_find(const struct node_feeds *feeds, uint32_t id); /* NULL: none */

/* The listener's clients go to this server from now on. The one that had them is marked
 * (server->has_lost). */
void node_feed_give(struct node_feed *feed, struct node_server *server);

/* Rules 1 and 2, and what the supervisor opened for the same thing earlier: 0, or EADDRINUSE where
 * another server has them all, or ENOENT. */
int node_feeds_take_exact(struct node_feeds *feeds, struct node_server *server,
			  const struct message_open *open);
/* Rule 3; the server is a guess then. */
bool node_feeds_take_unasked(struct node_feeds *feeds, struct node_server *server);
/* A later bind of a section that feeds a server: all of them go together. The server, or NULL. */
struct node_server *node_feeds_join(struct node_feeds *feeds, struct node_feed *feed);

/* Ids of the server's listeners; ids_r has NODE_FEEDS_MAX places. */
size_t node_feeds_of(const struct node_feeds *feeds, const struct node_server *server,
		     uint32_t *ids_r);

/* The address that its application shall see: of a listener with a port if there is one. */
const struct address *node_feeds_address(const struct node_feeds *feeds,
					 const struct node_server *server);

#endif
