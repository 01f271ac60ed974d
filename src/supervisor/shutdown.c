/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/shutdown.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/manager.h"
#include "supervisor/orphans.h"
#include "supervisor/role_process.h"
#include "supervisor/setup.h"
#include "supervisor/tls_files.h"

/* After SIGINT nobody wants to wait long for workers that ignore their stop signal. */
#define INTERRUPT_STOP_MS 3000
/* "Now" still lets a worker run its exit handlers. */
#define NOW_STOP_MS 1000
/* The acceptor has to hand over what it holds; clients that nobody takes do not hold us longer than
 * this. */
#define ACCEPTOR_DRAIN_MS 10000

static void stop_slot(struct supervisor *s, struct worker *w, enum slot_event event)
{
	event_del(w->stagger);
	w->child.slot.drain_ms = s->drain_ms;
	w->child.slot.stop_ms = s->stop_ms;
	child_handle(&w->child, event);
}

/* Those that relays connect to, or those that get sockets handed over. */
static void to_workers(struct supervisor *s, bool proxied, enum slot_event event)
{
	for (size_t i = 0; i < s->worker_count; i++) {
		if (s->workers[i].pool->proxied == proxied)
			stop_slot(s, &s->workers[i], event);
	}
}

/* The relays hold no clients, or have held them for too long: nobody needs the workers behind them.
 */
static void finish_relays(struct supervisor *s)
{
	event_del(s->deadline);
	s->relays_are_done = true;
	to_workers(s, true, SLOT_STOP);
}

static bool relays_are_drained(const struct supervisor *s)
{
	for (size_t i = 0; i < s->relay_count; i++) {
		if (!s->relays[i].drained && !role_process_is_gone(&s->relays[i]))
			return false;
	}
	return true;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what;
	if (s->state == DRAINING) {
		log_warning("the acceptor still holds clients that no worker takes: going on");
		supervisor_move(s, STOPPING);
	} else if (s->state == STOPPING && !s->relays_are_done) {
		log_notice("the relays still have connections: they are ended");
		finish_relays(s);
		shutdown_review(s);
	}
}

static bool workers_are_gone(const struct supervisor *s)
{
	for (size_t i = 0; i < s->worker_count; i++) {
		if (slot_is_running(&s->workers[i].child.slot) ||
		    s->workers[i].child.slot.state == SLOT_WAITING)
			return false;
	}
	return true;
}

static bool roles_are_gone(const struct supervisor *s)
{
	for (size_t i = 0; i < s->relay_count; i++) {
		if (!role_process_is_gone(&s->relays[i]))
			return false;
	}
	return role_process_is_gone(&s->acceptor) && role_process_is_gone(&s->warden);
}

/* The acceptor and the relays empty their copies of the listening sockets and close them; with ours
 * open the kernel would go on taking clients whom nobody serves. */
static void drain(struct supervisor *s)
{
	const struct message message = { .type = MESSAGE_DRAIN };
	bool is_short = s->drain_ms != SLOT_NO_TIMER && s->drain_ms < ACCEPTOR_DRAIN_MS;
	struct timeval limit = clock_timeval(is_short ? s->drain_ms : ACCEPTOR_DRAIN_MS);

	s->drain_end_ms =
		s->drain_ms == SLOT_NO_TIMER ? SLOT_NO_TIMER : clock_now_ms() + s->drain_ms;
	manager_stopping();
	supervisor_tell_acceptor(s, &message, -1);
	for (size_t i = 0; i < s->relay_count; i++)
		role_process_tell(&s->relays[i], &message, -1);
	setup_close_listeners(s);
	event_add(s->deadline, &limit);
}

static void stop_workers(struct supervisor *s)
{
	int64_t left = s->drain_end_ms - clock_now_ms();
	struct timeval limit = clock_timeval(left > 0 ? left : 0);

	event_del(s->deadline);
	if (s->drain_end_ms != SLOT_NO_TIMER)
		event_add(s->deadline, &limit);
	to_workers(s, false, SLOT_DRAIN);
}

static void stop_roles(struct supervisor *s)
{
	event_del(s->deadline);
	role_process_stop(&s->acceptor);
	for (size_t i = 0; i < s->relay_count; i++)
		role_process_stop(&s->relays[i]);
	role_process_stop(&s->warden);
}

void shutdown_enter(struct supervisor *s)
{
	switch (s->state) {
	case STARTING:
	case RUNNING:
		return;
	case DRAINING:
		drain(s);
		return;
	case STOPPING:
		stop_workers(s);
		break;
	case ENDING:
		stop_roles(s);
		break;
	}
	shutdown_review(s);
}

void shutdown_review(struct supervisor *s)
{
	if (s->state == DRAINING && s->acceptor.drained) {
		supervisor_move(s, STOPPING);
		return;
	}
	if (s->state == STOPPING && !s->relays_are_done && relays_are_drained(s))
		finish_relays(s);
	if (s->state == STOPPING && s->relays_are_done && workers_are_gone(s))
		supervisor_move(s, ENDING);
	else if (s->state == ENDING && roles_are_gone(s))
		event_base_loopbreak(s->base);
}

static void stop_now(struct supervisor *s)
{
	const bool relays_held = !s->relays_are_done;

	log_notice("told again: stopping now");
	s->stop_ms = NOW_STOP_MS;
	if (s->state == DRAINING)
		supervisor_move(s, STOPPING);
	if (s->state != STOPPING)
		return;
	to_workers(s, false, SLOT_STOP);
	if (!relays_held) /* asked to stop before: no more waiting */
		to_workers(s, true, SLOT_STOP);
	else if (!s->relays_are_done)
		finish_relays(s);
	shutdown_review(s);
}

static void begin_stop(struct supervisor *s, const char *why, int64_t drain_ms, int64_t stop_ms)
{
	if (s->state >= DRAINING) {
		stop_now(s);
		return;
	}
	s->drain_ms = drain_ms;
	s->stop_ms = stop_ms;
	if (drain_ms == SLOT_NO_TIMER)
		log_notice("%s: stopping when the workers have finished their clients", why);
	else
		log_notice("%s: stopping; the workers have %.1f s for their clients", why,
			   (double)drain_ms / 1000.0);
	s->told_to_stop = true;
	supervisor_move(s, DRAINING);
}

void shutdown_fail(struct supervisor *s, const char *why)
{
	if (s->state >= DRAINING)
		return;
	log_error("cannot start: %s", why);
	s->exit_code = 1;
	s->drain_ms = s->stop_ms = NOW_STOP_MS;
	supervisor_move(s, DRAINING);
}

static void reload(struct supervisor *s)
{
	if (tls_files_reload(s->tls_files))
		log_notice("SIGHUP: certificates are read again; this version cannot reload the "
			   "rest of its configuration");
	else
		log_notice("SIGHUP: this version cannot reload its configuration: ignored");
}

static void reopen_logs(void)
{
	struct error e = { "" };

	if (logs_reopen(&e))
		log_notice("SIGUSR1: log opened again");
	else
		log_error("SIGUSR1: %s: going on with the old log", e.text);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct supervisor *s = arg;
	const struct limpet_config *limpet = &s->config->limpet;

	(void)what;
	switch (number) {
	case SIGTERM:
		begin_stop(s, "SIGTERM", limpet->drain_timeout, SLOT_NO_TIMER);
		break;
	case SIGINT:
		begin_stop(s, "SIGINT", limpet->interrupt_timeout, INTERRUPT_STOP_MS);
		break;
	case SIGQUIT:
		begin_stop(s, "SIGQUIT", SLOT_NO_TIMER, SLOT_NO_TIMER);
		break;
	case SIGUSR1:
		reopen_logs();
		break;
	case SIGHUP:
		reload(s);
		break;
	case SIGCHLD:
		orphans_reap(s);
		break;
	}
}

static const int caught[] = { SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGCHLD };
_Static_assert(sizeof caught / sizeof *caught <=
		       sizeof((struct supervisor *)0)->signals / sizeof(struct event *),
	       "room for every signal");

void shutdown_catch_signals(struct supervisor *s)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;

	sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&none); /* whoever started us may have blocked some */
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
		s->signals[i] = evsignal_new(s->base, caught[i], on_signal, s);
		if (!s->signals[i] || event_add(s->signals[i], NULL) < 0)
			fatal("no event for a signal: %s", strerror(errno));
	}
	s->deadline = event_new(s->base, -1, 0, on_deadline, s);
	if (!s->deadline)
		fatal("no timer");
}

void shutdown_forget_signals(struct supervisor *s)
{
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
		if (s->signals[i])
			event_free(s->signals[i]);
	}
	event_free(s->deadline);
}
