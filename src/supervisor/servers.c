/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/servers.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/supervisor.h"

#define WEIGHT_MAX 1000000u /* thousandths */

/* One slot of a proxied pool. */
struct place {
	struct message_server server; /* of a server line; name "" and ABSENT before it is found */
	struct message_health health;
	bool is_bad;
};

struct servers {
	struct supervisor *supervisor;
	struct place **pools; /* NULL: not proxied; else pool->slots of them */
};

static const struct pool_config *pool_of(const struct servers *servers, uint32_t pool)
{
	const struct config *config = servers->supervisor->config;

	return pool < config->pool_count && servers->pools[pool] ? &config->pools[pool] : NULL;
}

static void tell_all(const struct servers *servers, const struct message *message)
{
	struct supervisor *s = servers->supervisor;

	for (size_t i = 0; i < s->relay_count; i++)
		role_process_tell(&s->relays[i], message, -1);
}

struct servers *servers_new(struct supervisor *s)
{
	struct servers *servers = calloc(1, sizeof *servers);

	if (!servers)
		fatal("out of memory");
	servers->supervisor = s;
	servers->pools = calloc(s->config->pool_count + 1, sizeof *servers->pools);
	if (!servers->pools)
		fatal("out of memory");
	for (size_t i = 0; i < s->config->pool_count; i++) {
		const struct pool_config *pool = &s->config->pools[i];

		if (!pool->proxied)
			continue;
		servers->pools[i] = calloc(pool->slots, sizeof **servers->pools);
		if (!servers->pools[i])
			fatal("out of memory");
	}
	return servers;
}

void servers_free(struct servers **servers)
{
	struct servers *s = *servers;

	*servers = NULL;
	if (!s)
		return;
	for (size_t i = 0; i < s->supervisor->config->pool_count; i++)
		free(s->pools[i]);
	free(s->pools);
	free(s);
}

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_family(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return address->length == sizeof address->v4;
	case AF_INET6:
		return address->length == sizeof address->v6;
	case AF_UNIX:
		return address->length > offsetof(struct sockaddr_un, sun_path) &&
		       address->length <= sizeof address->local &&
		       is_text(address->local.sun_path, sizeof address->local.sun_path);
	default:
		return false;
	}
}

/* NULL, or what is wrong. */
static const char *fault_of(const struct servers *servers, const struct message_server *found)
{
	const struct pool_config *pool = pool_of(servers, found->pool);

	if (!pool || found->slot < pool->locals || found->slot >= pool->slots)
		return "SERVER_FOUND names a slot that is no server";
	if (found->state > SERVER_LEAVING || found->weight > WEIGHT_MAX ||
	    !is_text(found->name, sizeof found->name))
		return "SERVER_FOUND has a wrong value";
	if (found->state == SERVER_PRESENT && !is_family(&found->address))
		return "SERVER_FOUND has no address";
	if (found->state != SERVER_PRESENT && found->address.length > 0 &&
	    !is_family(&found->address))
		return "SERVER_FOUND has a wrong address";
	return NULL;
}

static bool has_moved(const struct message_server *before, const struct message_server *now)
{
	return before->address.length != now->address.length ||
	       (now->address.length > 0 && !address_equal(&before->address, &now->address));
}

bool servers_found(struct servers *servers, const struct message_server *found, const char **why_r)
{
	struct message message = { .type = MESSAGE_SERVER, .SERVER = *found };
	struct place *place;
	bool moved;

	*why_r = fault_of(servers, found);
	if (*why_r)
		return false;
	place = &servers->pools[found->pool][found->slot];
	moved = has_moved(&place->server, found);
	place->server = *found;
	tell_all(servers, &message);
	if (moved)
		servers_absolve(servers, found->pool, found->slot);
	return true;
}

void servers_judge(struct servers *servers, const struct message_health *health)
{
	struct message message = { .type = MESSAGE_SLOT_HEALTH, .SLOT_HEALTH = *health };
	struct place *place = &servers->pools[health->pool][health->slot];

	place->health = *health;
	place->is_bad = !health->good;
	tell_all(servers, &message);
}

bool servers_heard(struct servers *servers, const struct message_health *health, const char **why_r)
{
	const struct pool_config *pool = pool_of(servers, health->pool);
	struct worker *worker;

	*why_r = NULL;
	if (!pool || health->slot >= pool->slots)
		*why_r = "HEALTH names a slot that there is not";
	else if (!is_text(health->why, sizeof health->why))
		*why_r = "HEALTH has a text without end";
	if (*why_r)
		return false;
	worker = supervisor_worker(servers->supervisor, health->pool, health->slot);
	if (health->ready && worker) {
		if (worker->child.slot.state == SLOT_STARTING)
			worker_is_ready(worker, worker->child.slot.generation, WORKER_LISTENS);
		/* It is repeated while the worker starts: news only where it was bad. */
		if (health->good && !servers->pools[health->pool][health->slot].is_bad)
			return true;
	}
	servers_judge(servers, health);
	return true;
}

void servers_absolve(struct servers *servers, uint32_t pool, uint32_t slot)
{
	const struct message_health good = { .pool = pool, .slot = slot, .good = true };

	if (servers && pool_of(servers, pool) && servers->pools[pool][slot].is_bad)
		servers_judge(servers, &good);
}

static void introduce_pool(const struct servers *servers, size_t pool, struct role_process *relay)
{
	const struct pool_config *config = &servers->supervisor->config->pools[pool];
	struct message message;

	for (size_t slot = 0; slot < config->slots; slot++) {
		const struct place *place = &servers->pools[pool][slot];

		if (place->server.name[0]) {
			message.type = MESSAGE_SERVER;
			message.SERVER = place->server;
			role_process_tell(relay, &message, -1);
		}
		if (place->is_bad) {
			message.type = MESSAGE_SLOT_HEALTH;
			message.SLOT_HEALTH = place->health;
			role_process_tell(relay, &message, -1);
		}
	}
}

void servers_introduce(const struct servers *servers, struct role_process *relay)
{
	for (size_t i = 0; i < servers->supervisor->config->pool_count; i++) {
		if (servers->pools[i])
			introduce_pool(servers, i, relay);
	}
}

const struct message_server *servers_at(const struct servers *servers, size_t pool, size_t slot)
{
	const struct place *place = &servers->pools[pool][slot];

	return place->server.name[0] ? &place->server : NULL;
}
