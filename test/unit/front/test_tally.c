/* Why: removing from an open-addressing table is where such tables lose entries.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "front/tally.h"

#define KEYS 3000u

static uint64_t random_state = 88172645463325252u;

static uint64_t draw(void) /* xorshift64, Marsaglia 2003 */
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void assert_same(const struct tally *tally, const uint64_t *model)
{
	size_t count = 0;

	for (uint64_t key = 1; key < KEYS; key++) {
		const struct tally_entry *entry = tally_find(tally, key);

		assert_int_equal(entry ? entry->value : 0, model[key]);
		count += model[key] != 0;
	}
	assert_int_equal(tally->count, count);
}

/* Worry: after many removals an entry can no longer be found, or one is found that was removed. */
static void test_like_a_plain_array(void **state)
{
	static uint64_t model[KEYS];
	struct tally tally = { 0 };

	(void)state;
	for (int step = 0; step < 300000; step++) {
		const uint64_t key = 1 + draw() % (KEYS - 1);
		struct tally_entry *entry = tally_find(&tally, key);

		if (entry && draw() % 16 < 9) {
			tally_remove(&tally, entry);
			model[key] = 0;
		} else {
			model[key] = draw() | 1;
			tally_add(&tally, key)->value = model[key];
		}
		if (step % 10000 == 0) {
			tally_trim(&tally);
			assert_same(&tally, model);
		}
	}
	assert_same(&tally, model);
	tally_free(&tally);
	assert_null(tally_find(&tally, 1));
}

/* Worry: a loop that removes as it walks skips the entry that moves into the hole. */
static void test_removing_while_walking(void **state)
{
	struct tally tally = { 0 };

	(void)state;
	for (uint64_t key = 1; key < KEYS; key++)
		tally_add(&tally, key)->value = key;
	for (size_t i = 0; i < tally.size;) {
		if (tally.entries[i].key != 0 && tally.entries[i].value % 3 != 0)
			tally_remove(&tally, &tally.entries[i]);
		else
			i++;
	}
	for (uint64_t key = 1; key < KEYS; key++)
		assert_int_equal(tally_find(&tally, key) != NULL, key % 3 == 0);
	assert_int_equal(tally.count, (KEYS - 1) / 3);
	tally_free(&tally);
}

/* Worry: one busy hour keeps its memory for ever. */
static void test_memory_comes_back(void **state)
{
	struct tally tally = { 0 };
	size_t largest;

	(void)state;
	for (uint64_t key = 1; key <= 100000; key++)
		tally_add(&tally, key);
	largest = tally.size;
	for (uint64_t key = 11; key <= 100000; key++)
		tally_remove(&tally, tally_find(&tally, key));
	tally_trim(&tally);
	assert_true(tally.size < largest / 1000);
	for (uint64_t key = 1; key <= 10; key++)
		assert_non_null(tally_find(&tally, key));
	tally_free(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_a_plain_array),
		cmocka_unit_test(test_removing_while_walking),
		cmocka_unit_test(test_memory_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
