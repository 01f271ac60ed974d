/* Why: a place that is wrong by one is another stream's. SPDX-License-Identifier: ISC */
#include "../front/loopback.h"

#include "relay/roll.h"

#define ITEMS 1000

struct item {
	uint32_t place;
	bool is_there;
};

/* Worry: one that leaves takes another with it, is met again, or stands there twice. */
static void test_any_order(void **state)
{
	static struct item items[ITEMS];
	struct roll roll = { 0 };
	struct item *item;
	unsigned left = 0;

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		item = &items[(i * 7919u + i / ITEMS * 31u) % ITEMS];
		if (i % 3 != 0) {
			roll_enter(&roll, item, &item->place);
			item->is_there = true;
		} else {
			roll_leave(&roll, &item->place);
			item->is_there = false;
		}
		assert_int_equal(item->place != 0, item->is_there);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		left += items[i].is_there;
	assert_true(left > 0);
	assert_int_equal(roll.count, left);
	while ((item = roll_take(&roll))) {
		assert_true(item->is_there);
		assert_int_equal(item->place, 0);
		item->is_there = false;
		left--;
	}
	assert_int_equal(left, 0);
	roll_end(&roll);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_any_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
