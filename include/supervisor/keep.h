/* Why: the acceptor may die at any time; what its successor must know is kept here as opaque bytes,
 * by (pool, slot, generation, id). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_KEEP_H
#define SUPERVISOR_KEEP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "wire/message.h"

struct kept {
	TAILQ_ENTRY(kept) link;
	size_t size;                /* of `record` in use */
	struct message_keep record; /* cut after `length` bytes */
};
/* Zero-initialise, then keep_begin. A record beyond 4,096 of them is refused with an ERROR line. */
struct keep {
	TAILQ_HEAD(, kept) records;
	size_t count;
};

void keep_begin(struct keep *keep);
void keep_put(struct keep *keep, const struct message_keep *record);
void keep_forget_generation(struct keep *keep, uint32_t pool, uint32_t slot, uint64_t generation);
void keep_end(struct keep *keep);

#endif
