/* Why: see the header: what a Node worker says becomes verbs of seat.c and node_primary.c, and
 * their answers become lines. SPDX-License-Identifier: ISC */
#include "acceptor/node_seat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "acceptor/delivery.h"
#include "acceptor/node_link.h"
#include "acceptor/node_primary.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/door.h"
#include "wire/counter.h"

/* Read per turn of the loop: a worker that floods us must not starve the others. */
#define READ_AT_ONCE (256u << 10)
#define CHUNK        (64u << 10)
/* Too many descriptors in flight: the socket stays writable, so a timer must tell. */
#define RETRY_MS    50
#define NEWCONN_MAX 256
/* With a passport: its texts are 520 bytes, each of which JSON may write as six. */
#define PASSPORT_MAX 8192

struct node_seat {
	struct seat *seat;
	struct node_primary *primary;
	struct node_link out;
	struct event *retry;
	struct node_server **open; /* in this worker */
	size_t open_count;
	uint64_t next_seq; /* of lines that nobody acknowledges; clients' ids are apart */
	size_t scanned;    /* of the unfinished line */
	bool had_line;     /* the first line may be the tail of one whose head a predecessor read */
	bool skips;        /* the rest of a line that was too long */
	bool told_to_leave;
};

static struct node_primary *primary_of(const struct seat *seat)
{
	return seat->delivery->pools[seat->pool->index].node;
}

/* What waits is sent when the channel takes it, or after a moment. */
static void flush_later(struct node_seat *n, enum send_result result)
{
	struct timeval delay = clock_timeval(RETRY_MS);

	if (result == SEND_LATER)
		event_add(n->retry, &delay);
	else if (result == SEND_FULL && n->seat->writable)
		event_add(n->seat->writable, NULL);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct node_seat *n = arg;

	(void)fd, (void)what;
	if (n->seat->link >= 0)
		flush_later(n, node_link_flush(&n->out, n->seat->link));
}

/* length 0: the line would not fit, which our own texts cannot do and a server's data was checked
 * not to. false: the handle could not be kept for later. */
static bool say(struct seat *seat, const char *line, size_t length, int fd)
{
	struct node_seat *n = seat->node;

	if (length == 0)
		fatal("a line for a Node worker does not fit");
	if (seat->link < 0)
		return true;
	if (!node_link_line(&n->out, line, length, fd))
		return false;
	flush_later(n, node_link_flush(&n->out, seat->link));
	return true;
}

static size_t place_of(const struct node_seat *n, const struct node_server *server)
{
	size_t i = 0;

	while (i < n->open_count && n->open[i] != server)
		i++;
	return i;
}

static void add_open(struct node_seat *n, struct node_server *server, bool is_news)
{
	struct node_server **grown;

	if (place_of(n, server) < n->open_count)
		return;
	grown = reallocarray(n->open, n->open_count + 1, sizeof *grown);
	if (!grown)
		fatal("out of memory");
	n->open = grown;
	n->open[n->open_count++] = server;
	node_primary_opened(n->primary, n->seat, server, is_news);
}

static void remove_open(struct node_seat *n, size_t i, bool is_news)
{
	struct node_server *server = n->open[i];

	n->open[i] = n->open[--n->open_count];
	node_primary_closed(n->primary, n->seat, server, is_news);
}

static const char *family_of(const struct node_server *server)
{
	return server->sockname.family == AF_INET ? "IPv4" : "IPv6";
}

void node_seat_serve(struct seat *seat, struct node_server *server, uint64_t seq)
{
	struct node_seat *n = seat->node;
	const char *address = server->sockname.address[0] ? server->sockname.address : NULL;
	char line[NODE_OUT_MAX];
	size_t length;

	if (server->shared >= 0)
		length =
			node_ipc_shared_reply(line, sizeof line, server->key, seq, n->next_seq++,
					      node_asked_is_datagram(&server->asked), server->data);
	else
		length = node_ipc_reply(line, sizeof line, server->key, seq, n->next_seq++, 0,
					server->data, address, family_of(server),
					server->sockname.port);
	if (!say(seat, line, length, server->shared)) {
		node_seat_refuse(seat, seq, -EMFILE, server->data);
		return;
	}
	add_open(n, server, true);
	delivery_seat_opened(seat);
}

void node_seat_refuse(struct seat *seat, uint64_t seq, int error, const char *data)
{
	char line[NODE_OUT_MAX];
	size_t length = node_ipc_reply(line, sizeof line, "0", seq, seat->node->next_seq++, error,
				       data, NULL, NULL, 0);

	say(seat, line, length, -1);
}

void node_seat_restore(struct seat *seat, struct node_server *server)
{
	add_open(seat->node, server, false);
}

static void begin(struct seat *seat)
{
	struct node_seat *n = calloc(1, sizeof *n);

	if (!n)
		fatal("out of memory");
	n->seat = seat;
	n->primary = primary_of(seat);
	n->retry = event_new(seat->delivery->base, -1, 0, on_retry, n);
	if (!n->retry)
		fatal("no event for %s", seat->name);
	node_link_begin(&n->out);
	seat->node = n;
	n->told_to_leave = node_primary_restore(n->primary, seat);
	/* A predecessor may have died with the worker's "listening" in its hands: it listens, so
	 * say it again. */
	if (n->open_count > 0)
		seat_says_ready(seat);
	node_seat_tickets(seat);
}

static void end(struct seat *seat)
{
	struct node_seat *n = seat->node;

	seat->node = NULL;
	node_primary_forget_seat(n->primary, seat);
	while (n->open_count > 0)
		remove_open(n, n->open_count - 1, false);
	node_link_end(&n->out);
	event_free(n->retry);
	free(n->open);
	free(n);
}

static struct node_server *server_for(const struct seat *seat, const struct client *client)
{
	const struct node_seat *n = seat->node;
	struct node_server *server = node_primary_fed_by(n->primary, client->listener->id);

	return server && place_of(n, server) < n->open_count ? server : NULL;
}

static bool serves(const struct seat *seat, const struct client *client)
{
	return server_for(seat, client) != NULL;
}

/* The [tls] section by which the worker shall decrypt the client; NULL: he is plain to it. A client
 * of a listener with tls that came to us undecrypted is such a one. */
static const char *section_of(const struct client *client)
{
	const struct listen_config *config = client->listener->config;

	return config->tls[0] && !config->relayed ? config->tls : NULL;
}

static enum send_result send_told(struct seat *seat, const struct node_server *server,
				  struct client *client)
{
	const struct node_client told = { .passport = client->passport,
					  .section = section_of(client) };
	char line[PASSPORT_MAX];
	size_t length = node_ipc_newconn_client(line, sizeof line, server->key, client->id, &told);

	if (length == 0)
		return SEND_BAD_SOCKET;
	return node_link_client(&seat->node->out, seat->link, line, length, client);
}

static enum send_result send_client(struct seat *seat, struct client *client)
{
	struct node_seat *n = seat->node;
	struct node_server *server = server_for(seat, client);
	char line[NEWCONN_MAX];
	size_t length;

	if (!server)
		return SEND_NOT_NOW;
	if (event_pending(n->retry, EV_TIMEOUT, NULL))
		return SEND_LATER;
	if (client->passport || client->listener->config->tls[0])
		return send_told(seat, server, client);
	length = node_ipc_newconn(line, sizeof line, server->key, client->id);
	return node_link_client(&n->out, seat->link, line, length, client);
}

void node_seat_tickets(struct seat *seat)
{
	char line[NEWCONN_MAX];
	size_t length;

	if (!seat->node || seat->pool->tls_at != TLS_AT_WORKER)
		return;
	length = node_ipc_tickets(line, sizeof line, &seat->delivery->tickets.keys[0]);
	if (length > 0)
		say(seat, line, length, -1);
}

static void drain(struct seat *seat)
{
	struct node_seat *n = seat->node;
	char line[NEWCONN_MAX];

	if (n->told_to_leave)
		return;
	n->told_to_leave = true;
	node_primary_told_to_leave(n->primary, seat);
	say(seat, line, node_ipc_disconnect(line, sizeof line, n->next_seq++), -1);
}

static void close_server(struct node_seat *n, const char *key)
{
	for (size_t i = 0; i < n->open_count; i++) {
		if (strcmp(n->open[i]->key, key) == 0) {
			remove_open(n, i, true);
			return;
		}
	}
}

static void acknowledged(struct seat *seat, const struct node_message *m)
{
	uint64_t lost;

	while ((lost = node_link_settled(&seat->node->out, m->ack)) != NODE_LINK_SHARED)
		seat_refused(seat, lost, true);
	if (m->accepted)
		seat_acknowledged(seat, m->ack);
	else
		seat_refused(seat, m->ack, false);
}

/* A worker's HANDLE_NACK: the handle of a client can be sent again; without that of a server it
 * waits in vain. */
static void handle_lost(struct seat *seat)
{
	uint64_t id = node_link_lost(&seat->node->out);

	if (id != NODE_LINK_SHARED)
		seat_refused(seat, id, true);
	else
		log_line(LOG_WARNING, seat->name,
			 "could not receive a socket: it has too many open files");
}

/* The supervisor hears of it first: once answered, the worker may be gone at once, and that is no
 * failure of it. */
static void answer_leaving(struct seat *seat, const struct node_message *m)
{
	char line[NEWCONN_MAX];

	seat_says_leaving(seat);
	say(seat, line, node_ipc_plain_ack(line, sizeof line, m->seq, seat->node->next_seq++), -1);
}

static void answer_handle(struct seat *seat)
{
	char line[NEWCONN_MAX];

	counter_add(COUNTER_USER_MESSAGES, 1);
	say(seat, line, node_ipc_handle_ack(line, sizeof line), -1);
}

static void bad_line(struct seat *seat, const char *why)
{
	static struct log_limit limit;

	counter_add(COUNTER_BAD_RECORDS, 1);
	if (log_limit_pass(&limit))
		log_line(LOG_WARNING, seat->name, "sent a line on its Node channel that %s", why);
}

static void act(struct seat *seat, struct node_message *m)
{
	switch (m->act) {
	case NODE_ACK:
		acknowledged(seat, m);
		break;
	case NODE_HANDLE_ACK:
		node_link_arrived(&seat->node->out);
		break;
	case NODE_HANDLE_NACK:
		handle_lost(seat);
		break;
	case NODE_ONLINE:
		seat->node->out.in_step =
			true; /* its first word: no answers to a predecessor are on their way */
		break;
	case NODE_QUERY_SERVER:
		if (!seat->node->told_to_leave)
			node_primary_ask(seat->node->primary, seat, m);
		break;
	case NODE_LISTENING:
		seat_says_ready(seat);
		break;
	case NODE_CLOSE:
		close_server(seat->node, m->key);
		break;
	case NODE_EXITED_AFTER_DISCONNECT:
		answer_leaving(seat, m);
		break;
	case NODE_HANDLE:
		answer_handle(seat);
		break;
	case NODE_USER:
		counter_add(COUNTER_USER_MESSAGES, 1);
		break;
	case NODE_INTERNAL_OTHER:
		break;
	case NODE_BAD:
		bad_line(seat, "is not of Node's protocol");
		break;
	}
}

static void hear(struct seat *seat, const char *line, size_t length)
{
	bool is_first = !seat->node->had_line;
	struct node_message message;

	seat->node->had_line = true;
	node_ipc_parse(line, length, &message);
	if (message.act == NODE_BAD && is_first)
		log_line(LOG_DEBUG, seat->name,
			 "the first line on its channel is a tail of %zu bytes", length);
	else
		act(seat, &message);
	node_message_clear(&message);
}

/* Every whole line of the inbox. What a line leads to may close the link. */
static void hear_all(struct seat *seat)
{
	struct node_seat *n = seat->node;
	size_t length;
	char *line;

	while (seat->link >= 0 && (line = buffer_line(&seat->inbox, &length, &n->scanned))) {
		if (n->skips)
			n->skips = false;
		else
			hear(seat, line, length);
	}
}

static void store(struct seat *seat, const char *bytes, size_t length)
{
	struct node_seat *n = seat->node;

	if (buffer_add(&seat->inbox, bytes, length))
		return;
	if (!n->skips)
		bad_line(seat, "is longer than 16 MiB");
	n->skips = true;
	n->scanned = 0;
	buffer_free(&seat->inbox);
	if (!buffer_add(&seat->inbox, bytes, length))
		fatal("no room in an empty inbox");
}

/* Sockets that the application sends us have no use here: the kernel closes them. false: the
 * channel is closed. A channel on which nothing can be sent any more is still read to its end:
 * acknowledgements may wait there. */
static bool readable(struct seat *seat)
{
	static char chunk[CHUNK];
	size_t sum = 0;

	while (sum < READ_AT_ONCE && seat->link >= 0) {
		ssize_t length = fd_receive_data(seat->link, chunk, sizeof chunk);

		if (length < 0)
			return errno == EAGAIN && !seat->node->out.floods;
		if (length == 0)
			return false;
		store(seat, chunk, (size_t)length);
		hear_all(seat);
		sum += (size_t)length;
	}
	return seat->link >= 0 && !seat->node->out.floods;
}

static bool writable(struct seat *seat)
{
	struct node_seat *n = seat->node;
	enum send_result result = node_link_flush(&n->out, seat->link);

	if (result == SEND_LATER)
		flush_later(n, result);
	return result != SEND_FULL;
}

const struct seat_kind seat_kind_node = {
	.name = "node",
	.begin = begin,
	.end = end,
	.serves = serves,
	.send = send_client,
	.readable = readable,
	.writable = writable,
	.drain = drain,
};
