/* Why: one thing that the applications of a pool listen() on. All workers of the pool share it, as
 * under Node's own primary: the first one that asks makes it, the others get the same answer. It
 * knows what was asked, what to answer, and how to be written down for a successor of this process.
 *
 *   WANTED ──supervisor opened it (or a [listen] section feeds it)──► OPEN
 *      └─────supervisor could not──► FAILED (the applications get the errno; forgotten, so that the
 * next try asks again)
 *
 * All moves are made by node_server_move. SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_NODE_SERVER_H
#define ACCEPTOR_NODE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"
#include "wire/message.h"
#include "wire/node_ipc.h"

/* `data` of a server (the TLS ticket keys) must fit into one KEEP message and one line. */
#define NODE_DATA_MAX 6144
#define NODE_KEY_SIZE 40
/* Listeners that feed one server; the configuration has no more. */
#define NODE_FEEDS_MAX 1024

struct seat;

enum node_server_state {
	NODE_SERVER_WANTED,
	NODE_SERVER_OPEN,
	NODE_SERVER_FAILED
};

/* What an application asked for: the fields that tell servers apart under Node's primary, then the
 * rest. */
struct node_asked {
	char address[128]; /* "": any */
	int64_t port;      /* -1: none */
	int64_t fd;        /* -1: none */
	int64_t index;
	uint32_t type; /* enum node_address_type */
	uint32_t flags;
	uint32_t backlog;
	uint32_t mode; /* of a path; 0: default */
};

/* What server.address() shall print in the application. */
struct node_sockname {
	char address[ADDRESS_TEXT]; /* "": the server is a path, which has none */
	uint32_t family;            /* AF_INET or AF_INET6 */
	uint32_t port;
};

/* A worker's question that waits for the supervisor. */
struct node_query {
	TAILQ_ENTRY(node_query) link;
	struct seat *seat;
	uint64_t seq;
};
TAILQ_HEAD(node_query_queue, node_query);

struct node_server {
	TAILQ_ENTRY(node_server) link;
	enum node_server_state state;
	uint32_t number;  /* unique in the pool; the id of its KEEP record */
	uint32_t request; /* of the OPEN that we wait for */
	uint32_t users;   /* workers in which it is open */
	bool is_guess; /* its listeners are not what it asked for: an exact question may take them
			*/
	bool has_lost; /* a listener, to another server; node_primary.c settles that */
	int shared; /* the socket to give to workers whole, -1: clients are delivered one by one */
	char key[NODE_KEY_SIZE]; /* what workers call it; never used again for another one */
	char *data;              /* of the first worker, for all; NULL: none */
	struct node_asked asked;
	struct node_sockname sockname;
	struct node_query_queue waiting;
};
TAILQ_HEAD(node_server_queue, node_server);

struct node_server *node_server_new(uint32_t number, uint64_t incarnation,
				    const struct node_asked *asked);
void node_server_free(struct node_server **server);
void node_server_move(struct node_server *server, enum node_server_state to);

/* Is it in use, or about to be? What is not may lose its listeners to a server that somebody asks
 * for now. */
bool node_server_is_used(const struct node_server *server);

/* Waits for the supervisor / the worker is gone. */
void node_server_wait(struct node_server *server, struct seat *seat, uint64_t seq);
void node_server_forget_seat(struct node_server *server, const struct seat *seat);

/* The first worker's data counts. Takes message->data. true: it is new. false: there is one
 * already, or none came. */
bool node_server_take_data(struct node_server *server, struct node_message *message);

/* Fills sockname: what the application asked for, else what the listener has. */
void node_server_name(struct node_server *server, const struct address *local);

/* From a worker's question, and whether two mean the same server. */
void node_asked_from(struct node_asked *asked, const struct node_message *message);
bool node_asked_equal(const struct node_asked *a, const struct node_asked *b);
/* The same but for the index: under Node's primary the second one fails to bind. */
bool node_asked_collides(const struct node_asked *a, const struct node_asked *b);
bool node_asked_is_tcp(const struct node_asked *asked);
bool node_asked_is_datagram(const struct node_asked *asked);
/* 0, or a negative errno where the supervisor need not be asked, since nobody could open that. */
int node_asked_open(const struct node_asked *asked, struct message_open *open_r);
/* The negative errno that Node gives its application where the supervisor met `error`. */
int node_asked_error(const struct node_asked *asked, int error);
const char *node_asked_print(const struct node_asked *asked, char *out,
			     size_t size); /* "port 3000"; for logs */

/* Its KEEP record, with the ids of the listeners that feed it. */
void node_server_pack(const struct node_server *server, const uint32_t *feeds, size_t count,
		      struct message_keep *keep_r);
/* The server again, OPEN, or NULL where the record is no such thing. feeds_r has NODE_FEEDS_MAX
 * places. */
struct node_server *node_server_unpack(const struct message_keep *keep, uint32_t *feeds_r,
				       size_t *count_r);

#endif
