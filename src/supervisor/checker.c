/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/checker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/command.h"
#include "config/probe.h"
#include "supervisor/servers.h"
#include "supervisor/supervisor.h"

/*   IDLE ──check_interval──► RUNNING ──it ended──► IDLE
 *                               └──check_timeout──► KILLED ──reaped──► IDLE
 */
enum check_state {
	CHECK_IDLE,
	CHECK_RUNNING,
	CHECK_KILLED
};

/* Of one slot. */
struct check {
	TAILQ_ENTRY(check) link;
	struct checker *checker;
	const struct pool_config *pool;
	const struct probe *probe;
	size_t slot;
	enum check_state state;
	char name[160];
	struct event *timer; /* the next check, or the end of the time of this one */
	struct event *exited;
	struct process process;
	struct log_tap *output;
	int64_t begun_ms;
	bool is_good;
	unsigned streak;
	struct address asked; /* whom the belief is about: his address ... */
	uint64_t generation;  /* ... and, of a worker, his process */
};

struct pool_probe {
	TAILQ_ENTRY(pool_probe) link;
	struct probe probe;
};

struct checker {
	struct supervisor *supervisor;
	TAILQ_HEAD(, check) checks;
	TAILQ_HEAD(, pool_probe) probes;
	int null;
};

bool checker_count(bool *is_good, unsigned *streak, bool result, unsigned rise, unsigned fall)
{
	if (result == *is_good) {
		*streak = 0;
		return false;
	}
	if (++*streak < (result ? rise : fall))
		return false;
	*streak = 0;
	*is_good = result;
	return true;
}

static void after(struct check *c, int64_t ms)
{
	struct timeval wait = clock_timeval(ms);

	event_add(c->timer, &wait);
}

/* NULL: nobody is there to be checked. */
static const struct address *address_of(const struct check *c)
{
	struct supervisor *s = c->checker->supervisor;
	const struct message_server *server;
	const struct worker *w;

	if (c->slot < c->pool->locals) {
		w = supervisor_worker(s, (uint32_t)c->pool->index, (uint32_t)c->slot);
		return w && w->route == ROUTE_OPEN ? &w->address : NULL;
	}
	server = servers_at(s->servers, c->pool->index, c->slot);
	return server && server->state == SERVER_PRESENT ? &server->address : NULL;
}

/* Whoever comes new begins well: the relays have forgotten the bad name of the one before. */
static void meet(struct check *c, const struct address *address)
{
	const struct worker *w = supervisor_worker(c->checker->supervisor, (uint32_t)c->pool->index,
						   (uint32_t)c->slot);
	const uint64_t generation = w ? w->child.slot.generation : 0;

	if (generation == c->generation && c->asked.length == address->length &&
	    address_equal(&c->asked, address))
		return;
	c->asked = *address;
	c->generation = generation;
	c->is_good = true;
	c->streak = 0;
}

static void tell(const struct check *c, const char *why)
{
	struct message_health health = {
		.pool = (uint32_t)c->pool->index,
		.slot = (uint32_t)c->slot,
		.good = c->is_good,
	};

	if (c->is_good) {
		log_line(LOG_NOTICE, c->name, "its check is good again");
	} else {
		snprintf(health.why, sizeof health.why, "%s", why);
		log_line(LOG_WARNING, c->name, "its check failed %llu times: %s",
			 (unsigned long long)c->pool->check_fall, why);
	}
	counter_add(COUNTER_HEALTH_CHANGES, 1);
	servers_judge(c->checker->supervisor->servers, &health);
}

/* The only place where the state changes; timers go with it. */
static void enter(struct check *c, enum check_state state)
{
	int64_t spent = clock_now_ms() - c->begun_ms, interval = c->pool->check_interval;

	c->state = state;
	switch (state) {
	case CHECK_IDLE:
		after(c, spent < interval ? interval - spent : 0);
		break;
	case CHECK_RUNNING:
		after(c, c->pool->check_timeout);
		break;
	case CHECK_KILLED:
		event_del(c->timer);
		process_signal(&c->process, SIGKILL, true);
		break;
	}
}

static void conclude(struct check *c, bool result, const char *why)
{
	const struct address *address = address_of(c);

	enter(c, CHECK_IDLE);
	if (!address) /* it has left while it was asked about */
		return;
	meet(c, address);
	if (checker_count(&c->is_good, &c->streak, result, (unsigned)c->pool->check_rise,
			  (unsigned)c->pool->check_fall))
		tell(c, why);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct check *c = arg;
	struct process_end end;
	char why[128];

	(void)fd, (void)what;
	if (!process_reap(&c->process, c->name, true, &end))
		return;
	event_free(c->exited);
	c->exited = NULL;
	log_tap_free(&c->output);
	if (c->state == CHECK_KILLED)
		snprintf(why, sizeof why, "it took longer than check_timeout");
	else
		snprintf(why, sizeof why, "%.127s", end.how);
	conclude(c, c->state == CHECK_RUNNING && !end.by_signal && end.code == 0, why);
}

static char **argv_of(const struct check *c)
{
	struct error e = { "" };
	char **words = command_split(c->probe->command, &e);

	if (!words)
		fatal("check: %s", e.text); /* the configuration was checked */
	for (size_t i = 0; words[i]; i++) {
		char *expanded = config_expand(c->pool, words[i], c->slot);

		free(words[i]);
		words[i] = expanded;
	}
	return words;
}

static void environment_of(struct environment *e, const struct check *c,
			   const struct address *address)
{
	char text[ADDRESS_TEXT];

	pool_environment(e, c->pool, c->slot, environ);
	environment_set(e, "LIMPET_ADDRESS", address_print(address, text));
}

/* What a check prints is for who looks for a fault in it. */
static int open_output(struct check *c)
{
	int ends[2];

	if (!log_enabled(LOG_DEBUG) || pipe2(ends, O_CLOEXEC) < 0)
		return dup(c->checker->null);
	c->output = log_tap_new(c->checker->supervisor->base, &ends[0], c->name, "check", false);
	return ends[1];
}

static bool start(struct check *c, const struct address *address, struct error *e)
{
	struct environment environment = { .items = NULL };
	char **argv = argv_of(c);
	struct process_spec spec = {
		.argv = argv,
		.umask = CONFIG_UMASK_UNSET,
		.rlimit_nofile = CONFIG_RLIMIT_UNSET,
		.rlimit_core = CONFIG_RLIMIT_UNSET,
	};
	bool good = true;

	environment_of(&environment, c, address);
	spec.envp = environment.items;
	if (c->pool->user[0])
		good = process_identify(c->pool->user, c->pool->group, &spec.identity, e);
	spec.output = spec.errors = open_output(c);
	good = good && process_start(&spec, &c->process, e);
	fd_close(&spec.output);
	environment_free(&environment);
	command_words_free(&argv);
	if (!good)
		log_tap_free(&c->output);
	return good;
}

static void begin(struct check *c, const struct address *address)
{
	struct error e = { "" };

	if (!start(c, address, &e)) {
		conclude(c, false, e.text);
		return;
	}
	c->exited =
		event_new(c->checker->supervisor->base, c->process.pidfd, EV_READ, on_exited, c);
	if (!c->exited || event_add(c->exited, NULL) < 0)
		fatal("no event for %s", c->name);
	enter(c, CHECK_RUNNING);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct check *c = arg;
	const struct address *address = address_of(c);

	(void)fd, (void)what;
	if (c->state == CHECK_RUNNING) {
		enter(c, CHECK_KILLED);
		return;
	}
	c->begun_ms = clock_now_ms();
	if (!address) {
		enter(c, CHECK_IDLE);
		return;
	}
	meet(c, address);
	begin(c, address);
}

/* Slots of a pool are not all checked at the same moment. */
static void add_check(struct checker *checker, const struct pool_config *pool,
		      const struct probe *probe, size_t slot)
{
	struct check *c = calloc(1, sizeof *c);

	if (!c)
		fatal("out of memory");
	*c = (struct check){
		.checker = checker, .pool = pool, .probe = probe, .slot = slot, .is_good = true
	};
	c->process = (struct process){ .pidfd = -1, .report = -1 };
	snprintf(c->name, sizeof c->name, "%s/%zu", pool->name, slot);
	c->timer = event_new(checker->supervisor->base, -1, 0, on_timer, c);
	if (!c->timer)
		fatal("no timer for %s", c->name);
	TAILQ_INSERT_TAIL(&checker->checks, c, link);
	after(c, pool->check_interval * (int64_t)(slot + 1) / (int64_t)(pool->slots + 1));
}

static void add_pool(struct checker *checker, const struct pool_config *pool)
{
	struct error e = { "" };
	struct pool_probe *p = calloc(1, sizeof *p);

	if (!p)
		fatal("out of memory");
	if (!probe_parse(pool->check, &p->probe, &e))
		fatal("check: %s", e.text);
	TAILQ_INSERT_TAIL(&checker->probes, p, link);
	for (size_t slot = 0; p->probe.kind == PROBE_EXEC && slot < pool->slots; slot++)
		add_check(checker, pool, &p->probe, slot);
}

struct checker *checker_new(struct supervisor *s)
{
	struct checker *checker = calloc(1, sizeof *checker);

	if (!checker)
		fatal("out of memory");
	checker->supervisor = s;
	TAILQ_INIT(&checker->checks);
	TAILQ_INIT(&checker->probes);
	checker->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (checker->null < 0)
		fatal("/dev/null: %s", strerror(errno));
	for (size_t i = 0; i < s->config->pool_count; i++) {
		if (s->config->pools[i].proxied)
			add_pool(checker, &s->config->pools[i]);
	}
	if (TAILQ_EMPTY(&checker->checks))
		checker_free(&checker);
	return checker;
}

static void free_check(struct check *c)
{
	process_signal(&c->process, SIGKILL, true);
	if (c->process.pid > 0)
		waitpid(c->process.pid, NULL, 0);
	if (c->exited)
		event_free(c->exited);
	event_free(c->timer);
	log_tap_free(&c->output);
	fd_close(&c->process.pidfd);
	fd_close(&c->process.report);
	free(c);
}

void checker_free(struct checker **checker)
{
	struct checker *k = *checker;
	struct pool_probe *p;
	struct check *c;

	*checker = NULL;
	if (!k)
		return;
	while ((c = TAILQ_FIRST(&k->checks))) {
		TAILQ_REMOVE(&k->checks, c, link);
		free_check(c);
	}
	while ((p = TAILQ_FIRST(&k->probes))) {
		TAILQ_REMOVE(&k->probes, p, link);
		probe_free(&p->probe);
		free(p);
	}
	fd_close(&k->null);
	free(k);
}

bool checker_owns(const struct checker *checker, pid_t pid)
{
	const struct check *c;

	TAILQ_FOREACH (c, &checker->checks, link) {
		if (c->process.pid == pid)
			return true;
	}
	return false;
}
