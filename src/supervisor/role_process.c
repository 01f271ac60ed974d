/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/role_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "wire/role.h"

#define ROLE_START_MS  5000
#define ROLE_STOP_MS   2000
#define ROLE_UPTIME_MS 1000

static struct role_process *role_of(struct child *child)
{
	return (struct role_process *)child;
}

static bool prepare(struct child *child, struct process_spec *spec, struct error *e)
{
	static char name[] = "limpet";
	static char *argv[3] = { name, NULL, NULL };
	static const char *const names[] = { "PATH",         "TZ",
					     "LANG",         "JOURNAL_STREAM",
					     "ASAN_OPTIONS", "UBSAN_OPTIONS",
					     "LSAN_OPTIONS", NULL };
	struct role_process *role = role_of(child);
	struct supervisor *s = child->owner;
	int pair[2];

	if (fd_pair(SOCK_SEQPACKET, pair) < 0)
		return error_set(e, "socketpair: %s", strerror(errno));
	role->channel =
		channel_new(s->base, &pair[0], CHANNEL_SUPERVISOR, role->description->handler, s);
	role->far_channel = pair[1];
	environment_inherit(&role->environment, environ, names);
	environment_set(&role->environment, "LIMPET_ROLE", role->description->name);
	argv[1] = (char *)(uintptr_t)role->description->argument;
	spec->argv = argv;
	spec->path = "/proc/self/exe";
	spec->envp = role->environment.items;
	spec->fds[ROLE_FD_CHANNEL - 3] = role->far_channel;
	spec->fds[ROLE_FD_CONFIG - 3] = s->config_fd;
	spec->fds[ROLE_FD_COUNTERS - 3] = s->counter_fd;
	spec->fd_count = role->description->counts ? 3 : 2;
	if (role->description->outlives_us)
		spec->output = logs_fd();
	spec->sealed = true;
	spec->directory = "/";
	if (role->description->drops_identity)
		spec->identity = s->identity;
	return true;
}

static void started(struct child *child, struct process_spec *spec, bool running)
{
	struct role_process *role = role_of(child);
	struct supervisor *s = child->owner;

	(void)spec;
	fd_close(&role->far_channel);
	environment_free(&role->environment);
	if (running)
		role->description->introduce(s);
	else
		channel_free(&role->channel);
}

/* The slot's changes are nobody's business but ours: roles get no clients by route. */
static void route(struct child *child, enum slot_route where, bool drain)
{
	(void)child, (void)where, (void)drain;
}

/* Roles obey their channel: its end is their stop signal. */
static void send_signal(struct child *child, int signal, bool group)
{
	struct role_process *role = role_of(child);

	if (signal == SIGKILL) {
		process_signal(&child->process, signal, group);
		return;
	}
	if (role->channel && role->description->outlives_us)
		channel_send(role->channel, &(struct message){ .type = MESSAGE_DRAIN }, -1);
	channel_free(&role->channel);
}

static void ended(struct child *child)
{
	struct role_process *role = role_of(child);

	if (role->channel)
		channel_hear_rest(role->channel);
	channel_free(&role->channel);
}

static void changed(struct child *child)
{
	supervisor_review(child->owner);
}

static const struct child_kind kind = {
	.prepare = prepare,
	.started = started,
	.route = route,
	.signal = send_signal,
	.ended = ended,
	.changed = changed,
	.verbatim = true,
};

void role_process_begin(struct role_process *role, struct supervisor *s,
			const struct role_description *description)
{
	static const struct slot_policy policy = {
		.start_timeout = ROLE_START_MS,
		.stop_timeout = ROLE_STOP_MS,
		.min_uptime = ROLE_UPTIME_MS,
		.restart_delay = 20,
		.restart_delay_max = 1000,
		.stop_signal = SIGTERM,
	};

	role->description = description;
	role->far_channel = -1;
	child_begin(&role->child, &kind, s->base, &policy, description->name, s);
	child_handle(&role->child, SLOT_START);
}

void role_process_stop(struct role_process *role)
{
	child_handle(&role->child, SLOT_STOP);
}

void role_process_free(struct role_process *role)
{
	child_free(&role->child);
	channel_free(&role->channel);
}
