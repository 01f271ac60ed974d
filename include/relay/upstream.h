/* Why: where each slot of a proxied pool is reached and whether it may get clients now, from four
 * sources: the supervisor (is the process up), the name server (is the address there), active
 * checks, and the failures that clients' own connections meet. A slot that is down moves only its
 * own clients, and they return. SPDX-License-Identifier: ISC */
#ifndef RELAY_UPSTREAM_H
#define RELAY_UPSTREAM_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "front/client.h"
#include "front/route.h"
#include "wire/message.h"

/* One slot as a relay sees it. */
struct upstream_slot {
	struct address address; /* length 0: not known (yet, or any more) */
	char name[128];         /* for logs: "web/3", or the server's name */
	bool is_local;          /* a process of ours */
	enum server_state server;
	enum slot_route route; /* of a local one, as the supervisor says */
	bool runs;             /* the same: it has a process */
	bool is_good;          /* as checks say; true where nobody checks */
	unsigned failures;     /* of clients' connections, in a row */
	int64_t down_until_ms; /* passive: no clients before; 0: not down */
	unsigned open;         /* streams */
	unsigned held;         /* clients that wait for it */
};

struct upstream {
	const struct pool_config *pool;
	struct route route;
	struct upstream_slot *slots; /* pool->slots of them */
	unsigned held;               /* clients that wait for any slot */
};

enum upstream_verdict {
	UPSTREAM_SLOT, /* *slot_r */
	UPSTREAM_HOLD, /* *slot_r is the right one, and starting: ask again when something opened */
	UPSTREAM_NONE
};

struct upstreams;

/* Told whenever a slot may have become free to take clients: held ones are tried again. */
typedef void upstream_opened(void *arg);

/* Of all proxied pools; others have none. */
struct upstreams *upstreams_new(const struct config *config, uint64_t seed, upstream_opened *opened,
				void *arg);
void upstreams_free(struct upstreams **upstreams);
struct upstream *upstream_of(struct upstreams *upstreams, size_t pool); /* NULL: not proxied */

/* Words of the supervisor. */
void upstream_server(struct upstreams *upstreams, const struct message_server *server);
void upstream_state(struct upstreams *upstreams, const struct message_slot_state *state);
void upstream_health(struct upstreams *upstreams, const struct message_health *health);

/* The first slot of the key's ranking that may take a client now and is not in `tried` (a bit per
 * slot, pool->slots of them; NULL: none). `failover`: a slot that is starting is passed over
 * instead of waited for; so is one that max_queue clients wait for. *rank_r: its place in the
 * ranking, 0 is the first. */
enum upstream_verdict upstream_choose(struct upstream *upstream, uint64_t key,
				      const uint64_t *tried, bool failover, size_t *slot_r,
				      size_t *rank_r);

/* Slots that take clients, as far as we were told. */
unsigned upstreams_up(const struct upstreams *upstreams);

/* What a client's own connection met: check_fall failures in a row close the slot for a delay that
 * doubles (100 ms to 30 s), one success opens it. */
void upstream_failed(struct upstreams *upstreams, struct upstream *upstream, size_t slot,
		     const char *why);
void upstream_worked(struct upstreams *upstreams, struct upstream *upstream, size_t slot);

#endif
