/* Why: resolver.h. Of each server line: when its name is asked for again, and what an answer, or
 * none, means. Which address gets which slot is places.c's, how one asks lookup.c's.
 * SPDX-License-Identifier: ISC */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/lookup.h"
#include "relay/places.h"
#include "relay/resolver.h"

#define RESOLVER_FIRST_MS 1000 /* after a first lookup that failed; doubling to the interval */
#define RESOLVER_KEEP     10   /* intervals that a place waits for an address that left */
#define RESOLVER_LOOKUPS  64   /* at a time */

/* A server line. */
struct line {
	TAILQ_ENTRY(line) link; /* while it waits for its turn */
	struct resolver *resolver;
	const struct pool_config *pool;
	const struct server *server;
	size_t first; /* slot */
	struct place *places;
	size_t count;
	struct lookup *lookup; /* NULL: none is under way */
	struct event *timer;   /* the next */
	int64_t retry_ms;
	size_t left_out;    /* as logged last */
	bool is_known;      /* has had an answer, or its predecessor had */
	bool is_complained; /* that it fails is logged */
	bool is_numeric;    /* never asked for */
};

struct resolver {
	struct event_base *base;
	const struct config *config;
	resolver_sender *sender;
	void *arg;
	struct line *lines;
	size_t count, running;
	TAILQ_HEAD(, line) queue;
};

/* --- Words --------------------------------------------------------------------------------------
 */

/* Thousandths; a weight that is not 0 stays so. */
static uint32_t weight_of(double weight)
{
	const double thousandths = round(weight * 1000);

	if (thousandths < 1)
		return weight > 0;
	return thousandths >= UINT32_MAX ? UINT32_MAX : (uint32_t)thousandths;
}

/* What is hashed: of an address of many, the address itself, so that Limpets that got them in
 * another order agree. */
static void print_name(const struct line *line, const struct place *place, char *out, size_t size)
{
	char text[ADDRESS_TEXT];

	snprintf(out, size, "%s",
		 line->server->kind == SERVER_ADDRESS ? line->server->name
						      : address_print(&place->address, text));
}

static void log_place(const struct line *line, const struct place *place, const char *name)
{
	static const char *const words[] = { [SERVER_PRESENT] = "may get clients",
					     [SERVER_LEAVING] =
						     "is gone from its name: it keeps its "
						     "clients and gets no new ones" };
	char text[ADDRESS_TEXT];

	if (place->state == SERVER_ABSENT || line->is_numeric)
		return;
	log_line(LOG_NOTICE, line->pool->name, "server %s (%s) %s", name,
		 line->server->kind == SERVER_ADDRESS ? address_print(&place->address, text)
						      : line->server->name,
		 words[place->state]);
}

static void tell(const struct line *line, const struct place *place)
{
	const struct resolver *resolver = line->resolver;
	struct message message = { .type = MESSAGE_SERVER_FOUND };
	struct message_server *found = &message.SERVER_FOUND;

	found->pool = (uint32_t)line->pool->index;
	found->slot = (uint32_t)(line->first + (size_t)(place - line->places));
	found->state = place->state;
	if (place->state != SERVER_ABSENT) {
		found->weight = weight_of(place->weight);
		found->address = place->address;
		print_name(line, place, found->name, sizeof found->name);
	}
	log_place(line, place, found->name);
	resolver->sender(&message, resolver->arg);
}

static size_t known_count(const struct line *line)
{
	size_t count = 0;

	for (size_t i = 0; i < line->count; i++)
		count += line->places[i].state == SERVER_PRESENT;
	return count;
}

static void complain(struct line *line, const struct lookup_answer *answer)
{
	if (answer->result == LOOKUP_WHOLE) {
		if (line->is_complained)
			log_line(LOG_NOTICE, line->pool->name, "%s is answered again",
				 line->server->name);
	} else if (!line->is_complained) {
		log_line(LOG_WARNING, line->pool->name, "looking up %s: %s; %s (%zu known)",
			 line->server->name, answer->why,
			 answer->result == LOOKUP_PARTIAL ? "no address is taken away"
							  : "nothing changes",
			 known_count(line));
	}
	line->is_complained = answer->result != LOOKUP_WHOLE;
}

static void complain_left_out(struct line *line, size_t left_out)
{
	if (left_out > 0 && left_out != line->left_out)
		log_line(LOG_WARNING, line->pool->name,
			 "%s has %zu addresses more than the %zu that are used", line->server->name,
			 left_out, line->count);
	line->left_out = left_out;
}

/* --- Answers ------------------------------------------------------------------------------------
 */

static void take(struct line *line, const struct lookup_answer *answer)
{
	const struct places_rule rule = {
		.now_ms = clock_now_ms(),
		.keep_ms = line->pool->resolve_interval * RESOLVER_KEEP,
		.is_partial = answer->result == LOOKUP_PARTIAL,
	};

	if (line->server->kind == SERVER_ADDRESS)
		places_choose(line->places, answer->found, answer->count, &rule);
	else
		complain_left_out(line, answer->left_out + places_assign(line->places, line->count,
									 answer->found,
									 answer->count, &rule));
	for (size_t i = 0; i < line->count; i++)
		if (line->places[i].is_changed)
			tell(line, &line->places[i]);
	line->is_known = true;
}

static void wait_next(struct line *line)
{
	const int64_t interval = line->pool->resolve_interval;
	struct timeval delay;

	if (line->is_known) {
		line->retry_ms = interval;
	} else {
		line->retry_ms = line->retry_ms > 0 ? line->retry_ms * 2 : RESOLVER_FIRST_MS;
		if (line->retry_ms > interval)
			line->retry_ms = interval;
	}
	delay = clock_timeval(line->retry_ms);
	if (event_add(line->timer, &delay) < 0)
		fatal("out of memory");
}

static void run_queue(struct resolver *resolver);

static void on_answer(const struct lookup_answer *answer, void *arg)
{
	struct line *line = arg;

	complain(line, answer);
	if (answer->count > 0)
		take(line, answer);
	lookup_end(&line->lookup);
	line->resolver->running--;
	wait_next(line);
	run_queue(line->resolver);
}

/* --- Questions ----------------------------------------------------------------------------------
 */

static bool has_family(const struct line *line, sa_family_t family)
{
	for (size_t i = 0; i < line->count; i++)
		if (line->places[i].state == SERVER_PRESENT &&
		    line->places[i].address.any.sa_family == family)
			return true;
	return false;
}

static void run_queue(struct resolver *resolver)
{
	struct line *line;

	while (resolver->running < RESOLVER_LOOKUPS && (line = TAILQ_FIRST(&resolver->queue))) {
		const struct lookup_question question = {
			.server = line->server,
			.name_servers = &resolver->config->limpet.resolver,
			.expects_v4 = has_family(line, AF_INET),
			.expects_v6 = has_family(line, AF_INET6),
		};

		TAILQ_REMOVE(&resolver->queue, line, link);
		resolver->running++;
		line->lookup = lookup_begin(resolver->base, &question, on_answer, line);
	}
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct line *line = arg;

	(void)fd;
	(void)what;
	TAILQ_INSERT_TAIL(&line->resolver->queue, line, link);
	run_queue(line->resolver);
}

/* --- Begin and end ------------------------------------------------------------------------------
 */

static void line_begin(struct line *line, struct resolver *resolver, const struct pool_config *pool,
		       size_t number)
{
	line->resolver = resolver;
	line->pool = pool;
	line->server = &pool->server.items[number];
	line->first = config_server_slot(pool, number);
	line->count = config_server_places(line->server);
	line->places = calloc(line->count, sizeof *line->places);
	line->timer = evtimer_new(resolver->base, on_due, line);
	if (!line->places || !line->timer)
		fatal("out of memory");
}

struct resolver *resolver_new(struct event_base *base, const struct config *config,
			      resolver_sender *sender, void *arg)
{
	struct resolver *resolver = calloc(1, sizeof *resolver);
	size_t count = 0, next = 0;

	if (!resolver)
		fatal("out of memory");
	resolver->base = base;
	resolver->config = config;
	resolver->sender = sender;
	resolver->arg = arg;
	TAILQ_INIT(&resolver->queue);
	for (size_t i = 0; i < config->pool_count; i++)
		count += config->pools[i].server.count;
	resolver->lines = calloc(count + 1, sizeof *resolver->lines);
	if (!resolver->lines)
		fatal("out of memory");
	resolver->count = count;
	for (size_t i = 0; i < config->pool_count; i++)
		for (size_t number = 0; number < config->pools[i].server.count; number++)
			line_begin(&resolver->lines[next++], resolver, &config->pools[i], number);
	return resolver;
}

void resolver_free(struct resolver **resolver)
{
	struct resolver *r = *resolver;

	*resolver = NULL;
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++) {
		lookup_end(&r->lines[i].lookup);
		event_free(r->lines[i].timer);
		free(r->lines[i].places);
	}
	free(r->lines);
	free(r);
}

void resolver_known(struct resolver *resolver, const struct message_server *server)
{
	for (size_t i = 0; i < resolver->count; i++) {
		struct line *line = &resolver->lines[i];

		if (line->pool->index != server->pool || server->slot < line->first ||
		    server->slot - line->first >= line->count || server->state > SERVER_LEAVING ||
		    server->state == SERVER_ABSENT)
			continue;
		line->places[server->slot - line->first] = (struct place){
			.state = (enum server_state)server->state,
			.address = server->address,
			.weight = (double)server->weight / 1000,
			.left_ms = clock_now_ms(),
		};
		line->is_known = true;
	}
}

void resolver_start(struct resolver *resolver)
{
	for (size_t i = 0; i < resolver->count; i++) {
		struct line *line = &resolver->lines[i];
		struct place_found only = { .weight = line->server->weight };

		line->is_numeric = lookup_is_numeric(line->server, &only.address);
		if (line->is_numeric) {
			places_choose(line->places, &only, 1, &(struct places_rule){ 0 });
			if (line->places->is_changed)
				tell(line, line->places);
		} else {
			TAILQ_INSERT_TAIL(&resolver->queue, line, link);
		}
	}
	run_queue(resolver);
}
