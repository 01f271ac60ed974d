/* Why: latencies of a whole run in fixed memory, so that measuring them costs the measured run
 * nothing. Buckets are 1/32 of a power of two wide: an answer is at most 3.2 % too small.
 * SPDX-License-Identifier: ISC */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 1920 /* every uint64_t has one */

struct histogram {
	uint64_t total;
	uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `share` (0 to 1) of all values do not exceed, to within a bucket; 0 of none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
