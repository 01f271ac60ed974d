/* Why: lookup.h.
 *
 *   an SRV line:  SRV question ──► targets ──► addresses of each ──► answer
 *   other lines:                        addresses of the host ──► answer
 *   Where a family that was known before is missing in the answer, it is asked for once more on its
 *   own: the library reports one family as success even when the question for the other was lost.
 * SPDX-License-Identifier: ISC */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/lookup.h"

#define LOOKUP_TIMEOUT_MS   2000 /* of the first try; the library doubles it */
#define LOOKUP_TRIES        3
#define LOOKUP_DEADLINE_MS  30000 /* of the whole, whatever the library waits for */
#define LOOKUP_ADDRESSES    1024  /* of one answer; it may come from anybody */
#define LOOKUP_EDNS_SIZE    1232
#define LOOKUP_SERVERS_TEXT 4096

/* A host whose addresses are wanted. */
struct target {
	struct lookup *lookup;
	char *host;
	unsigned port;
	double weight;
};

/* A socket of the library. */
struct watch {
	LIST_ENTRY(watch) link;
	struct lookup *lookup;
	struct event *event;
	ares_socket_t fd;
};

struct lookup {
	struct event_base *base;
	struct lookup_question question;
	lookup_done *done;
	void *arg;
	ares_channel channel; /* NULL where there could be none */
	LIST_HEAD(, watch) watches;
	struct event *timer; /* the library's next deadline; at once: the next step */
	int64_t deadline_ms;
	size_t pending; /* questions without an answer */
	bool is_asked, is_asked_again, is_ending;
	struct target targets[CONFIG_PLACES];
	size_t target_count, left_out;
	struct place_found found[LOOKUP_ADDRESSES];
	size_t found_count;
	bool is_partial;
	bool is_empty; /* what failed, failed by an answer: "none" */
	char why[256];
};

/* --- What the library says ----------------------------------------------------------------------
 */

static bool is_none(int status)
{
	return status == ARES_ENODATA;
}

static void fail(struct lookup *lookup, const char *host, int status)
{
	lookup->is_empty = is_none(status) && (!lookup->is_partial || lookup->is_empty);
	lookup->is_partial = true;
	snprintf(lookup->why, sizeof lookup->why, "%.160s: %s", host,
		 is_none(status) ? "the name has no addresses" : ares_strerror(status));
}

static void add(const struct target *target, const struct sockaddr *found)
{
	struct lookup *lookup = target->lookup;
	struct place_found *place;

	if (found->sa_family != AF_INET && found->sa_family != AF_INET6)
		return;
	if (lookup->found_count == LOOKUP_ADDRESSES) {
		lookup->left_out++;
		return;
	}
	place = &lookup->found[lookup->found_count++];
	*place = (struct place_found){ .weight = target->weight };
	if (found->sa_family == AF_INET) {
		memcpy(&place->address.v4, found, sizeof place->address.v4);
		place->address.v4.sin_port = htons((uint16_t)target->port);
		place->address.length = sizeof place->address.v4;
	} else {
		memcpy(&place->address.v6, found, sizeof place->address.v6);
		place->address.v6.sin6_port = htons((uint16_t)target->port);
		place->address.length = sizeof place->address.v6;
	}
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	const struct target *target = arg;
	struct lookup *lookup = target->lookup;

	(void)timeouts;
	if (!lookup->is_ending) {
		lookup->pending--;
		if (status == ARES_SUCCESS)
			for (const struct ares_addrinfo_node *node = result->nodes; node;
			     node = node->ai_next)
				add(target, node->ai_addr);
		else if (!lookup->is_asked_again || (!is_none(status) && status != ARES_ENOTFOUND))
			fail(lookup, target->host, status);
	}
	if (result)
		ares_freeaddrinfo(result);
}

static void target_add(struct lookup *lookup, const char *host, unsigned port, double weight)
{
	struct target *target = &lookup->targets[lookup->target_count++];

	*target = (struct target){
		.lookup = lookup, .host = strdup(host), .port = port, .weight = weight
	};
	if (!target->host)
		fatal("out of memory");
}

static int order(const void *a, const void *b)
{
	const struct ares_srv_reply *x = *(const struct ares_srv_reply *const *)a;
	const struct ares_srv_reply *y = *(const struct ares_srv_reply *const *)b;
	const int by_host = strcmp(x->host, y->host);

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return by_host ? by_host : (int)x->port - (int)y->port;
}

/* Of the lowest priority only, in an order on which several Limpets agree. A target "." says that
 * the service is not there. RFC 2782. */
static void targets_take(struct lookup *lookup, const struct ares_srv_reply *list)
{
	const struct ares_srv_reply **rows;
	size_t count = 0, i = 0;

	for (const struct ares_srv_reply *row = list; row; row = row->next)
		count++;
	rows = calloc(count + 1, sizeof *rows);
	if (!rows)
		fatal("out of memory");
	for (const struct ares_srv_reply *row = list; row; row = row->next)
		rows[i++] = row;
	qsort(rows, count, sizeof *rows, order);
	for (i = 0; i < count && rows[i]->priority == rows[0]->priority; i++) {
		const double weight = rows[i]->weight ? rows[i]->weight : 1;

		if (*rows[i]->host == '\0' || strcmp(rows[i]->host, ".") == 0)
			continue;
		if (lookup->target_count == CONFIG_PLACES)
			lookup->left_out++;
		else
			target_add(lookup, rows[i]->host, rows[i]->port,
				   weight * lookup->question.server->weight);
	}
	free(rows);
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *bytes, int length)
{
	struct lookup *lookup = arg;
	struct ares_srv_reply *list = NULL;

	(void)timeouts;
	if (lookup->is_ending)
		return;
	lookup->pending--;
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(bytes, length, &list);
	if (status == ARES_SUCCESS)
		targets_take(lookup, list);
	if (lookup->target_count == 0)
		fail(lookup, lookup->question.server->host,
		     status == ARES_SUCCESS ? ARES_ENODATA : status);
	if (list)
		ares_free_data(list);
}

/* --- Steps --------------------------------------------------------------------------------------
 */

static void ask(struct lookup *lookup, int family)
{
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT, /* sorting is not ours: every address is used */
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
	};

	for (size_t i = 0; i < lookup->target_count; i++) {
		lookup->pending++;
		ares_getaddrinfo(lookup->channel, lookup->targets[i].host, NULL, &hints,
				 on_addresses, &lookup->targets[i]);
	}
}

static bool has_family(const struct lookup *lookup, int family)
{
	for (size_t i = 0; i < lookup->found_count; i++)
		if (lookup->found[i].address.any.sa_family == family)
			return true;
	return false;
}

static void ask_again(struct lookup *lookup)
{
	lookup->is_asked_again = true;
	if (lookup->found_count == 0)
		return;
	if (lookup->question.expects_v4 && !has_family(lookup, AF_INET))
		ask(lookup, AF_INET);
	if (lookup->question.expects_v6 && !has_family(lookup, AF_INET6))
		ask(lookup, AF_INET6);
}

static void answer(struct lookup *lookup)
{
	struct lookup_answer result = { .found = lookup->found,
					.count = lookup->found_count,
					.left_out = lookup->left_out,
					.why = lookup->why };

	if (result.count > 0)
		result.result = lookup->is_partial ? LOOKUP_PARTIAL : LOOKUP_WHOLE;
	else
		result.result = lookup->is_empty ? LOOKUP_EMPTY : LOOKUP_FAILED;
	lookup->done(&result, lookup->arg); /* may have ended the lookup */
}

/* When everything that was asked is answered. True: more was asked. */
static bool step(struct lookup *lookup)
{
	if (!lookup->is_asked && lookup->channel) {
		lookup->is_asked = true;
		ask(lookup, AF_UNSPEC);
		if (lookup->target_count > 0)
			return true;
	}
	if (!lookup->is_asked_again && lookup->channel) {
		ask_again(lookup);
		return lookup->pending > 0;
	}
	return false;
}

static void arm(struct lookup *lookup)
{
	const int64_t left_ms = lookup->deadline_ms - clock_now_ms();
	struct timeval most = clock_timeval(lookup->pending > 0 ? left_ms : 0), next;

	if (lookup->pending > 0)
		most = *ares_timeout(lookup->channel, &most, &next);
	event_add(lookup->timer, &most);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *lookup = arg;

	(void)fd;
	(void)what;
	if (lookup->pending > 0 && clock_now_ms() >= lookup->deadline_ms)
		ares_cancel(lookup->channel);
	else if (lookup->pending > 0)
		ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (lookup->pending == 0 && !step(lookup))
		answer(lookup);
	else
		arm(lookup);
}

/* --- The library's sockets ----------------------------------------------------------------------
 */

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *lookup = ((struct watch *)arg)->lookup; /* the watch may go meanwhile */

	ares_process_fd(lookup->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
			what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	arm(lookup);
}

static void watch_free(struct watch *watch)
{
	LIST_REMOVE(watch, link);
	event_free(watch->event);
	free(watch);
}

/* The library tells what it wants to know of a socket; nothing: it is about to close it. */
static void on_wanted(void *arg, ares_socket_t fd, int readable, int writable)
{
	const short what =
		(short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
	struct lookup *lookup = arg;
	struct watch *watch;

	LIST_FOREACH (watch, &lookup->watches, link)
		if (watch->fd == fd)
			break;
	if (watch)
		watch_free(watch);
	if (!readable && !writable)
		return;
	watch = calloc(1, sizeof *watch);
	if (!watch)
		fatal("out of memory");
	watch->lookup = lookup;
	watch->fd = fd;
	watch->event = event_new(lookup->base, fd, what, on_socket, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0)
		fatal("out of memory");
	LIST_INSERT_HEAD(&lookup->watches, watch, link);
}

/* --- Begin and end ------------------------------------------------------------------------------
 */

static int use_name_servers(ares_channel channel, const struct address_list *list)
{
	char text[LOOKUP_SERVERS_TEXT], one[ADDRESS_TEXT];
	size_t length = 0;

	if (!list || list->count == 0)
		return ARES_SUCCESS;
	text[0] = '\0';
	for (size_t i = 0; i < list->count && length + sizeof one < sizeof text; i++)
		length += (size_t)snprintf(text + length, sizeof text - length, "%s%s",
					   i > 0 ? "," : "", address_print(&list->items[i], one));
	return ares_set_servers_ports_csv(channel, text);
}

static void channel_open(struct lookup *lookup)
{
	struct ares_options options = {
		.flags = ARES_FLAG_EDNS,
		.timeout = LOOKUP_TIMEOUT_MS,
		.tries = LOOKUP_TRIES,
		.ednspsz = LOOKUP_EDNS_SIZE,
		.sock_state_cb = on_wanted,
		.sock_state_cb_data = lookup,
	};
	const int which = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
			  ARES_OPT_SOCK_STATE_CB;
	int status = ares_init_options(&lookup->channel, &options, which);

	if (status != ARES_SUCCESS) {
		lookup->channel = NULL;
		fail(lookup, "resolv.conf", status);
		return;
	}
	status = use_name_servers(lookup->channel, lookup->question.name_servers);
	if (status != ARES_SUCCESS) {
		ares_destroy(lookup->channel);
		lookup->channel = NULL;
		fail(lookup, "resolver", status);
	}
}

struct lookup *lookup_begin(struct event_base *base, const struct lookup_question *question,
			    lookup_done *done, void *arg)
{
	const struct server *server = question->server;
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		fatal("out of memory");
	lookup->base = base;
	lookup->question = *question;
	lookup->done = done;
	lookup->arg = arg;
	lookup->deadline_ms = clock_now_ms() + LOOKUP_DEADLINE_MS;
	LIST_INIT(&lookup->watches);
	lookup->timer = evtimer_new(base, on_timer, lookup);
	if (!lookup->timer)
		fatal("out of memory");
	channel_open(lookup);
	if (lookup->channel && server->kind == SERVER_SRV) {
		lookup->pending++;
		ares_search(lookup->channel, server->host, ns_c_in, ns_t_srv, on_srv, lookup);
	} else {
		target_add(lookup, server->host, server->port, server->weight);
	}
	arm(lookup);
	return lookup;
}

void lookup_end(struct lookup **lookup)
{
	struct lookup *l = *lookup;

	*lookup = NULL;
	if (!l)
		return;
	l->is_ending = true; /* the library now answers all that is open */
	if (l->channel)
		ares_destroy(l->channel);
	while (!LIST_EMPTY(&l->watches))
		watch_free(LIST_FIRST(&l->watches));
	for (size_t i = 0; i < l->target_count; i++)
		free(l->targets[i].host);
	event_free(l->timer);
	free(l);
	ares_library_cleanup();
}

bool lookup_is_numeric(const struct server *server, struct address *address_r)
{
	char text[ADDRESS_TEXT], scoped[ADDRESS_TEXT];
	struct in6_addr bytes;
	struct error e;

	if (server->kind != SERVER_ADDRESS)
		return false;
	if (strncmp(server->host, "unix:", 5) == 0)
		return address_parse(server->host, address_r, &e);
	if (strlen(server->host) > ADDRESS_TEXT - 16)
		return false;
	snprintf(scoped, sizeof scoped, "%.*s", (int)strcspn(server->host, "%"), server->host);
	if (inet_pton(AF_INET6, scoped, &bytes) == 1)
		snprintf(text, sizeof text, "[%s]:%u", server->host, server->port);
	else if (inet_pton(AF_INET, server->host, &bytes) == 1)
		snprintf(text, sizeof text, "%s:%u", server->host, server->port);
	else
		return false;
	return address_parse(text, address_r, &e);
}
