/* Why: what goes out on a Node worker's channel, in order and whole: lines that found it full wait
 * here, and the handles on their way are remembered until the worker says that they arrived,
 * because a worker that lost one (NODE_HANDLE_NACK) does not say which.
 *
 * A worker reads one handle at a time and answers each before it reads the next, so its answers
 * come in the order of our sending. A process that takes over a channel does not know how many
 * answers belong to its predecessor: until the first acknowledgement of a client of its own it
 * counts, and does not guess. Source: unix(7), Node's lib/internal/child_process.js.
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_NODE_LINK_H
#define ACCEPTOR_NODE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "acceptor/seat.h"

/* A power of two, and more than SEAT_WINDOW, since handles of servers travel too. */
#define NODE_LINK_SENT 512
/* Lines that wait. A worker that asks this much and reads nothing is broken. */
#define NODE_LINK_QUEUE 1024

/* In place of a client's id: the handle of a server. */
#define NODE_LINK_SHARED 0

struct node_line;
TAILQ_HEAD(node_line_queue, node_line);

struct node_link {
	struct node_line_queue queue;
	unsigned queued;
	uint64_t sent[NODE_LINK_SENT]; /* ids of handles without an answer, from first to last */
	unsigned first, last;
	unsigned losses; /* that we could not tell yet */
	bool in_step;    /* the next answer is for sent[first] */
	bool floods;     /* it asks and does not read the answers */
};

void node_link_begin(struct node_link *link);
void node_link_end(struct node_link *link);

/* A client's line and socket: now, or not at all. */
enum send_result node_link_client(struct node_link *link, int socket, const char *line,
				  size_t length, const struct client *client);

/* Any other line, with a handle or -1 (the caller keeps his), at the end of what waits;
 * node_link_flush sends it. false: no descriptor for a copy of the handle. */
bool node_link_line(struct node_link *link, const char *line, size_t length, int fd);

/* Sends what waits. SEND_FULL, SEND_LATER: some still waits. All else: nothing waits any more. */
enum send_result node_link_flush(struct node_link *link, int socket);

bool node_link_waits(const struct node_link *link);

/* The worker's words. A lost client's id, or NODE_LINK_SHARED where no client is lost (as far as we
 * know yet). */
void node_link_arrived(struct node_link *link);
uint64_t node_link_lost(struct node_link *link);
/* The acknowledgement of a client: all before it are settled. To be called until it returns
 * NODE_LINK_SHARED: returns one by one the clients that are now known to be lost. */
uint64_t node_link_settled(struct node_link *link, uint64_t id);

#endif
