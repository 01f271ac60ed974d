/* Why: see the header: what is particular to a worker among the children. SPDX-License-Identifier:
 * ISC */
#include "supervisor/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/node_inspector.h"
#include "supervisor/role_process.h"
#include "supervisor/servers.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker_socket.h"

static struct worker *worker_of(struct child *child)
{
	return (struct worker *)child;
}

static struct supervisor *supervisor_of(const struct worker *w)
{
	return w->child.owner;
}

static void identify(const struct pool_config *pool, struct process_identity *identity_r)
{
	struct error e = { "" };

	*identity_r = (struct process_identity){ .change = false };
	if (pool->user[0] && !process_identify(pool->user, pool->group, identity_r, &e))
		log_error("pool %s: %s", pool->name,
			  e.text); /* it was there when the configuration was read */
}

static bool make_link(struct worker *w, struct process_spec *spec, struct error *e)
{
	int type = w->pool->delivery == DELIVERY_NODE ? SOCK_STREAM : SOCK_SEQPACKET;
	int pair[2];

	if (fd_pair(type, pair) < 0)
		return error_set(e, "socketpair: %s", strerror(errno));
	w->link = pair[0];
	w->far_link = pair[1];
	spec->fds[0] = w->far_link;
	spec->fd_count = 1;
	return true;
}

/* What it gets its clients by: a link, a socket to listen on, or nothing but an address. */
static bool prepare_delivery(struct worker *w, struct process_spec *spec, struct error *e)
{
	if (!w->pool->proxied)
		return make_link(w, spec, e);
	worker_socket_sweep(w, &spec->identity);
	if (w->own) {
		spec->fds[0] = w->own->fd;
		spec->fd_count = 1;
		spec->pid_text = (char *)(uintptr_t)environment_get(&w->environment, "LISTEN_PID");
	}
	return true;
}

static bool prepare(struct child *child, struct process_spec *spec, struct error *e)
{
	struct worker *w = worker_of(child);

	w->argv = config_argv(w->pool, w->index);
	if (w->pool->delivery == DELIVERY_NODE)
		node_inspector_spread(&w->argv, w->index);
	w->directory =
		w->pool->directory[0] ? config_expand(w->pool, w->pool->directory, w->index) : NULL;
	worker_environment(&w->environment, w, notify_path(supervisor_of(w)->notify), environ);
	spec->argv = w->argv;
	spec->envp = w->environment.items;
	spec->directory = w->directory;
	spec->umask = w->pool->umask;
	spec->nice = (int)w->pool->nice;
	spec->rlimit_nofile = w->pool->rlimit_nofile;
	spec->rlimit_core = w->pool->rlimit_core;
	identify(w->pool, &spec->identity);
	return prepare_delivery(w, spec, e);
}

static struct message slot_message(const struct worker *w, enum message_type type)
{
	struct message message = { .type = type };

	message.SLOT_BEGIN = (struct message_slot){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.generation = w->child.slot.generation,
		.pid = w->child.process.pid,
	};
	return message;
}

static struct message state_message(const struct worker *w)
{
	struct message message = { .type = MESSAGE_SLOT_STATE };

	message.SLOT_STATE = (struct message_slot_state){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.generation = w->child.process.pid ? w->child.slot.generation : 0,
		.route = w->route,
		.drain = w->draining,
	};
	return message;
}

/* Whoever brings clients to the slot hears of it, and nobody else. */
static bool concerns(const struct worker *w, const struct role_process *role)
{
	return (role->description == &relay_description) == w->pool->proxied;
}

static void tell(struct worker *w, const struct message *message, int fd)
{
	struct supervisor *s = supervisor_of(w);

	if (!w->pool->proxied)
		supervisor_tell_acceptor(s, message, fd);
	for (size_t i = 0; w->pool->proxied && i < s->relay_count; i++)
		role_process_tell(&s->relays[i], message, fd);
}

static void tell_state(struct worker *w)
{
	struct message message = state_message(w);

	tell(w, &message, -1);
}

static struct message address_message(const struct worker *w)
{
	struct message message = { .type = MESSAGE_SERVER };

	message.SERVER = (struct message_server){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.state = SERVER_PRESENT,
		.address = w->address,
	};
	return message;
}

void worker_introduce(struct worker *w, struct role_process *role)
{
	struct message message;

	if (!concerns(w, role))
		return;
	if (w->pool->proxied) {
		message = address_message(w);
		role_process_tell(role, &message, -1);
	} else if (w->link >= 0) {
		message = slot_message(w, MESSAGE_SLOT_BEGIN);
		role_process_tell(role, &message, w->link);
	}
	message = state_message(w);
	role_process_tell(role, &message, -1);
}

static void tell_begin(struct worker *w)
{
	struct message message = slot_message(w, MESSAGE_SLOT_BEGIN);

	if (w->link >= 0)
		tell(w, &message, w->link);
	tell_state(w);
}

static void ward_log(const struct worker *w, const struct log_tap *tap)
{
	struct message message = { .type = MESSAGE_WARD_LOG };

	message.WARD_LOG = (struct message_ward_log){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.generation = w->child.slot.generation,
	};
	if (tap && log_tap_fd(tap) >= 0)
		supervisor_tell_warden(supervisor_of(w), &message, log_tap_fd(tap));
}

void worker_ward(struct worker *w)
{
	struct message message = { .type = MESSAGE_WARD };

	if (w->child.process.pid == 0)
		return;
	message.WARD = (struct message_ward){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.generation = w->child.slot.generation,
		.pid = w->child.process.pid,
		.drain_ms = supervisor_of(w)->config->limpet.drain_timeout,
		.stop_ms = w->pool->stop_timeout,
		.stop_signal = (uint32_t)w->pool->stop_signal,
		.group = w->pool->kill_group,
	};
	supervisor_tell_warden(supervisor_of(w), &message, w->child.process.pidfd);
	ward_log(w, w->child.output);
	ward_log(w, w->child.errors);
}

static void arm_watchdog(struct worker *w)
{
	struct timeval wait = clock_timeval(w->pool->watchdog_timeout);

	if (w->pool->watchdog_timeout > 0)
		event_add(w->watchdog, &wait);
}

/* A socket that takes clients before the worker does makes waiting needless. */
static bool is_ready_by_starting(const struct pool_config *pool)
{
	return pool->ready == READY_STARTED ||
	       (pool->delivery == DELIVERY_LISTEN && pool->ready != READY_NOTIFY);
}

static void started(struct child *child, struct process_spec *spec, bool running)
{
	struct worker *w = worker_of(child);

	(void)spec;
	fd_close(&w->far_link);
	environment_free(&w->environment);
	config_argv_free(&w->argv);
	free(w->directory);
	w->directory = NULL;
	w->draining = false;
	if (!running) {
		fd_close(&w->link);
		return;
	}
	tell_begin(w);
	worker_ward(w);
	/* Heard in the next turn of the loop: the slot is not STARTING before this one ends. */
	if (is_ready_by_starting(w->pool))
		event_active(w->stagger, EV_TIMEOUT, 0);
}

static void route(struct child *child, enum slot_route where, bool drain)
{
	struct worker *w = worker_of(child);

	w->route = where;
	w->draining = w->draining || drain;
	tell_state(w);
	if (where == ROUTE_OPEN)
		arm_watchdog(w);
	else
		event_del(w->watchdog);
}

static void send_signal(struct child *child, int signal, bool group)
{
	process_signal(&child->process, signal, group);
}

/* The acceptor decides by this what it does with the clients of the slot; the slot's next word may
 * differ. Relays see their connections end, and hear that next word. */
static void tell_end(struct worker *w)
{
	struct message message = { .type = MESSAGE_SLOT_END };

	message.SLOT_END = (struct message_slot_end){
		.pool = (uint32_t)w->pool->index,
		.slot = (uint32_t)w->index,
		.generation = w->child.slot.generation,
		.route = w->child.slot.wanted && w->route != ROUTE_CLOSED ? ROUTE_WAIT
									  : ROUTE_CLOSED,
	};
	supervisor_tell_acceptor(supervisor_of(w), &message, -1);
}

static void ended(struct child *child)
{
	struct worker *w = worker_of(child);
	struct supervisor *s = supervisor_of(w);
	const uint32_t pool = (uint32_t)w->pool->index, slot = (uint32_t)w->index;

	w->draining = false;
	event_del(w->watchdog);
	if (w->pool->proxied)
		servers_absolve(s->servers, pool, slot);
	else
		tell_end(w);
	keep_forget_generation(&s->keep, pool, slot, child->slot.generation);
	fd_close(&w->link);
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
};

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	child_handle(&w->child, SLOT_HUNG);
}

/* The delayed first start, and readiness by having started. */
static void on_stagger(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	if (w->child.slot.generation == 0)
		child_handle(&w->child, SLOT_START);
	else if (is_ready_by_starting(w->pool) && w->child.slot.state == SLOT_STARTING)
		child_handle(&w->child, SLOT_IS_READY);
}

static struct slot_policy policy_of(const struct pool_config *pool)
{
	return (struct slot_policy){
		.start_timeout = pool->start_timeout,
		.stop_timeout = pool->stop_timeout,
		.min_uptime = pool->min_uptime,
		.restart_delay = pool->restart_delay,
		.restart_delay_max = pool->restart_delay_max,
		.max_restarts = (unsigned)pool->max_restarts,
		.stop_signal = pool->stop_signal,
		.kill_group = pool->kill_group,
	};
}

void worker_begin(struct worker *w, struct supervisor *s, const struct pool_config *pool,
		  size_t index)
{
	struct slot_policy policy = policy_of(pool);
	char name[48];

	snprintf(name, sizeof name, "%s/%zu", pool->name, index);
	*w = (struct worker){
		.pool = pool, .index = index, .link = -1, .far_link = -1, .route = ROUTE_WAIT
	};
	child_begin(&w->child, &kind, s->base, &policy, name, s);
	w->watchdog = event_new(s->base, -1, 0, on_watchdog, w);
	w->stagger = event_new(s->base, -1, 0, on_stagger, w);
	if (!w->watchdog || !w->stagger)
		fatal("no timers for %s", name);
}

void worker_start(struct worker *w, int64_t delay_ms)
{
	struct timeval wait = clock_timeval(delay_ms);

	event_add(w->stagger, &wait);
}

void worker_free(struct worker *w)
{
	if (!w->pool) /* never begun */
		return;
	worker_socket_close(w);
	child_free(&w->child);
	if (w->watchdog)
		event_free(w->watchdog);
	if (w->stagger)
		event_free(w->stagger);
	fd_close(&w->link);
}

static bool counts(const struct worker *w, enum worker_readiness how)
{
	switch ((enum config_ready)w->pool->ready) {
	case READY_NOTIFY:
		return how == WORKER_NOTIFIED;
	case READY_LISTENING:
		return how == WORKER_LISTENS;
	case READY_AUTO:
		return true;
	case READY_STARTED:
		return false;
	}
	return false;
}

void worker_is_ready(struct worker *w, uint64_t generation, enum worker_readiness how)
{
	if (generation == w->child.slot.generation && counts(w, how))
		child_handle(&w->child, SLOT_IS_READY);
}

void worker_leaves(struct worker *w, uint64_t generation)
{
	if (generation == w->child.slot.generation && slot_is_running(&w->child.slot))
		child_handle(&w->child, SLOT_LEAVES);
}

void worker_pats_watchdog(struct worker *w)
{
	if (w->child.slot.state == SLOT_READY)
		arm_watchdog(w);
}
