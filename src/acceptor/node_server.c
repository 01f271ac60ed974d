/* Why: see the header: what was asked, what is answered, and how it is written down.
 * SPDX-License-Identifier: ISC */
#include "acceptor/node_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acceptor/seat.h"
#include "base/fd.h"
#include "base/log.h"

/* Bits of `flags`, and of dgram's. Source: libuv's uv.h. */
#define NODE_FLAG_V6ONLY    1u
#define NODE_FLAG_REUSEADDR 4u

/* The KEEP record of a server: this, then the ids of its listeners, then its data. */
struct record {
	char key[NODE_KEY_SIZE];
	struct node_asked asked;
	struct node_sockname sockname;
	uint32_t is_guess;
	uint32_t feeds;
	uint32_t data_length;
};
_Static_assert(sizeof(struct record) + NODE_FEEDS_MAX * sizeof(uint32_t) + NODE_DATA_MAX <=
		       MESSAGE_KEEP_MAX,
	       "the longest server must fit into one KEEP message");

struct node_server *node_server_new(uint32_t number, uint64_t incarnation,
				    const struct node_asked *asked)
{
	struct node_server *s = calloc(1, sizeof *s);

	if (!s)
		fatal("out of memory");
	s->number = number;
	s->shared = -1;
	s->asked = *asked;
	snprintf(s->key, sizeof s->key, "%llux%u", (unsigned long long)incarnation, number);
	TAILQ_INIT(&s->waiting);
	return s;
}

static void query_free(struct node_server *s, struct node_query *query)
{
	TAILQ_REMOVE(&s->waiting, query, link);
	free(query);
}

void node_server_free(struct node_server **server)
{
	struct node_server *s = *server;
	struct node_query *query;

	*server = NULL;
	if (!s)
		return;
	while ((query = TAILQ_FIRST(&s->waiting)))
		query_free(s, query);
	fd_close(&s->shared);
	free(s->data);
	free(s);
}

void node_server_move(struct node_server *s, enum node_server_state to)
{
	if (s->state != NODE_SERVER_WANTED)
		fatal("server %s moved twice", s->key);
	s->state = to;
	s->request = 0;
}

bool node_server_is_used(const struct node_server *s)
{
	return s->users > 0 || s->state == NODE_SERVER_WANTED;
}

void node_server_wait(struct node_server *s, struct seat *seat, uint64_t seq)
{
	struct node_query *query = calloc(1, sizeof *query);

	if (!query)
		fatal("out of memory");
	query->seat = seat;
	query->seq = seq;
	TAILQ_INSERT_TAIL(&s->waiting, query, link);
}

void node_server_forget_seat(struct node_server *s, const struct seat *seat)
{
	struct node_query *query, *next;

	for (query = TAILQ_FIRST(&s->waiting); query; query = next) {
		next = TAILQ_NEXT(query, link);
		if (query->seat == seat)
			query_free(s, query);
	}
}

bool node_server_take_data(struct node_server *s, struct node_message *message)
{
	if (s->data || !message->data)
		return false;
	s->data = message->data;
	message->data = NULL;
	return true;
}

void node_asked_from(struct node_asked *asked, const struct node_message *m)
{
	*asked = (struct node_asked){
		.port = m->port < 0 ? -1 : m->port,
		.fd = m->fd,
		.index = m->index,
		.type = m->address_type,
		.flags = (uint32_t)m->flags,
		.backlog = m->backlog > 0 && m->backlog < UINT16_MAX ? (uint32_t)m->backlog : 0,
	};
	snprintf(asked->address, sizeof asked->address, "%s", m->address);
	if (node_asked_is_datagram(asked) && asked->port < 0)
		asked->port = 0;
	if (m->readable_all || m->writable_all)
		asked->mode = 0700u | (m->readable_all ? 0444u : 0) | (m->writable_all ? 0222u : 0);
}

bool node_asked_equal(const struct node_asked *a, const struct node_asked *b)
{
	return a->type == b->type && a->port == b->port && a->fd == b->fd && a->index == b->index &&
	       strcmp(a->address, b->address) == 0;
}

static bool shares_port(const struct node_asked *asked)
{
	return node_asked_is_datagram(asked) && (asked->flags & NODE_FLAG_REUSEADDR);
}

bool node_asked_collides(const struct node_asked *a, const struct node_asked *b)
{
	bool is_named = a->port > 0 || a->type == NODE_PATH;

	return is_named && a->fd < 0 && b->fd < 0 && a->type == b->type && a->port == b->port &&
	       strcmp(a->address, b->address) == 0 && !(shares_port(a) && shares_port(b));
}

bool node_asked_is_tcp(const struct node_asked *asked)
{
	return asked->type == NODE_TCP4 || asked->type == NODE_TCP6;
}

bool node_asked_is_datagram(const struct node_asked *asked)
{
	return asked->type == NODE_UDP4 || asked->type == NODE_UDP6;
}

/* Node resolved the name already: only numbers come (IPv6 ones may have a scope). */
static int resolve(const struct node_asked *asked, struct address *local_r)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *found;
	char port[8];

	hints.ai_family = asked->type == NODE_TCP6 || asked->type == NODE_UDP6 ? AF_INET6 : AF_INET;
	hints.ai_socktype = node_asked_is_datagram(asked) ? SOCK_DGRAM : SOCK_STREAM;
	if (!asked->address[0] && asked->type == NODE_TCP4)
		hints.ai_family = AF_INET6; /* listen(port): both families */
	snprintf(port, sizeof port, "%u", (unsigned)asked->port);
	if (getaddrinfo(asked->address[0] ? asked->address : NULL, port, &hints, &found) != 0)
		return -EINVAL;
	memcpy(&local_r->any, found->ai_addr, found->ai_addrlen);
	local_r->length = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static int path(const struct node_asked *asked, struct address *local_r)
{
	size_t length = strlen(asked->address);

	if (length == 0 || length >= sizeof local_r->local.sun_path)
		return -EINVAL;
	local_r->local.sun_family = AF_UNIX;
	memcpy(local_r->local.sun_path, asked->address, length + 1);
	local_r->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

int node_asked_open(const struct node_asked *asked, struct message_open *open_r)
{
	bool is_shared = node_asked_is_datagram(asked) || asked->type == NODE_PATH;

	*open_r = (struct message_open){
		.use = is_shared ? LISTENER_SHARED : LISTENER_ACCEPT,
		.type = node_asked_is_datagram(asked) ? SOCK_DGRAM : SOCK_STREAM,
		.v6only = (asked->flags & NODE_FLAG_V6ONLY) != 0,
		.dual_fallback = !asked->address[0] && asked->type == NODE_TCP4,
		.backlog = asked->backlog,
		.mode = asked->mode,
		.inherited = -1,
		.reuse = shares_port(asked),
	};
	if (asked->fd >= 0) {
		if (asked->fd > INT32_MAX)
			return -EINVAL;
		open_r->inherited = (int32_t)asked->fd;
		return 0;
	}
	if (asked->type == NODE_PATH)
		return path(asked, &open_r->local);
	if (asked->type == NODE_ADDRESS_NONE || asked->type == NODE_ADDRESS_INVALID ||
	    asked->port < 0 || asked->port > UINT16_MAX)
		return -EINVAL;
	return resolve(asked, &open_r->local);
}

/* What libuv says for it. Source: uv__pipe_bind, and guessHandleType in lib/net.js. */
int node_asked_error(const struct node_asked *asked, int error)
{
	if (asked->type == NODE_PATH && error == ENOENT)
		return -EACCES;
	if (asked->fd >= 0 && error == EBADF)
		return -EINVAL;
	return -error;
}

const char *node_asked_print(const struct node_asked *asked, char *out, size_t size)
{
	const char *what = node_asked_is_datagram(asked) ? "UDP port" : "port";

	if (asked->fd >= 0)
		snprintf(out, size, "descriptor %lld", (long long)asked->fd);
	else if (asked->type == NODE_PATH)
		snprintf(out, size, "path %s", asked->address);
	else if (asked->address[0])
		snprintf(out, size, "%s %lld of %s", what, (long long)asked->port, asked->address);
	else
		snprintf(out, size, "%s %lld", what, (long long)asked->port);
	return out;
}

/* A server on a real port says that port, but `asked` wins: Node calls another port EADDRINUSE. */
void node_server_name(struct node_server *s, const struct address *local)
{
	struct node_sockname *name = &s->sockname;
	const void *bytes = local->any.sa_family == AF_INET ? (const void *)&local->v4.sin_addr
							    : (const void *)&local->v6.sin6_addr;
	bool has_port = local->any.sa_family == AF_INET || local->any.sa_family == AF_INET6;

	*name = (struct node_sockname){ .family = AF_INET6 };
	if (s->asked.type == NODE_PATH || (s->asked.fd >= 0 && !has_port))
		return;
	name->port = s->asked.port > 0 ? (uint32_t)s->asked.port : address_port(local);
	if (s->asked.address[0]) {
		name->family = s->asked.type == NODE_TCP4 ? AF_INET : AF_INET6;
		snprintf(name->address, sizeof name->address, "%s", s->asked.address);
	} else if (has_port) {
		name->family = local->any.sa_family;
		inet_ntop(local->any.sa_family, bytes, name->address, sizeof name->address);
	} else {
		snprintf(name->address, sizeof name->address, "::"); /* behind a path of ours */
	}
}

static size_t append(char *bytes, size_t at, const void *what, size_t length)
{
	memcpy(bytes + at, what, length);
	return at + length;
}

void node_server_pack(const struct node_server *s, const uint32_t *feeds, size_t count,
		      struct message_keep *keep_r)
{
	struct record record = { .asked = s->asked,
				 .sockname = s->sockname,
				 .is_guess = s->is_guess };
	size_t at;

	memcpy(record.key, s->key, sizeof record.key);
	record.feeds = (uint32_t)(count < NODE_FEEDS_MAX ? count : NODE_FEEDS_MAX);
	record.data_length = s->data ? (uint32_t)strlen(s->data) : 0;
	at = append(keep_r->bytes, 0, &record, sizeof record);
	at = append(keep_r->bytes, at, feeds, record.feeds * sizeof *feeds);
	at = append(keep_r->bytes, at, s->data ? s->data : "", record.data_length);
	keep_r->length = (uint32_t)at;
}

/* It came from ourselves, by way of the supervisor; another release of us may have written it all
 * the same. */
static bool is_sound(const struct record *record, uint32_t length)
{
	return length >= sizeof *record && record->feeds <= NODE_FEEDS_MAX &&
	       record->data_length <= NODE_DATA_MAX &&
	       length == sizeof *record + record->feeds * sizeof(uint32_t) + record->data_length &&
	       !record->key[NODE_KEY_SIZE - 1] &&
	       !record->asked.address[sizeof record->asked.address - 1] &&
	       !record->sockname.address[sizeof record->sockname.address - 1];
}

struct node_server *node_server_unpack(const struct message_keep *keep, uint32_t *feeds_r,
				       size_t *count_r)
{
	const char *at = keep->bytes + sizeof(struct record);
	struct node_server *s;
	struct record record;

	memcpy(&record, keep->bytes, sizeof record);
	if (!is_sound(&record, keep->length))
		return NULL;
	s = node_server_new(keep->id, 0, &record.asked);
	node_server_move(s, NODE_SERVER_OPEN);
	memcpy(s->key, record.key, sizeof s->key);
	s->sockname = record.sockname;
	s->is_guess = record.is_guess != 0;
	memcpy(feeds_r, at, record.feeds * sizeof *feeds_r);
	*count_r = record.feeds;
	if (record.data_length > 0) {
		s->data = strndup(at + record.feeds * sizeof *feeds_r, record.data_length);
		if (!s->data)
			fatal("out of memory");
	}
	return s;
}
