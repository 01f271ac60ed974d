/* Why: the lines of Node's IPC channel (one JSON value per line) become structs and back, so that
 * nobody else sees JSON. An invalid line from us kills the worker, so every line is made by jansson
 * or from fixed text and numbers. Parsing allocates from an arena that is emptied after each line:
 * no malloc per connection. Source: Node's lib/internal/child_process.js and lib/internal/cluster/,
 * Node 12-25. SPDX-License-Identifier: ISC */
#ifndef WIRE_NODE_IPC_H
#define WIRE_NODE_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"
#include "wire/passport.h"

#define NODE_LINE_MAX (16u << 20) /* longest line from a worker: user messages may be megabytes */
#define NODE_OUT_MAX  (16u << 10) /* longest line to a worker: always one write, never partial */

/* What a worker can say to its primary. */
enum node_act {
	NODE_BAD, /* not JSON, or not what the protocol allows */
	NODE_ONLINE,
	NODE_QUERY_SERVER,
	NODE_LISTENING,
	NODE_ACK,   /* of a newconn: ack, accepted */
	NODE_CLOSE, /* key */
	NODE_EXITED_AFTER_DISCONNECT,
	NODE_HANDLE, /* it sends us a handle: answer NODE_HANDLE_ACK and close it */
	NODE_HANDLE_ACK,
	NODE_HANDLE_NACK,
	NODE_INTERNAL_OTHER, /* another NODE_... message: ignored */
	NODE_USER            /* process.send() of the application */
};

enum node_address_type {
	NODE_ADDRESS_NONE, /* null: listen({fd}) */
	NODE_TCP4,
	NODE_TCP6,
	NODE_PATH,
	NODE_UDP4,
	NODE_UDP6,
	NODE_ADDRESS_INVALID /* a type that we do not know, or an address that does not fit or holds
			      * a NUL: deserves the answer EINVAL, since a query without answer
			      * would hang the application */
};

struct node_message {
	enum node_act act;
	uint64_t seq;  /* the worker's number of this message */
	uint64_t ack;  /* NODE_ACK: our number */
	bool accepted; /* NODE_ACK */
	/* NODE_QUERY_SERVER, NODE_LISTENING */
	char address[128]; /* "" where null or absent */
	enum node_address_type address_type;
	int64_t port; /* -1 where null, absent or a path */
	int64_t fd;   /* -1 where absent */
	int64_t index;
	int64_t flags;
	int64_t backlog; /* 0 where false or absent */
	bool readable_all, writable_all;
	char *data;   /* JSON text of `data`, NULL where null or absent; to be freed by
			 node_message_clear */
	char key[64]; /* NODE_CLOSE, NODE_LISTENING (our own key, echoed) */
};

void node_ipc_parse(const char *line, size_t length, struct node_message *message_r);
void node_message_clear(struct node_message *message);

/* Each writes one whole line with its '\n' and returns its length, 0 where it would not fit. Keys
 * are ours: letters and digits only (0 is returned for others). `data` is JSON text of
 * node_ipc_parse, or NULL. `error` is a negative errno as libuv's, or 0. `address` NULL: no
 * sockname (paths). */
size_t node_ipc_newconn(char *out, size_t size, const char *key, uint64_t seq);

/* The same with a member "limpet" for share/limpet/limpet-node.cjs, which Node itself ignores: what
 * the passport knows, and, with `section`, that the worker shall end the TLS by that [tls] section.
 * Texts that are no UTF-8 are left out. */
struct node_client {
	const struct passport *passport; /* NULL: the socket tells its own story */
	const char *section;             /* NULL: what the worker reads is plain */
};
size_t node_ipc_newconn_client(char *out, size_t size, const char *key, uint64_t seq,
			       const struct node_client *client);

/* Keys of TLS session tickets for the same; a key of zeroes is none, and 0 is returned. Node has
 * one set of keys (16 bytes each of name, HMAC-SHA256 and AES-128), so tickets of older keys are
 * not taken after a rotation: such a client makes a full handshake. */
size_t node_ipc_tickets(char *out, size_t size, const struct ticket_key *key);
size_t node_ipc_reply(char *out, size_t size, const char *key, uint64_t ack, uint64_t seq,
		      int error, const char *data, const char *address, const char *family,
		      unsigned port);
size_t node_ipc_shared_reply(char *out, size_t size, const char *key, uint64_t ack, uint64_t seq,
			     bool datagram, const char *data);
size_t node_ipc_plain_ack(char *out, size_t size, uint64_t ack, uint64_t seq);
size_t node_ipc_disconnect(char *out, size_t size, uint64_t seq);
size_t node_ipc_handle_ack(char *out, size_t size);

#endif
