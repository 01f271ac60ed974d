/* Why: a wrong p99 is a wrong claim. Compares the histogram's quantiles with those of sorted
 * values. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../bench/histogram.h"

#define VALUES 10000

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Values over twelve orders of magnitude, always the same. */
static void fill(struct histogram *histogram, uint64_t *values, uint64_t seed)
{
	for (size_t i = 0; i < VALUES; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		values[i] = (seed >> 24) >> (seed >> 16 & 0x1f);
		histogram_add(histogram, values[i]);
	}
}

/* The worry: quantiles are off by more than the promised 1/32, or above the true value. */
static void quantiles_are_near(void **state)
{
	static struct histogram histogram;
	static uint64_t values[VALUES];

	(void)state;
	fill(&histogram, values, 1);
	qsort(values, VALUES, sizeof values[0], by_size);
	for (unsigned percent = 1; percent <= 100; percent++) {
		const uint64_t truth = values[VALUES / 100 * percent - 1];
		const uint64_t said = histogram_quantile(&histogram, percent / 100.0);

		assert_true(said <= truth);
		assert_true(truth - said <= truth / 32);
	}
}

/* The worry: a value at the edge of a bucket, or the largest of all, falls outside of the table. */
static void every_value_has_a_bucket(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int step = -1; step <= 1; step++) {
			struct histogram histogram = { 0 };
			const uint64_t value = (UINT64_C(1) << bit) + (uint64_t)step;
			uint64_t said;

			histogram_add(&histogram, value);
			said = histogram_quantile(&histogram, 0.5);
			assert_true(said <= value);
			assert_true(value - said <= value / 32);
		}
	}
}

/* The worry: two threads' latencies are merged into something else than all of them. */
static void merged_is_all(void **state)
{
	static struct histogram one, two, all;
	static uint64_t values[VALUES];

	(void)state;
	fill(&one, values, 2);
	fill(&two, values, 3);
	fill(&all, values, 2);
	fill(&all, values, 3);
	histogram_merge(&one, &two);
	assert_int_equal(one.total, 2 * VALUES);
	assert_memory_equal(&one, &all, sizeof all);
}

/* The worry: a run without one answer reports a latency. */
static void nothing_is_zero(void **state)
{
	static struct histogram histogram;

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 0.99), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_near),
		cmocka_unit_test(every_value_has_a_bucket),
		cmocka_unit_test(merged_is_all),
		cmocka_unit_test(nothing_is_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
