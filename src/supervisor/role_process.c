/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/role_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"
#include "wire/role.h"

#define ROLE_STOP_MS   2000
#define ROLE_UPTIME_MS 1000

static struct role_process *role_of(struct child *child)
{
	return (struct role_process *)child;
}

/* A channel that ended while its process lives: the process broke the rules or hangs; the next one
 * is better. */
static void lose(struct role_process *role)
{
	channel_free(&role->channel);
	if (slot_is_running(&role->child.slot))
		process_signal(&role->child.process, SIGKILL, false);
}

static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	struct role_process *role = arg;

	(void)channel, (void)fd;
	if (message)
		role->description->hear(role, message);
	else
		lose(role);
}

static void place_descriptors(const struct role_process *role, struct process_spec *spec)
{
	const struct supervisor *s = role->child.owner;

	spec->fds[ROLE_FD_CHANNEL - 3] = role->far_channel;
	spec->fds[ROLE_FD_CONFIG - 3] = s->config_fd;
	spec->fds[ROLE_FD_COUNTERS - 3] = role->counter_fd;
	spec->fd_count = role->description->counts ? 3 : 2;
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
	role->channel = channel_new(s->base, &pair[0], CHANNEL_SUPERVISOR, on_message, role);
	role->far_channel = pair[1];
	role->drained = false;
	environment_inherit(&role->environment, environ, names);
	environment_set(&role->environment, "LIMPET_ROLE", child->name);
	argv[1] = (char *)(uintptr_t)role->description->argument;
	spec->argv = argv;
	spec->path = "/proc/self/exe";
	spec->envp = role->environment.items;
	place_descriptors(role, spec);
	if (role->description->outlives_us)
		spec->output = logs_fd();
	spec->sealed = true;
	spec->directory = "/";
	if (role->description->identity)
		spec->identity = *role->description->identity(s);
	return true;
}

static void started(struct child *child, struct process_spec *spec, bool running)
{
	struct role_process *role = role_of(child);

	(void)spec;
	fd_close(&role->far_channel);
	environment_free(&role->environment);
	if (running)
		role->description->introduce(role);
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
	if (role->description->outlives_us)
		role_process_tell(role, &(struct message){ .type = MESSAGE_DRAIN }, -1);
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

bool role_process_prepare(struct role_process *role, const struct role_description *description,
			  size_t number, struct error *e)
{
	*role = (struct role_process){
		.description = description, .number = number, .counter_fd = -1, .far_channel = -1
	};
	if (!description->counts)
		return true;
	role->counter_fd = counter_create();
	if (role->counter_fd >= 0)
		role->counters = counter_view(role->counter_fd);
	if (role->counters)
		return true;
	return error_set(e, "counter page of the %s: %s", description->name, strerror(errno));
}

void role_process_begin(struct role_process *role, struct supervisor *s)
{
	const struct slot_policy policy = {
		.start_timeout = role->description->start_ms,
		.stop_timeout = ROLE_STOP_MS,
		.min_uptime = ROLE_UPTIME_MS,
		.restart_delay = 20,
		.restart_delay_max = 1000,
		.stop_signal = SIGTERM,
	};
	char name[48];

	if (role->description->many)
		snprintf(name, sizeof name, "%s/%zu", role->description->name, role->number);
	else
		snprintf(name, sizeof name, "%s", role->description->name);
	child_begin(&role->child, &kind, s->base, &policy, name, s);
	child_handle(&role->child, SLOT_START);
}

void role_process_stop(struct role_process *role)
{
	child_handle(&role->child, SLOT_STOP);
}

void role_process_free(struct role_process *role)
{
	if (!role->description) /* never prepared */
		return;
	if (role->child.timer)
		child_free(&role->child);
	channel_free(&role->channel);
	if (role->counters)
		munmap((void *)(uintptr_t)role->counters, sizeof *role->counters);
	role->counters = NULL;
	fd_close(&role->counter_fd);
}

void role_process_tell(struct role_process *role, const struct message *message, int fd)
{
	if (role->channel)
		channel_send(role->channel, message, fd);
}

void role_process_drop(struct role_process *role, const char *why)
{
	log_line(LOG_ALERT, role->child.name, "%s: killing it", why);
	lose(role);
}

bool role_process_is_gone(const struct role_process *role)
{
	return !slot_is_running(&role->child.slot);
}

bool role_process_is_ready(const struct role_process *role)
{
	return role->child.slot.state == SLOT_READY;
}

void role_process_ward(const struct role_process *role, uint32_t slot)
{
	struct supervisor *s = role->child.owner;
	struct message message = { .type = MESSAGE_WARD };

	if (role->child.process.pid == 0)
		return;
	message.WARD = (struct message_ward){
		.pool = UINT32_MAX,
		.slot = slot,
		.generation = role->child.slot.generation,
		.pid = role->child.process.pid,
		.drain_ms = s->config->limpet.drain_timeout,
		.stop_signal = SIGKILL,
	};
	supervisor_tell_warden(s, &message, role->child.process.pidfd);
	if (!role->child.errors)
		return;
	message.type = MESSAGE_WARD_LOG;
	message.WARD_LOG = (struct message_ward_log){
		.pool = UINT32_MAX,
		.slot = slot,
		.generation = role->child.slot.generation,
	};
	supervisor_tell_warden(s, &message, log_tap_fd(role->child.errors));
}
