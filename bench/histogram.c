/* Why: see histogram.h. A value's bucket is found by its highest bit and the five bits below it.
 * SPDX-License-Identifier: ISC */
#include "histogram.h"

#include <stddef.h>

static unsigned shift_of(uint64_t value)
{
	return value < 64 ? 0 : 58 - (unsigned)__builtin_clzll(value);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	const unsigned shift = shift_of(value);

	histogram->counts[shift * 32 + (value >> shift)]++;
	histogram->total++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->counts[i] += from->counts[i];
	into->total += from->total;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	const uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5);
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const unsigned shift = i < 64 ? 0 : i / 32 - 1;

		seen += histogram->counts[i];
		if (seen && seen >= wanted)
			return (uint64_t)(i - shift * 32) << shift;
	}
	return 0;
}
