/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/config.h"

static struct child *child_of(struct slot *slot)
{
	return (struct child *)((char *)slot - offsetof(struct child, slot));
}

static void close_taps(struct child *c)
{
	log_tap_free(&c->output);
	log_tap_free(&c->errors);
}

static void on_exited(evutil_socket_t fd, short what, void *arg)
{
	struct child *c = arg;
	struct process_end end;

	(void)fd, (void)what;
	if (!process_reap(&c->process, c->program, c->policy.kill_group, &end))
		return;
	event_free(c->exited);
	c->exited = NULL;
	close_taps(c);
	slot_note_end(&c->slot, end.how);
	c->kind->ended(c);
	child_handle(c, SLOT_EXITED);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	child_handle(arg, SLOT_TIMER);
}

static bool open_pipes(int output[2], int errors[2], struct error *e)
{
	if (pipe2(output, O_CLOEXEC) < 0)
		return error_set(e, "pipe: %s", strerror(errno));
	if (pipe2(errors, O_CLOEXEC) == 0)
		return true;
	error_set(e, "pipe: %s", strerror(errno));
	fd_close(&output[0]);
	fd_close(&output[1]);
	return false;
}

static void watch(struct child *c, int output, int errors)
{
	c->output = log_tap_new(c->base, &output, c->name, "stdout", c->kind->verbatim);
	c->errors = log_tap_new(c->base, &errors, c->name, "stderr", c->kind->verbatim);
	c->exited = event_new(c->base, c->process.pidfd, EV_READ, on_exited, c);
	if (!c->exited || event_add(c->exited, NULL) < 0)
		fatal("no event for %s", c->name);
}

static bool start(struct slot *slot, struct error *e)
{
	struct child *c = child_of(slot);
	struct process_spec spec = {
		.umask = CONFIG_UMASK_UNSET,
		.rlimit_nofile = CONFIG_RLIMIT_UNSET,
		.rlimit_core = CONFIG_RLIMIT_UNSET,
	};
	int output[2], errors[2];
	bool running;

	if (!open_pipes(output, errors, e))
		return false;
	spec.output = output[1];
	spec.errors = errors[1];
	running = c->kind->prepare(c, &spec, e);
	if (running) {
		snprintf(c->program, sizeof c->program, "%s", spec.argv[0]);
		running = process_start(&spec, &c->process, e);
	}
	if (running)
		watch(c, fd_take(&output[0]), fd_take(&errors[0]));
	c->kind->started(c, &spec, running);
	fd_close(&output[0]);
	fd_close(&output[1]);
	fd_close(&errors[0]);
	fd_close(&errors[1]);
	return running;
}

static void send_signal(struct slot *slot, int signal, bool group)
{
	struct child *c = child_of(slot);

	c->kind->signal(c, signal, group);
}

static void route(struct slot *slot, enum slot_route where, bool drain)
{
	struct child *c = child_of(slot);

	c->kind->route(c, where, drain);
}

static void set_timer(struct slot *slot, int64_t ms)
{
	struct child *c = child_of(slot);
	struct timeval wait = clock_timeval(ms);

	if (ms == SLOT_NO_TIMER)
		event_del(c->timer);
	else
		event_add(c->timer, &wait);
}

static const struct slot_ops ops = {
	.start = start,
	.signal = send_signal,
	.route = route,
	.timer = set_timer,
	.now_ms = clock_now_ms,
};

void child_begin(struct child *c, const struct child_kind *kind, struct event_base *base,
		 const struct slot_policy *policy, const char *name, void *owner)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		fatal("getrandom: %s", strerror(errno));
	c->kind = kind;
	c->base = base;
	c->policy = *policy;
	c->owner = owner;
	c->process = (struct process){ .pidfd = -1, .report = -1 };
	snprintf(c->name, sizeof c->name, "%s", name);
	c->timer = event_new(base, -1, 0, on_timer, c);
	if (!c->timer)
		fatal("no timer for %s", name);
	slot_begin(&c->slot, &ops, &c->policy, c->name, seed);
}

void child_handle(struct child *c, enum slot_event event)
{
	enum slot_state before = c->slot.state;

	slot_handle(&c->slot, event);
	if (c->slot.state != before || event == SLOT_EXITED)
		c->kind->changed(c);
}

void child_free(struct child *c)
{
	close_taps(c);
	if (c->exited)
		event_free(c->exited);
	if (c->timer)
		event_free(c->timer);
	c->exited = c->timer = NULL;
	fd_close(&c->process.pidfd);
	fd_close(&c->process.report);
}
