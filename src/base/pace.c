/* Why: pace.h. SPDX-License-Identifier: ISC */
#include "base/pace.h"

void pace_begin(struct pace *pace, int64_t first_ms, int64_t max_ms, uint64_t seed)
{
	*pace = (struct pace){ .first_ms = first_ms, .max_ms = max_ms, .random = seed };
}

/* splitmix64: any seed will do, 0 included. Source: Steele, Lea, Flood: Fast Splittable PRNG, 2014.
 */
static uint64_t pace_random(struct pace *pace)
{
	uint64_t z = pace->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static int64_t pace_delay(const struct pace *pace)
{
	int64_t delay = pace->first_ms;

	for (unsigned i = 2; i < pace->failures && delay < pace->max_ms; i++)
		delay = delay > pace->max_ms / 2 ? pace->max_ms : delay * 2;
	return delay < pace->max_ms ? delay : pace->max_ms;
}

int64_t pace_failed(struct pace *pace)
{
	int64_t delay;

	if (pace->failures < UINT32_MAX)
		pace->failures++;
	if (pace->failures == 1)
		return 0;
	delay = pace_delay(pace);
	/* Many that fail together (a database is gone) must not come back together. */
	return delay - (int64_t)(pace_random(pace) % ((uint64_t)delay / 4 + 1));
}

void pace_healthy(struct pace *pace)
{
	pace->failures = 0;
}
