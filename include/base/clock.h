/* Why: every deadline is monotonic and absolute; the wall clock is for log stamps only.
 * Source: clock_gettime(2). SPDX-License-Identifier: ISC */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <sys/time.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

static inline int64_t clock_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static inline int64_t clock_now_ms(void)
{
	return clock_now_us() / 1000;
}

/* What libevent's timers take; a negative time is 0. */
static inline struct timeval clock_timeval(int64_t ms)
{
	if (ms < 0)
		ms = 0;
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };
}

#endif
