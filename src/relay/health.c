/* Why: health.h. A check's row of equal results, not a single one, changes a mind; what a slot is
 * now is the supervisor's word (upstream_slot.is_good), which he also takes back when a process
 * ends or an address changes, so ours follows his whenever we have not just spoken.
 * SPDX-License-Identifier: ISC */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/check.h"
#include "relay/health.h"
#include "wire/counter.h"
#include "wire/proxy_header.h"

#define READY_FIRST_MS 20 /* between two looks at a starting worker; doubling */
#define READY_MOST_MS  500
#define WORD_TRAVEL_MS 1000 /* longest time until our word comes back from the supervisor */
#define REQUEST_MOST   (2 * PROBE_PATH_MOST + 512)

enum goal {
	GOAL_NONE,
	GOAL_READY, /* a local worker is starting: does it accept yet? */
	GOAL_WELL   /* is it well? */
};

/* A slot that is, or was once, worth looking at. */
struct patient {
	struct health *health;
	struct pool_checks *checks;
	size_t slot;
	enum goal goal;
	struct event *timer; /* the next check */
	struct check *check; /* the present one */
	int64_t due_ms;      /* start of the present or next check */
	int64_t delay_ms;    /* GOAL_READY */
	int64_t told_ms;     /* our last word */
	bool is_good;        /* what we think */
	bool row_is_good;    /* the last results, all alike */
	unsigned row;
};

/* A proxied pool. */
struct pool_checks {
	size_t pool;
	struct upstream *upstream; /* NULL: not proxied */
	struct probe probe;
	struct patient **patients; /* by slot; NULL until there is something to look at */
};

struct health {
	struct event_base *base;
	health_sender *sender;
	void *arg;
	struct pool_checks *pools; /* by pool */
	size_t count;
	struct log_limit complaints;
};

static struct upstream_slot *slot_of(const struct patient *patient)
{
	return &patient->checks->upstream->slots[patient->slot];
}

/* --- Words --------------------------------------------------------------------------------------
 */

static void tell(struct patient *patient, bool is_good, bool is_ready, const char *why)
{
	struct health *health = patient->health;
	struct message message = { .type = MESSAGE_HEALTH,
				   .HEALTH = { .pool = (uint32_t)patient->checks->pool,
					       .slot = (uint32_t)patient->slot,
					       .good = is_good,
					       .ready = is_ready } };

	if (!is_good)
		snprintf(message.HEALTH.why, sizeof message.HEALTH.why, "%s", why);
	health->sender(&message, health->arg);
}

static void change_mind(struct patient *patient, const char *why)
{
	const char *name = slot_of(patient)->name;

	patient->is_good = patient->row_is_good;
	patient->told_ms = clock_now_ms();
	counter_add(COUNTER_HEALTH_CHANGES, 1);
	if (patient->is_good)
		log_line(LOG_NOTICE, name, "is well again: %u good checks in a row, the last: %s",
			 patient->row, why);
	else
		log_line(LOG_WARNING, name,
			 "gets no new clients: %u failed checks in a row, the last: %s",
			 patient->row, why);
	tell(patient, patient->is_good, false, why);
}

static void count(struct patient *patient, bool is_good, const char *why)
{
	const struct pool_config *pool = patient->checks->upstream->pool;

	if (patient->row_is_good != is_good)
		patient->row = 0;
	patient->row_is_good = is_good;
	patient->row++;
	if (clock_now_ms() - patient->told_ms >= WORD_TRAVEL_MS)
		patient->is_good = slot_of(patient)->is_good;
	if (is_good != patient->is_good &&
	    patient->row >= (is_good ? pool->check_rise : pool->check_fall))
		change_mind(patient, why);
}

/* --- The rhythm ---------------------------------------------------------------------------------
 */

static void wait_until(struct patient *patient, int64_t due_ms)
{
	const struct timeval delay = clock_timeval(due_ms - clock_now_ms());

	patient->due_ms = due_ms;
	if (event_add(patient->timer, &delay) < 0)
		fatal("out of memory");
}

/* The next point of the slot's own rhythm that is not over yet: a check that took long makes no
 * other one come sooner. */
static int64_t next_due_ms(const struct patient *patient)
{
	const int64_t interval = patient->checks->upstream->pool->check_interval;
	const int64_t late_ms = clock_now_ms() - patient->due_ms;

	return patient->due_ms + interval * (late_ms < 0 ? 1 : late_ms / interval + 1);
}

/* Multiples of the golden ratio spread any number of slots evenly over the interval. */
static int64_t phase_ms(const struct patient *patient)
{
	const double turns = (double)(patient->slot + 1) * 0.618033988749895;

	return (int64_t)((turns - (double)(uint64_t)turns) *
			 (double)patient->checks->upstream->pool->check_interval);
}

/* Said again as long as it waits: the word may have come while its predecessor was stopping. */
static void on_ready_checked(enum check_verdict verdict, const char *why, void *arg)
{
	struct patient *patient = arg;

	struct check *check = patient->check; /* `why` is its own */

	patient->check = NULL;
	patient->delay_ms *= 2;
	if (patient->delay_ms > READY_MOST_MS)
		patient->delay_ms = READY_MOST_MS;
	wait_until(patient, clock_now_ms() + patient->delay_ms);
	if (verdict == CHECK_GOOD)
		tell(patient, true, true, why);
	check_end(&check);
}

static void on_checked(enum check_verdict verdict, const char *why, void *arg)
{
	struct patient *patient = arg;

	struct check *check = patient->check; /* `why` is its own */

	patient->check = NULL;
	wait_until(patient, next_due_ms(patient));
	if (verdict != CHECK_UNKNOWN)
		count(patient, verdict == CHECK_GOOD, why);
	else if (log_limit_pass(&patient->health->complaints))
		log_warning("cannot check %s: %s", slot_of(patient)->name, why);
	check_end(&check);
}

/* --- One check ----------------------------------------------------------------------------------
 */

/* The Host field: as the probe says, else as the server line does, else the address. */
static void print_host(const struct patient *patient, char *out, size_t size)
{
	const struct pool_config *pool = patient->checks->upstream->pool;
	const struct address *address = &slot_of(patient)->address;
	char text[ADDRESS_TEXT];

	snprintf(out, size, "%s",
		 address->any.sa_family == AF_UNIX ? "localhost" : address_print(address, text));
	for (size_t i = 0; i < pool->server.count; i++) {
		const struct server *server = &pool->server.items[i];
		const size_t first = config_server_slot(pool, i);

		if (patient->slot < first || patient->slot - first >= config_server_places(server))
			continue;
		if (server->kind != SERVER_SRV && !strchr(server->host, ':'))
			snprintf(out, size, "%s:%u", server->host, server->port);
	}
	if (patient->checks->probe.host)
		snprintf(out, size, "%s", patient->checks->probe.host);
}

/* A server that wants a PROXY header wants one from us too: one that says, nobody's. */
static size_t write_request(const struct patient *patient, char *out, size_t size)
{
	static const struct peer nobody = { .any.sa_family = AF_UNSPEC };
	const struct probe *probe = &patient->checks->probe;
	const enum config_send_proxy version =
		(enum config_send_proxy)patient->checks->upstream->pool->send_proxy;
	char host[PROBE_PATH_MOST + 1];
	size_t length = 0;

	if (version == SEND_PROXY_V1)
		length = proxy_header_write_v1(out, size, &nobody, &nobody);
	else if (version == SEND_PROXY_V2)
		length = proxy_header_write(out, size, &nobody, &nobody, NULL, 0);
	print_host(patient, host, sizeof host);
	return length + (size_t)snprintf(out + length, size - length,
					 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: limpet\r\n"
					 "Accept: */*\r\nConnection: close\r\n\r\n",
					 probe->method, probe->path, host);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct patient *patient = arg;
	const struct pool_checks *checks = patient->checks;
	const bool asks = patient->goal == GOAL_WELL && checks->probe.kind == PROBE_HTTP;
	char request[REQUEST_MOST];
	const struct check_question question = {
		.address = &slot_of(patient)->address,
		.request = asks ? request : NULL,
		.request_length = asks ? write_request(patient, request, sizeof request) : 0,
		.probe = &checks->probe,
		.timeout_ms = checks->upstream->pool->check_timeout,
	};

	(void)fd;
	(void)what;
	patient->check =
		check_begin(patient->health->base, &question,
			    patient->goal == GOAL_WELL ? on_checked : on_ready_checked, patient);
}

/* --- Who is looked at ---------------------------------------------------------------------------
 */

static enum goal goal_of(const struct pool_checks *checks, size_t slot)
{
	const struct upstream_slot *s = &checks->upstream->slots[slot];
	const struct pool_config *pool = checks->upstream->pool;
	const bool is_checked = checks->probe.kind == PROBE_TCP || checks->probe.kind == PROBE_HTTP;

	if (s->server != SERVER_PRESENT || s->address.length == 0)
		return GOAL_NONE;
	if (!s->is_local || s->route == ROUTE_OPEN)
		return is_checked ? GOAL_WELL : GOAL_NONE;
	/* A worker that failed too often is closed to clients while it starts. */
	if ((s->route == ROUTE_WAIT || s->runs) && pool->delivery == DELIVERY_PROXY &&
	    (pool->ready == READY_AUTO || pool->ready == READY_LISTENING))
		return GOAL_READY;
	return GOAL_NONE;
}

static struct patient *patient_new(struct health *health, struct pool_checks *checks, size_t slot)
{
	struct patient *patient = calloc(1, sizeof *patient);

	if (!patient)
		fatal("out of memory");
	patient->health = health;
	patient->checks = checks;
	patient->slot = slot;
	patient->told_ms = INT64_MIN / 2; /* we have said nothing yet */
	patient->timer = evtimer_new(health->base, on_due, patient);
	if (!patient->timer)
		fatal("out of memory");
	return patient;
}

static void patient_free(struct patient **patient)
{
	struct patient *p = *patient;

	*patient = NULL;
	if (!p)
		return;
	check_end(&p->check);
	event_free(p->timer);
	free(p);
}

void health_slot_changed(struct health *health, size_t pool, size_t slot)
{
	struct pool_checks *checks = pool < health->count ? &health->pools[pool] : NULL;
	struct patient *patient;
	enum goal goal;

	if (!checks || !checks->upstream || slot >= checks->upstream->pool->slots)
		return;
	goal = goal_of(checks, slot);
	if (!checks->patients[slot] && goal == GOAL_NONE)
		return;
	if (!checks->patients[slot])
		checks->patients[slot] = patient_new(health, checks, slot);
	patient = checks->patients[slot];
	check_end(&patient->check);
	event_del(patient->timer);
	patient->goal = goal;
	patient->row = 0;
	patient->told_ms = INT64_MIN / 2;
	patient->delay_ms = READY_FIRST_MS;
	if (goal == GOAL_READY)
		wait_until(patient, clock_now_ms());
	else if (goal == GOAL_WELL)
		wait_until(patient, clock_now_ms() + phase_ms(patient));
}

static void pool_begin(struct health *health, size_t pool, const struct config *config,
		       struct upstreams *upstreams)
{
	struct pool_checks *checks = &health->pools[pool];
	struct error e = { "" };

	checks->pool = pool;
	checks->upstream = upstream_of(upstreams, pool);
	if (!checks->upstream)
		return;
	if (!probe_parse(config->pools[pool].check, &checks->probe, &e))
		fatal("pool %s: check: %s", config->pools[pool].name, e.text);
	checks->patients = calloc(config->pools[pool].slots, sizeof(struct patient *));
	if (!checks->patients)
		fatal("out of memory");
	for (size_t slot = 0; slot < config->pools[pool].slots; slot++)
		health_slot_changed(health, pool, slot);
}

struct health *health_new(struct event_base *base, const struct config *config,
			  struct upstreams *upstreams, health_sender *sender, void *arg)
{
	struct health *health = calloc(1, sizeof *health);

	if (!health)
		fatal("out of memory");
	health->base = base;
	health->sender = sender;
	health->arg = arg;
	health->count = config->pool_count;
	health->pools = calloc(config->pool_count + 1, sizeof *health->pools);
	if (!health->pools)
		fatal("out of memory");
	for (size_t pool = 0; pool < config->pool_count; pool++)
		pool_begin(health, pool, config, upstreams);
	return health;
}

void health_free(struct health **health)
{
	struct health *h = *health;

	*health = NULL;
	if (!h)
		return;
	for (size_t pool = 0; pool < h->count; pool++) {
		struct pool_checks *checks = &h->pools[pool];

		for (size_t slot = 0; checks->upstream && slot < checks->upstream->pool->slots;
		     slot++)
			patient_free(&checks->patients[slot]);
		free(checks->patients);
		probe_free(&checks->probe);
	}
	free(h->pools);
	free(h);
}
