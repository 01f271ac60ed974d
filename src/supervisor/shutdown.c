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

/* After SIGINT nobody wants to wait long for workers that ignore their stop signal. */
#define INTERRUPT_STOP_MS 3000
/* "Now" still lets a worker run its exit handlers. */
#define NOW_STOP_MS 1000
/* The acceptor has to hand over what it holds; clients that nobody takes do not hold us longer than
 * this. */
#define ACCEPTOR_DRAIN_MS 10000

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;

	(void)fd, (void)what;
	if (s->state == DRAINING) {
		log_warning("the acceptor still holds clients that no worker takes: going on");
		supervisor_move(s, STOPPING);
	}
}

static void to_workers(struct supervisor *s, enum slot_event event)
{
	for (size_t i = 0; i < s->worker_count; i++) {
		struct worker *w = &s->workers[i];

		event_del(w->stagger);
		w->child.slot.drain_ms = s->drain_ms;
		w->child.slot.stop_ms = s->stop_ms;
		child_handle(&w->child, event);
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

static bool is_gone(const struct role_process *role)
{
	return !slot_is_running(&role->child.slot);
}

void shutdown_enter(struct supervisor *s)
{
	struct message drain = { .type = MESSAGE_DRAIN };
	struct timeval limit =
		clock_timeval(s->drain_ms != SLOT_NO_TIMER && s->drain_ms < ACCEPTOR_DRAIN_MS
				      ? s->drain_ms
				      : ACCEPTOR_DRAIN_MS);

	switch (s->state) {
	case STARTING:
	case RUNNING:
		return;
	case DRAINING:
		manager_stopping();
		supervisor_tell_acceptor(s, &drain, -1);
		/* The acceptor empties its copies and closes them; with ours open the kernel would
		 * go on taking clients whom nobody serves. */
		setup_close_listeners(s);
		event_add(s->deadline, &limit);
		return;
	case STOPPING:
		event_del(s->deadline);
		to_workers(s, SLOT_DRAIN);
		break;
	case ENDING:
		role_process_stop(&s->acceptor);
		role_process_stop(&s->warden);
		break;
	}
	shutdown_review(s);
}

void shutdown_review(struct supervisor *s)
{
	if (s->state == STOPPING && workers_are_gone(s))
		supervisor_move(s, ENDING);
	else if (s->state == ENDING && is_gone(&s->acceptor) && is_gone(&s->warden))
		event_base_loopbreak(s->base);
}

static void stop_now(struct supervisor *s)
{
	log_notice("told again: stopping now");
	s->stop_ms = NOW_STOP_MS;
	if (s->state == DRAINING)
		supervisor_move(s, STOPPING);
	if (s->state == STOPPING)
		to_workers(s, SLOT_STOP);
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
		log_notice("SIGHUP: this version cannot reload its configuration: ignored");
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
