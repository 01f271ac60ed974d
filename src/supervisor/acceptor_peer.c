/* Why: what the supervisor says to the acceptor and hears from it.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/gift_pair.h"
#include "supervisor/role_process.h"
#include "supervisor/supervisor.h"
#include "supervisor/tickets.h"

/* Applications ask for ports; one in a loop must not take them all. */
#define LISTENERS_MAX 1024

static void tell_listener(struct supervisor *s, const struct listener *l, uint32_t use,
			  uint32_t request)
{
	struct message message = { .type = MESSAGE_LISTENER };

	message.LISTENER = l->described;
	message.LISTENER.use = use;
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

/* Of a relayed listener the acceptor hears only where relays give it decrypted clients. */
static void tell_listeners(struct supervisor *s)
{
	const struct listener *l;

	TAILQ_FOREACH (l, &s->listeners, link) {
		if (!l->relayed)
			tell_listener(s, l, l->described.use, 0);
		else if (l->gives)
			tell_listener(s, l, LISTENER_KNOWN, 0);
	}
}

static const struct process_identity *identity(const struct supervisor *s)
{
	return &s->identity;
}

static void introduce(struct role_process *role)
{
	struct supervisor *s = role->child.owner;
	struct message begin = { .type = MESSAGE_BEGIN }, go = { .type = MESSAGE_GO };

	begin.BEGIN = (struct message_begin){
		.seed = s->seed,
		.incarnation = role->child.slot.generation,
		.supervisor = getpid(),
	};
	role_process_tell(role, &begin, -1);
	tell_listeners(s);
	tell_kept(s);
	for (size_t i = 0; i < s->worker_count; i++)
		worker_introduce(&s->workers[i], role);
	tickets_introduce(s->tickets, role);
	gift_pair_to_acceptor(s);
	go.GO.draining = s->state >= DRAINING;
	role_process_tell(role, &go, -1);
	role_process_ward(role, 0);
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
	tell_listener(s, l, l->described.use, o->request);
}

static void on_serving(struct supervisor *s, const struct message *message)
{
	(void)message;
	/* A successor at the end: its predecessor died with what it held. */
	s->acceptor.drained = s->state >= DRAINING;
	child_handle(&s->acceptor.child, SLOT_IS_READY);
	supervisor_review(s);
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
	s->acceptor.drained = true;
	supervisor_review(s);
}

static void (*const handlers[MESSAGE_TYPES])(struct supervisor *, const struct message *) = {
	[MESSAGE_SERVING] = on_serving,
	[MESSAGE_WORKER_READY] = on_worker_ready,
	[MESSAGE_WORKER_LEAVES] = on_worker_leaves,
	[MESSAGE_OPEN] = on_open,
	[MESSAGE_KEEP] = on_keep,
	[MESSAGE_DRAINED] = on_drained,
};

static void hear(struct role_process *role, const struct message *message)
{
	if (handlers[message->type])
		handlers[message->type](role->child.owner, message);
}

const struct role_description acceptor_description = {
	.name = "acceptor",
	.argument = "@acceptor",
	.start_ms = 5000,
	.counts = true,
	.identity = identity,
	.introduce = introduce,
	.hear = hear,
};

void supervisor_tell_acceptor(struct supervisor *s, const struct message *message, int fd)
{
	role_process_tell(&s->acceptor, message, fd);
}
