/* Why: what the supervisor says to the relays and hears from them.
 * SPDX-License-Identifier: ISC */
#include <unistd.h>

#include "supervisor/gift_pair.h"
#include "supervisor/role_process.h"
#include "supervisor/servers.h"
#include "supervisor/supervisor.h"
#include "supervisor/tickets.h"
#include "supervisor/tls_files.h"

/* Each relay takes its share of a limit, so that no count has to be shared. */
static uint32_t share(const struct supervisor *s, const struct listener *l)
{
	const uint64_t most = s->config->listens[l->described.listen].max_connections;

	return (uint32_t)((most + s->relay_count - 1) / s->relay_count);
}

static void tell_listeners(const struct supervisor *s, struct role_process *relay)
{
	struct message message = { .type = MESSAGE_LISTENER };
	const struct listener *l;

	TAILQ_FOREACH (l, &s->listeners, link) {
		if (!l->relayed)
			continue;
		message.LISTENER = l->described;
		message.LISTENER.use = LISTENER_ACCEPT;
		message.LISTENER.share = share(s, l);
		role_process_tell(relay, &message, listener_fd(l, relay->number));
	}
}

static void introduce(struct role_process *relay)
{
	struct supervisor *s = relay->child.owner;
	struct message begin = { .type = MESSAGE_BEGIN }, go = { .type = MESSAGE_GO };

	begin.BEGIN = (struct message_begin){
		.number = (uint32_t)relay->number,
		.seed = s->seed,
		.incarnation = relay->child.slot.generation,
		.supervisor = getpid(),
	};
	role_process_tell(relay, &begin, -1);
	tell_listeners(s, relay);
	for (size_t i = 0; i < s->worker_count; i++)
		worker_introduce(&s->workers[i], relay);
	servers_introduce(s->servers, relay);
	tls_files_introduce(s->tls_files, relay);
	tickets_introduce(s->tickets, relay);
	gift_pair_to_relay(relay);
	go.GO.draining = s->state >= DRAINING;
	role_process_tell(relay, &go, -1);
	role_process_ward(relay, (uint32_t)relay->number + 1);
}

static void on_serving(struct role_process *relay)
{
	const struct supervisor *s = relay->child.owner;

	/* A successor at the end: its predecessor's streams died with it. */
	relay->drained = s->state >= DRAINING;
	child_handle(&relay->child, SLOT_IS_READY);
}

/* The relay may be dropped: nothing is done with it afterwards. */
static void check(struct role_process *relay, bool lawful, const char *why)
{
	if (!lawful)
		role_process_drop(relay, why);
}

static void hear(struct role_process *relay, const struct message *message)
{
	struct supervisor *s = relay->child.owner;
	const char *why = "only relay 0 looks after servers";

	switch ((int)message->type) {
	case MESSAGE_SERVING:
		on_serving(relay);
		supervisor_review(s);
		break;
	case MESSAGE_SERVER_FOUND:
		check(relay,
		      relay->number == 0 && servers_found(s->servers, &message->SERVER_FOUND, &why),
		      why);
		break;
	case MESSAGE_HEALTH:
		check(relay,
		      relay->number == 0 && servers_heard(s->servers, &message->HEALTH, &why), why);
		break;
	case MESSAGE_TLS_LOADED:
		check(relay, tls_files_loaded(s->tls_files, relay, &message->TLS_LOADED),
		      "TLS_LOADED of no section");
		break;
	case MESSAGE_DRAINED:
		relay->drained = true;
		supervisor_review(s);
		break;
	default: /* what only the acceptor says */
		role_process_drop(relay, message_name(message->type));
	}
}

static const struct process_identity *identity(const struct supervisor *s)
{
	return &s->relay_identity;
}

const struct role_description relay_description = {
	.name = "relay",
	.argument = "@relay",
	.start_ms = 60000, /* 1,024 certificates take their time */
	.many = true,
	.counts = true,
	.identity = identity,
	.introduce = introduce,
	.hear = hear,
};
