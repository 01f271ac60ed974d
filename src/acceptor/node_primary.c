/* Why: see the header: the servers of one pool, and the rules by which they get their clients.
 * SPDX-License-Identifier: ISC */
#include "acceptor/node_primary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acceptor/node_feed.h"
#include "acceptor/node_seat.h"
#include "base/log.h"
#include "wire/counter.h"

/* Servers of a pool: each may cost the supervisor a socket. */
#define SERVERS_MAX 1024
/* Refusals that were explained in the log; more are not repeated line by line. */
#define REFUSED_MAX 64
/* Id of a worker's KEEP record that is no server's. */
#define KEPT_LEAVING 0

/* A worker's record that came before its link. */
struct kept_seat {
	uint32_t slot;
	uint64_t generation;
	uint32_t number;
};

struct node_primary {
	const struct pool_config *pool;
	uint64_t incarnation;
	node_primary_sender *sender;
	void *sender_arg;
	struct node_feeds feeds;
	struct node_server_queue servers;
	unsigned server_count;
	uint32_t last_number;
	struct kept_seat *kept;
	size_t kept_count;
	struct node_asked refused[REFUSED_MAX];
	size_t refused_count;
};

struct node_primary *node_primary_new(const struct pool_config *pool, uint64_t incarnation,
				      node_primary_sender *sender, void *arg)
{
	struct node_primary *p = calloc(1, sizeof *p);

	if (!p)
		fatal("out of memory");
	p->pool = pool;
	p->incarnation = incarnation;
	p->sender = sender;
	p->sender_arg = arg;
	TAILQ_INIT(&p->servers);
	return p;
}

void node_primary_free(struct node_primary **primary)
{
	struct node_primary *p = *primary;
	struct node_server *server;

	*primary = NULL;
	if (!p)
		return;
	while ((server = TAILQ_FIRST(&p->servers))) {
		TAILQ_REMOVE(&p->servers, server, link);
		node_server_free(&server);
	}
	node_feeds_free(&p->feeds);
	free(p->kept);
	free(p);
}

struct node_server *node_primary_fed_by(const struct node_primary *p, uint32_t listener)
{
	const struct node_feed *feed = node_feeds_find(&p->feeds, listener);

	return feed ? feed->server : NULL;
}

static struct node_server *server_by_number(struct node_primary *p, uint32_t number)
{
	struct node_server *s;

	TAILQ_FOREACH (s, &p->servers, link) {
		if (s->number == number)
			return s;
	}
	return NULL;
}

static struct node_server *server_by_request(struct node_primary *p, uint32_t request)
{
	struct node_server *s;

	TAILQ_FOREACH (s, &p->servers, link) {
		if (s->state == NODE_SERVER_WANTED && s->request == request)
			return s;
	}
	return NULL;
}

static struct node_server *server_by_asked(struct node_primary *p, const struct node_asked *asked)
{
	struct node_server *s;

	TAILQ_FOREACH (s, &p->servers, link) {
		if (node_asked_equal(&s->asked, asked))
			return s;
	}
	return NULL;
}

static void add_server(struct node_primary *p, struct node_server *server)
{
	TAILQ_INSERT_TAIL(&p->servers, server, link);
	p->server_count++;
	if (server->number > p->last_number)
		p->last_number = server->number;
}

/* The head of a KEEP record of this pool; `seat` NULL: pool-wide. */
static void begin_keep(const struct node_primary *p, struct message *m, const struct seat *seat,
		       uint32_t id)
{
	m->type = MESSAGE_KEEP;
	m->KEEP.pool = (uint32_t)p->pool->index;
	m->KEEP.slot = seat ? (uint32_t)seat->index : MESSAGE_POOL_WIDE;
	m->KEEP.generation = seat ? seat->generation : 0;
	m->KEEP.id = id;
	m->KEEP.length = 0;
}

static void keep_server(struct node_primary *p, const struct node_server *server)
{
	uint32_t feeds[NODE_FEEDS_MAX];
	struct message m;

	begin_keep(p, &m, NULL, server->number);
	node_server_pack(server, feeds, node_feeds_of(&p->feeds, server, feeds), &m.KEEP);
	p->sender(&m, p->sender_arg);
}

static void keep_seat(struct node_primary *p, const struct seat *seat, uint32_t id, bool is_open)
{
	struct message m;

	begin_keep(p, &m, seat, id);
	m.KEEP.length = is_open;
	m.KEEP.bytes[0] = 1;
	p->sender(&m, p->sender_arg);
}

/* Nobody uses it, and it has no listeners (any more). */
static bool is_useless(const struct node_primary *p, const struct node_server *server)
{
	uint32_t feeds[NODE_FEEDS_MAX];

	return !node_server_is_used(server) && node_feeds_of(&p->feeds, server, feeds) == 0;
}

static void forget_server(struct node_primary *p, struct node_server *server)
{
	struct message m;

	begin_keep(p, &m, NULL, server->number);
	p->sender(&m, p->sender_arg);
	TAILQ_REMOVE(&p->servers, server, link);
	p->server_count--;
	node_server_free(&server);
}

/* Servers that lost listeners to another. */
static void settle_losses(struct node_primary *p)
{
	struct node_server *server, *next;

	for (server = TAILQ_FIRST(&p->servers); server; server = next) {
		next = TAILQ_NEXT(server, link);
		if (!server->has_lost)
			continue;
		server->has_lost = false;
		if (is_useless(p, server))
			forget_server(p, server);
		else
			keep_server(p, server);
	}
}

/* The same port twice in one application, while the first is still being opened or has virtual
 * listeners. */
static bool has_rival(struct node_primary *p, const struct node_server *server)
{
	const struct node_server *other;

	TAILQ_FOREACH (other, &p->servers, link) {
		if (other != server && node_server_is_used(other) &&
		    node_asked_collides(&other->asked, &server->asked))
			return true;
	}
	return false;
}

/* Says once per server what to write. */
static void explain_refusal(struct node_primary *p, const struct node_asked *asked)
{
	char what[192];

	for (size_t i = 0; i < p->refused_count; i++) {
		if (node_asked_equal(&p->refused[i], asked))
			return;
	}
	if (p->refused_count == REFUSED_MAX)
		return;
	p->refused[p->refused_count++] = *asked;
	node_asked_print(asked, what, sizeof what);
	if (node_asked_is_tcp(asked) && asked->port > 0)
		log_line(LOG_WARNING, p->pool->name,
			 "the application asks for %s, for which no listener brings clients: write "
			 "app_port = %lld "
			 "in a [listen] section of this pool, or adopt_ports = on in [pool:%s]",
			 what, (long long)asked->port, p->pool->name);
	else
		log_line(LOG_WARNING, p->pool->name,
			 "the application asks for %s, which no listener is: write adopt_ports = "
			 "on in [pool:%s]",
			 what, p->pool->name);
	if (p->refused_count == REFUSED_MAX)
		log_line(LOG_WARNING, p->pool->name,
			 "further ports that are refused are not logged");
}

/* Never 0, and apart from those of a predecessor, whose answers may still come. */
static uint32_t next_request(const struct node_primary *p)
{
	static uint16_t last;

	if (++last == 0)
		last = 1;
	return (uint32_t)(p->incarnation & 0xffff) << 16 | last;
}

static void ask_supervisor(struct node_primary *p, struct node_server *server,
			   const struct message_open *open)
{
	struct message m = { .type = MESSAGE_OPEN, .OPEN = *open };

	m.OPEN.request = server->request = next_request(p);
	m.OPEN.pool = (uint32_t)p->pool->index;
	p->sender(&m, p->sender_arg);
}

static void open_server(struct node_primary *p, struct node_server *server)
{
	struct node_query *query;

	node_server_move(server, NODE_SERVER_OPEN);
	node_server_name(server, node_feeds_address(&p->feeds, server));
	keep_server(p, server);
	while ((query = TAILQ_FIRST(&server->waiting))) {
		struct seat *seat = query->seat;
		uint64_t seq = query->seq;

		TAILQ_REMOVE(&server->waiting, query, link);
		free(query);
		node_seat_serve(seat, server, seq);
	}
}

/* The four rules: 0 (the server is fed, or the supervisor was asked) or a negative errno. */
static int find_clients(struct node_primary *p, struct node_server *server)
{
	struct message_open open;
	int error = node_asked_open(&server->asked, &open);

	if (error != 0)
		return error;
	error = has_rival(p, server) ? EADDRINUSE : node_feeds_take_exact(&p->feeds, server, &open);
	if (error == EADDRINUSE)
		return -EADDRINUSE;
	if (error == 0 || node_feeds_take_unasked(&p->feeds, server)) {
		settle_losses(p);
		open_server(p, server);
		return 0;
	}
	if (!p->pool->adopt_ports) {
		explain_refusal(p, &server->asked);
		return -EACCES;
	}
	ask_supervisor(p, server, &open);
	return 0;
}

static int refusal_of(const struct node_primary *p, const struct node_message *message)
{
	static struct log_limit limit;

	if (message->data && strlen(message->data) > NODE_DATA_MAX)
		return -E2BIG;
	if (p->server_count < SERVERS_MAX)
		return 0;
	if (log_limit_pass(&limit))
		log_line(LOG_WARNING, p->pool->name,
			 "the application has %u servers: it gets EMFILE for more",
			 p->server_count);
	return -EMFILE;
}

/* NULL with a negative errno. */
static struct node_server *make_server(struct node_primary *p, const struct node_asked *asked,
				       struct node_message *message, int *error_r)
{
	struct node_server *server;

	*error_r = refusal_of(p, message);
	if (*error_r != 0)
		return NULL;
	server = node_server_new(p->last_number + 1, p->incarnation, asked);
	add_server(p, server);
	*error_r = find_clients(p, server);
	if (*error_r == 0)
		return server;
	TAILQ_REMOVE(&p->servers, server, link);
	p->server_count--;
	node_server_free(&server);
	return NULL;
}

void node_primary_ask(struct node_primary *p, struct seat *seat, struct node_message *message)
{
	struct node_server *server;
	struct node_asked asked;
	int error = 0;

	node_asked_from(&asked, message);
	server = server_by_asked(p, &asked);
	if (!server)
		server = make_server(p, &asked, message, &error);
	if (!server) {
		const char *data = error == -E2BIG ? NULL : message->data;

		node_seat_refuse(seat, message->seq, error, data);
		return;
	}
	if (node_server_take_data(server, message) && server->state == NODE_SERVER_OPEN)
		keep_server(p, server);
	if (server->state == NODE_SERVER_OPEN)
		node_seat_serve(seat, server, message->seq);
	else
		node_server_wait(server, seat, message->seq);
}

void node_primary_listener(struct node_primary *p, const struct message_listener *what,
			   const struct listen_config *config, int *fd)
{
	struct node_server *server = what->request ? server_by_request(p, what->request) : NULL;
	struct node_feed *feed;

	feed = node_feeds_add(&p->feeds, what, config, fd);
	if (server) {
		counter_add(COUNTER_ADOPTED_PORTS, 1);
		node_feed_give(feed, server);
		open_server(p, server);
	} else if ((server = node_feeds_join(&p->feeds, feed))) {
		keep_server(p, server);
	}
}

void node_primary_open_failed(struct node_primary *p, const struct message_open_failed *failed)
{
	struct node_server *server = server_by_request(p, failed->request);
	struct node_query *query;

	if (!server)
		return;
	node_server_move(server, NODE_SERVER_FAILED);
	TAILQ_FOREACH (query, &server->waiting, link)
		node_seat_refuse(query->seat, query->seq,
				 node_asked_error(&server->asked, failed->error), server->data);
	TAILQ_REMOVE(&p->servers, server, link);
	p->server_count--;
	node_server_free(&server);
}

void node_primary_opened(struct node_primary *p, const struct seat *seat,
			 struct node_server *server, bool is_news)
{
	server->users++;
	if (is_news)
		keep_seat(p, seat, server->number, true);
}

void node_primary_closed(struct node_primary *p, const struct seat *seat,
			 struct node_server *server, bool is_news)
{
	server->users--;
	if (is_news)
		keep_seat(p, seat, server->number, false);
	if (is_useless(p, server))
		forget_server(p, server);
}

void node_primary_told_to_leave(struct node_primary *p, const struct seat *seat)
{
	keep_seat(p, seat, KEPT_LEAVING, true);
}

static void kept_server(struct node_primary *p, const struct message_keep *keep)
{
	uint32_t feeds[NODE_FEEDS_MAX];
	size_t count;
	struct node_server *server = node_server_unpack(keep, feeds, &count);

	if (!server) {
		log_line(LOG_ERROR, p->pool->name,
			 "a record of our predecessor is unsound: forgotten");
		return;
	}
	add_server(p, server);
	for (size_t i = 0; i < count; i++) {
		struct node_feed *feed = node_feeds_find(&p->feeds, feeds[i]);

		if (feed)
			node_feed_give(feed, server);
	}
}

void node_primary_kept(struct node_primary *p, const struct message_keep *keep)
{
	struct kept_seat *grown;

	if (keep->slot == MESSAGE_POOL_WIDE) {
		kept_server(p, keep);
		return;
	}
	grown = reallocarray(p->kept, p->kept_count + 1, sizeof *grown);
	if (!grown)
		fatal("out of memory");
	p->kept = grown;
	p->kept[p->kept_count++] = (struct kept_seat){ keep->slot, keep->generation, keep->id };
}

/* One record of the worker; true: it was told to disconnect. */
static bool restore_one(struct node_primary *p, struct seat *seat, uint32_t number)
{
	struct node_server *server = server_by_number(p, number);

	if (number == KEPT_LEAVING)
		return true;
	if (server)
		node_seat_restore(seat, server);
	return false;
}

bool node_primary_restore(struct node_primary *p, struct seat *seat)
{
	bool is_leaving = false;
	size_t rest = 0;

	for (size_t i = 0; i < p->kept_count; i++) {
		struct kept_seat kept = p->kept[i];

		if (kept.slot == seat->index && kept.generation == seat->generation)
			is_leaving |= restore_one(p, seat, kept.number);
		else
			p->kept[rest++] = kept;
	}
	p->kept_count = rest;
	return is_leaving;
}

void node_primary_forget_seat(struct node_primary *p, const struct seat *seat)
{
	struct node_server *server;

	TAILQ_FOREACH (server, &p->servers, link)
		node_server_forget_seat(server, seat);
}
