/* Why: the primary's side of one Node worker: its channel (lines and handles in order, bounded
 * queues) and which servers are open in it. seat_kind_node of seat.h is made of it. Source: Node's
 * lib/internal/child_process.js and lib/internal/cluster/primary.js, Node 12-25.
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_NODE_SEAT_H
#define ACCEPTOR_NODE_SEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "acceptor/node_server.h"
#include "acceptor/seat.h"

/* Answers the worker's question `seq`: the server is yours. It is open in this worker from then on.
 */
void node_seat_serve(struct seat *seat, struct node_server *server, uint64_t seq);

/* Answers it by a negative errno. `data` is the worker's own or NULL: an https server wants it even
 * then. */
void node_seat_refuse(struct seat *seat, uint64_t seq, int error, const char *data);

/* delivery->tickets are new: a worker that ends TLS by itself (tls_at) hears of it. */
void node_seat_tickets(struct seat *seat);

/* The server was open in this worker before this process began. */
void node_seat_restore(struct seat *seat, struct node_server *server);

#endif
