/* Why: whatever fails again and again must be retried ever more slowly, and must not be believed
 * well again because it came up once. Used for respawns and for accept when descriptors run out.
 * SPDX-License-Identifier: ISC */
#ifndef BASE_PACE_H
#define BASE_PACE_H

#include <stdint.h>

/* Delays: 0 for the first failure in a row, then `first_ms` doubling to `max_ms`, each with up to
 * 25 % of jitter taken off. The row ends only by pace_healthy(). All times in ms. */
struct pace {
	int64_t first_ms, max_ms;
	unsigned failures; /* in a row */
	uint64_t random;   /* state of the jitter; seeded by pace_begin */
};

void pace_begin(struct pace *pace, int64_t first_ms, int64_t max_ms, uint64_t seed);
int64_t
pace_failed(struct pace *pace); /* counts one failure, returns the delay before the next try */
void pace_healthy(struct pace *pace); /* stayed up long enough: the row is over */

#endif
