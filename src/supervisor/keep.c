/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/keep.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* An application that opens and closes ports in a loop must not eat our memory. */
#define KEEP_MAX 4096

void keep_begin(struct keep *keep)
{
	TAILQ_INIT(&keep->records);
	keep->count = 0;
}

static void drop(struct keep *keep, struct kept *k)
{
	TAILQ_REMOVE(&keep->records, k, link);
	keep->count--;
	free(k);
}

static struct kept *find(struct keep *keep, const struct message_keep *r)
{
	struct kept *k;

	TAILQ_FOREACH (k, &keep->records, link) {
		if (k->record.pool == r->pool && k->record.slot == r->slot &&
		    k->record.generation == r->generation && k->record.id == r->id)
			return k;
	}
	return NULL;
}

void keep_put(struct keep *keep, const struct message_keep *record)
{
	size_t size = offsetof(struct message_keep, bytes) + record->length;
	struct kept *k = find(keep, record);

	if (k)
		drop(keep, k);
	if (record->length == 0)
		return;
	if (keep->count >= KEEP_MAX) {
		log_error("the acceptor wants more than %d records kept: one is dropped", KEEP_MAX);
		return;
	}
	k = malloc(offsetof(struct kept, record) + size);
	if (!k)
		fatal("out of memory");
	k->size = size;
	memcpy(&k->record, record, size);
	TAILQ_INSERT_TAIL(&keep->records, k, link);
	keep->count++;
}

void keep_forget_generation(struct keep *keep, uint32_t pool, uint32_t slot, uint64_t generation)
{
	struct kept *k, *next;

	for (k = TAILQ_FIRST(&keep->records); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->record.pool == pool && k->record.slot == slot &&
		    k->record.generation == generation)
			drop(keep, k);
	}
}

void keep_end(struct keep *keep)
{
	struct kept *k;

	while ((k = TAILQ_FIRST(&keep->records)))
		drop(keep, k);
}
