/* Why: what the supervisor says to the acceptor and hears from it; with it, what it says to the
 * warden. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/role_process.h"
#include "supervisor/supervisor.h"

/* Applications ask for ports; one in a loop must not take them all. */
#define LISTENERS_MAX 1024

static void tell_listener(struct supervisor *s, const struct listener *l, uint32_t request)
{
	struct message message = { .type = MESSAGE_LISTENER };

	message.LISTENER = l->described;
	message.LISTENER.request = request;
	supervisor_tell_acceptor(s, &message, l->fd);
}

static void tell_kept(struct supervisor *s)
{
	struct kept *k;

	TAILQ_FOREACH (k, &s->keep.records, link) {
		struct message message = { .type = MESSAGE_KEPT };

		memcpy(&message.KEPT, &k->record, k->size);
		supervisor_tell_acceptor(s, &message, -1);
	}
}

static void ward_acceptor(struct supervisor *s)
{
	struct message message = { .type = MESSAGE_WARD };

	if (s->acceptor.child.process.pid == 0)
		return;
	message.WARD = (struct message_ward){
		.pool = UINT32_MAX,
		.generation = s->acceptor.child.slot.generation,
		.pid = s->acceptor.child.process.pid,
		.drain_ms = s->config->limpet.drain_timeout,
		.stop_signal = SIGKILL,
	};
	supervisor_tell_warden(s, &message, s->acceptor.child.process.pidfd);
	if (s->acceptor.child.errors) {
		message.type = MESSAGE_WARD_LOG;
		message.WARD_LOG = (struct message_ward_log){
			.pool = UINT32_MAX,
			.generation = s->acceptor.child.slot.generation,
		};
		supervisor_tell_warden(s, &message, log_tap_fd(s->acceptor.child.errors));
	}
}

static void introduce(struct supervisor *s)
{
	struct message begin = { .type = MESSAGE_BEGIN }, go = { .type = MESSAGE_GO };
	struct listener *l;

	begin.BEGIN = (struct message_begin){
		.seed = s->seed,
		.incarnation = s->acceptor.child.slot.generation,
		.supervisor = getpid(),
	};
	supervisor_tell_acceptor(s, &begin, -1);
	TAILQ_FOREACH (l, &s->listeners, link)
		tell_listener(s, l, 0);
	tell_kept(s);
	for (size_t i = 0; i < s->worker_count; i++)
		worker_introduce(&s->workers[i]);
	go.GO.draining = s->state >= DRAINING;
	supervisor_tell_acceptor(s, &go, -1);
	ward_acceptor(s);
}

static void refuse(struct supervisor *s, uint32_t request, int error)
{
	struct message message = { .type = MESSAGE_OPEN_FAILED };

	message.OPEN_FAILED = (struct message_open_failed){ .request = request, .error = error };
	supervisor_tell_acceptor(s, &message, -1);
}

static unsigned listener_count(const struct supervisor *s)
{
	const struct listener *l;
	unsigned count = 0;

	TAILQ_FOREACH (l, &s->listeners, link)
		count++;
	return count;
}

/* listen({fd}) of an application means a descriptor of its primary: one of the sockets that systemd
 * gave us. */
static struct listener *take_inherited(struct supervisor *s, const struct message_open *o,
				       int *errno_r)
{
	size_t index = (size_t)(o->inherited - 3);
	struct listener_spec spec = { .type = (int)o->type };
	struct sockaddr_storage bound;
	socklen_t length = sizeof bound;
	struct error e = { "" };

	*errno_r = EBADF;
	if (o->inherited < 3 || index >= s->inherited_count || s->inherited[index] < 0 ||
	    getsockname(s->inherited[index], (struct sockaddr *)&bound, &length) < 0)
		return NULL;
	memcpy(&spec.local.any, &bound, length);
	spec.local.length = length;
	return listener_open(&spec, false, &s->inherited[index], 1, errno_r, &e);
}

static struct listener *open_asked(struct supervisor *s, const struct message_open *o, int *errno_r)
{
	const struct pool_config *pool = &s->config->pools[o->pool];
	struct process_identity who = { .change = false };
	struct error e = { "" };
	struct listener_spec spec = {
		.local = o->local,
		.type = (int)o->type,
		.v6only = o->v6only,
		.reuse = o->reuse,
		.dual_fallback = o->dual_fallback,
		.backlog = o->backlog ? o->backlog : 511,
		.mode = o->mode,
	};
	struct listener *l;

	if (pool->user[0] && process_identify(pool->user, pool->group, &who, &e))
		spec.as = &who;
	l = listener_open(&spec, false, NULL, 0, errno_r, &e);
	if (!l)
		log_line(LOG_WARNING, pool->name, "the application asked for a port: %s", e.text);
	return l;
}

static void on_open(struct supervisor *s, const struct message *message)
{
	const struct message_open *o = &message->OPEN;
	int error = ENFILE;
	struct listener *l = NULL;

	if (o->pool >= s->config->pool_count ||
	    o->local.length > sizeof o->local - offsetof(struct address, any)) {
		refuse(s, o->request, EINVAL);
		return;
	}
	if (s->state < DRAINING && listener_count(s) < LISTENERS_MAX)
		l = o->inherited >= 0 ? take_inherited(s, o, &error) : open_asked(s, o, &error);
	if (!l) {
		refuse(s, o->request, error);
		return;
	}
	l->described.id = s->next_listener++;
	l->described.listen = MESSAGE_ADOPTED;
	l->described.pool = o->pool;
	l->described.use = o->use;
	l->described.type = o->type;
	TAILQ_INSERT_TAIL(&s->listeners, l, link);
	log_line(LOG_NOTICE, s->config->pools[o->pool].name, "opened %s for the application",
		 l->name);
	tell_listener(s, l, o->request);
}

static void on_serving(struct supervisor *s, const struct message *message)
{
	(void)message;
	child_handle(&s->acceptor.child, SLOT_IS_READY);
	if (s->state == DRAINING) /* a successor: its predecessor died with what it held */
		supervisor_move(s, STOPPING);
}

static void on_worker_ready(struct supervisor *s, const struct message *message)
{
	const struct message_worker *m = &message->WORKER_READY;
	struct worker *w = supervisor_worker(s, m->pool, m->slot);

	if (w)
		worker_is_ready(w, m->generation, WORKER_LISTENS);
}

static void on_worker_leaves(struct supervisor *s, const struct message *message)
{
	const struct message_worker *m = &message->WORKER_LEAVES;
	struct worker *w = supervisor_worker(s, m->pool, m->slot);

	if (w)
		worker_leaves(w, m->generation);
}

static void on_keep(struct supervisor *s, const struct message *message)
{
	keep_put(&s->keep, &message->KEEP);
}

static void on_drained(struct supervisor *s, const struct message *message)
{
	(void)message;
	if (s->state == DRAINING)
		supervisor_move(s, STOPPING);
}

static void (*const handlers[MESSAGE_TYPES])(struct supervisor *, const struct message *) = {
	[MESSAGE_SERVING] = on_serving,
	[MESSAGE_WORKER_READY] = on_worker_ready,
	[MESSAGE_WORKER_LEAVES] = on_worker_leaves,
	[MESSAGE_OPEN] = on_open,
	[MESSAGE_KEEP] = on_keep,
	[MESSAGE_DRAINED] = on_drained,
};

/* A channel that ended while its process lives: the process broke the rules or hangs; the next one
 * is better. */
static void lost(struct role_process *role)
{
	channel_free(&role->channel);
	if (slot_is_running(&role->child.slot))
		process_signal(&role->child.process, SIGKILL, false);
}

static void on_acceptor(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	struct supervisor *s = arg;

	(void)channel, (void)fd;
	if (!message)
		lost(&s->acceptor);
	else if (handlers[message->type])
		handlers[message->type](s, message);
}

const struct role_description acceptor_description = {
	.name = "acceptor",
	.argument = "@acceptor",
	.drops_identity = true,
	.counts = true,
	.introduce = introduce,
	.handler = on_acceptor,
};

static void introduce_to_warden(struct supervisor *s)
{
	struct message go = { .type = MESSAGE_GO };

	ward_acceptor(s);
	for (size_t i = 0; i < s->worker_count; i++)
		worker_ward(&s->workers[i]);
	supervisor_tell_warden(s, &go, -1);
}

static void on_warden(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	struct supervisor *s = arg;

	(void)channel, (void)fd;
	if (!message)
		lost(&s->warden);
	else if (message->type == MESSAGE_SERVING)
		child_handle(&s->warden.child, SLOT_IS_READY);
}

const struct role_description warden_description = {
	.name = "warden",
	.argument = "@warden",
	.outlives_us = true,
	.introduce = introduce_to_warden,
	.handler = on_warden,
};

void supervisor_tell_acceptor(struct supervisor *s, const struct message *message, int fd)
{
	if (s->acceptor.channel)
		channel_send(s->acceptor.channel, message, fd);
}

void supervisor_tell_warden(struct supervisor *s, const struct message *message, int fd)
{
	if (s->warden.channel)
		channel_send(s->warden.channel, message, fd);
}
