/* Why: the worry is a broken worker that is started a thousand times a second, or all at the same
 * moment. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pace.h"

static void the_first_is_free_then_delays_double_to_the_most(void **state)
{
	static const int64_t full[] = { 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };
	struct pace pace;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		pace_begin(&pace, 100, 5000, seed);
		for (size_t i = 0; i < sizeof full / sizeof *full; i++) {
			int64_t delay = pace_failed(&pace);

			assert_in_range(delay, full[i] - full[i] / 4, full[i]);
		}
	}
}

static void delays_of_many_are_spread(void **state)
{
	bool seen[26] = { false };
	struct pace pace;
	int count = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		pace_begin(&pace, 100, 100, seed);
		pace_failed(&pace);
		seen[100 - pace_failed(&pace)] = true;
	}
	for (size_t i = 0; i < 26; i++)
		count += seen[i];
	assert_int_equal(count, 26);
}

static void only_health_ends_a_row(void **state)
{
	struct pace pace;

	(void)state;
	pace_begin(&pace, 1000, 60000, 1);
	for (int i = 0; i < 5; i++)
		pace_failed(&pace);
	assert_int_equal(pace.failures, 5);
	assert_true(pace_failed(&pace) >= 12000);
	pace_healthy(&pace);
	assert_int_equal(pace_failed(&pace), 0);
	assert_true(pace_failed(&pace) <= 1000);
}

static void extremes_do_not_overflow(void **state)
{
	struct pace pace;

	(void)state;
	pace_begin(&pace, 1, INT64_MAX, 1);
	for (int i = 0; i < 200; i++)
		assert_true(pace_failed(&pace) >= 0);
	assert_true(pace_failed(&pace) >= INT64_MAX / 4 * 3);
	pace_begin(&pace, 500, 100, 1); /* the most counts */
	pace_failed(&pace);
	assert_true(pace_failed(&pace) <= 100);
	pace_begin(&pace, 0, 0, 1);
	pace_failed(&pace);
	assert_int_equal(pace_failed(&pace), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_free_then_delays_double_to_the_most),
		cmocka_unit_test(delays_of_many_are_spread),
		cmocka_unit_test(only_health_ends_a_row),
		cmocka_unit_test(extremes_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
