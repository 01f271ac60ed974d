/* Why: see the header: setting everything up in order, and turning the world's news into events.
 * What happens at the end is in shutdown.c. SPDX-License-Identifier: ISC */
#include "supervisor/supervisor.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/checker.h"
#include "supervisor/manager.h"
#include "supervisor/orphans.h"
#include "supervisor/servers.h"
#include "supervisor/setup.h"
#include "supervisor/shutdown.h"
#include "supervisor/tickets.h"
#include "supervisor/tls_files.h"
#include "wire/role.h"

#define STATS_MOST 3072 /* a line of the log holds as much */

struct worker *supervisor_worker(struct supervisor *s, uint32_t pool, uint32_t slot)
{
	for (size_t i = 0; i < s->worker_count; i++) {
		if (s->workers[i].pool->index == pool && s->workers[i].index == slot)
			return &s->workers[i];
	}
	return NULL;
}

void supervisor_move(struct supervisor *s, enum supervisor_state to)
{
	s->state = to;
	shutdown_enter(s);
}

static void on_notify(pid_t pid, enum notify_word word, const char *status, void *arg)
{
	struct supervisor *s = arg;

	for (size_t i = 0; i < s->worker_count; i++) {
		struct worker *w = &s->workers[i];

		if (w->child.process.pid == 0 ||
		    (w->child.process.pid != pid && getpgid(pid) != w->child.process.pid))
			continue;
		if (word == NOTIFY_READY)
			worker_is_ready(w, w->child.slot.generation, WORKER_NOTIFIED);
		else if (word == NOTIFY_STOPPING)
			worker_leaves(w, w->child.slot.generation);
		else if (word == NOTIFY_WATCHDOG)
			worker_pats_watchdog(w);
		else
			log_line(LOG_INFO, w->child.name, "status: %s", status);
		return;
	}
	log_debug("sd_notify from pid %d, which is no worker: ignored", (int)pid);
}

/* Every role counts in a page of its own, and we in ours. */
static void print_stats(const struct supervisor *s)
{
	struct counter_page sum = { .values = { 0 } };
	char text[STATS_MOST];

	counter_sum(&sum, counter_mine());
	counter_sum(&sum, s->acceptor.counters);
	for (size_t i = 0; i < s->relay_count; i++)
		counter_sum(&sum, s->relays[i].counters);
	counter_print(&sum, text, sizeof text);
	log_info("stats: %s", text);
}

static void on_stats(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	print_stats(arg);
}

static bool relays_are_ready(const struct supervisor *s)
{
	for (size_t i = 0; i < s->relay_count; i++) {
		if (!role_process_is_ready(&s->relays[i]))
			return false;
	}
	return true;
}

/* Every worker has been ready, or has failed at least once: the start is over either way. */
static bool start_is_over(const struct supervisor *s, size_t *ready_r)
{
	bool over = role_process_is_ready(&s->acceptor) && relays_are_ready(s);

	*ready_r = 0;
	for (size_t i = 0; i < s->worker_count; i++) {
		const struct slot *slot = &s->workers[i].child.slot;

		*ready_r += slot->state == SLOT_READY;
		over = over && (slot->state == SLOT_READY || slot->last_end[0] != '\0');
	}
	return over;
}

/* Is there a pool whose servers run elsewhere? */
static bool has_servers(const struct supervisor *s)
{
	for (size_t i = 0; i < s->config->pool_count; i++) {
		if (s->config->pools[i].server.count > 0)
			return true;
	}
	return false;
}

/* -d: whoever started us goes on, and nothing of his terminal stays with us unless the log goes
 * there. */
static void let_parent_go(struct supervisor *s)
{
	int null;

	if (write(s->settings.readiness, "r", 1) < 0)
		log_warning("the parent that waited for us is gone: %s", strerror(errno));
	fd_close(&s->settings.readiness);
	if (!s->config->limpet.log_file[0])
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	fd_close(&null);
}

static void say_ready(struct supervisor *s, size_t ready)
{
	char where[512];

	setup_describe_listeners(s, where, sizeof where);
	if (s->worker_count > 0)
		log_notice("ready: %zu of %zu workers, listening on %s; stop with Ctrl-C or kill "
			   "%d",
			   ready, s->worker_count, where, (int)getpid());
	else
		log_notice("ready: listening on %s; stop with Ctrl-C or kill %d", where,
			   (int)getpid());
	manager_ready("serving");
	if (s->settings.readiness >= 0)
		let_parent_go(s);
}

static void tell_manager(const struct supervisor *s, size_t ready)
{
	char status[128];

	snprintf(status, sizeof status, "%zu of %zu workers ready", ready, s->worker_count);
	manager_status(status);
}

void supervisor_review(struct supervisor *s)
{
	size_t ready;

	orphans_reap(s);
	if (s->state >= DRAINING) {
		shutdown_review(s);
		return;
	}
	if (start_is_over(s, &ready) && s->state == STARTING) {
		if (ready > 0 || has_servers(s)) {
			supervisor_move(s, RUNNING);
			say_ready(s, ready);
		} else if (!s->failure_said) {
			s->failure_said = true;
			log_error("no worker is ready: what they said is above; they are started "
				  "again and again");
		}
	}
	if (s->state == RUNNING)
		tell_manager(s, ready);
}

/* A start that has failed meanwhile (shutdown_fail) starts nothing more. */
static void start_children(struct supervisor *s)
{
	role_process_begin(&s->warden, s);
	role_process_begin(&s->acceptor, s);
	for (size_t i = 0; i < s->relay_count && s->state == STARTING; i++)
		role_process_begin(&s->relays[i], s);
	for (size_t i = 0; i < s->worker_count && s->state == STARTING; i++)
		worker_start(&s->workers[i],
			     (int64_t)s->workers[i].index * s->workers[i].pool->stagger);
}

static void on_alive(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	manager_alive();
}

static bool begin_timers(struct supervisor *s, struct error *e)
{
	struct timeval period = clock_timeval(s->config->limpet.stats_period);
	struct timeval life = clock_timeval(manager_watchdog_ms() / 2);

	s->stats = event_new(s->base, -1, EV_PERSIST, on_stats, s);
	s->alive = event_new(s->base, -1, EV_PERSIST, on_alive, s);
	if (!s->stats || !s->alive)
		return error_set(e, "no timer");
	if (s->config->limpet.stats_period > 0)
		event_add(s->stats, &period);
	if (manager_watchdog_ms() > 0)
		event_add(s->alive, &life);
	return true;
}

static bool begin(struct supervisor *s, struct error *e)
{
	s->base = role_base();
	shutdown_catch_signals(s);
	if (!setup_all(s, e))
		return false;
	s->notify = notify_open(s->base, s->runtime_directory, on_notify, s, e);
	if (!s->notify || !begin_timers(s, e))
		return false;
	s->servers = servers_new(s);
	s->tls_files = tls_files_new(s);
	s->tickets = tickets_new(s);
	s->checker = checker_new(s);
	start_children(s);
	return true;
}

static void end_children(struct supervisor *s)
{
	checker_free(&s->checker);
	for (size_t i = 0; i < s->worker_count && s->workers; i++)
		worker_free(&s->workers[i]);
	free(s->workers);
	for (size_t i = 0; i < s->relay_count; i++)
		role_process_free(&s->relays[i]);
	free(s->relays);
	role_process_free(&s->acceptor);
	role_process_free(&s->warden);
	tickets_free(&s->tickets);
	tls_files_free(&s->tls_files);
	servers_free(&s->servers);
}

static void end(struct supervisor *s)
{
	if (s->told_to_stop)
		print_stats(s);
	end_children(s);
	notify_close(&s->notify);
	setup_undo(s);
	keep_end(&s->keep);
	if (s->stats)
		event_free(s->stats);
	if (s->alive)
		event_free(s->alive);
	shutdown_forget_signals(s);
	log_to_writer(NULL, NULL);
	logs_close();
	event_base_free(s->base);
	fd_close(&s->config_fd);
	config_free(&s->config);
}

int supervisor_run(struct config **config, const struct supervisor_settings *settings)
{
	struct supervisor s = { .settings = *settings, .config_fd = -1, .next_listener = 1 };
	struct error e = { "" };

	s.config = *config;
	*config = NULL;
	TAILQ_INIT(&s.listeners);
	keep_begin(&s.keep);
	role_log("supervisor", s.config);
	log_info("Limpet %s: %s", PACKAGE_VERSION, settings->origin);
	if (!begin(&s, &e)) {
		log_error("cannot start: %s", e.text);
		s.exit_code = 1;
	} else if (event_base_dispatch(s.base) < 0) {
		fatal("event loop: %s", strerror(errno));
	}
	end(&s);
	return s.exit_code;
}
