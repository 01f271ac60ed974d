/* Why: the worry is a client who changes his worker although his worker is well: because another
 * one went, came back, or was given another weight; and a worker that gets more than its share.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rendezvous.h"

#define SLOTS 16

static void fill(struct rendezvous slots[SLOTS], uint64_t seed)
{
	for (int i = 0; i < SLOTS; i++) {
		char name[32];

		snprintf(name, sizeof name, "web/%d", i);
		slots[i] = (struct rendezvous){ .name_hash = rendezvous_name(name, seed),
						.weight = 1 };
	}
}

/* Keys of clients are hashes; neighbours are harder. Both must do. */
static uint64_t key_number(uint64_t i)
{
	return i % 2 ? i : i * 0x9e3779b97f4a7c15;
}

static void nobody_is_there_to_choose(void **state)
{
	struct rendezvous slots[SLOTS];
	bool skip[SLOTS];

	(void)state;
	fill(slots, 1);
	assert_true(rendezvous_choose(1, slots, 0, NULL) == RENDEZVOUS_NONE);
	for (int i = 0; i < SLOTS; i++)
		skip[i] = true;
	assert_true(rendezvous_choose(1, slots, SLOTS, skip) == RENDEZVOUS_NONE);
	for (int i = 0; i < SLOTS; i++)
		slots[i].weight = 0;
	assert_true(rendezvous_choose(1, slots, SLOTS, NULL) == RENDEZVOUS_NONE);
}

static double chi_squared(const size_t *counts, const struct rendezvous *slots, size_t total)
{
	double sum = 0, result = 0;

	for (int i = 0; i < SLOTS; i++)
		sum += slots[i].weight;
	for (int i = 0; i < SLOTS; i++) {
		double expected = (double)total * slots[i].weight / sum;
		double off = (double)counts[i] - expected;

		if (expected > 0)
			result += off * off / expected;
		else
			assert_int_equal(counts[i], 0);
	}
	return result;
}

/* 15 degrees of freedom: above 44.3 once in 10^4 times; the keys are fixed. */
static void shares_follow_the_weights(void **state)
{
	enum {
		TOTAL = 1000000
	};
	struct rendezvous slots[SLOTS];

	(void)state;
	for (int weighted = 0; weighted < 2; weighted++) {
		size_t counts[SLOTS] = { 0 };

		fill(slots, 42);
		for (int i = 0; weighted && i < SLOTS; i++)
			slots[i].weight = i % 4 * 0.5;
		for (uint64_t i = 0; i < TOTAL; i++)
			counts[rendezvous_choose(key_number(i), slots, SLOTS, NULL)]++;
		assert_true(chi_squared(counts, slots, TOTAL) < 44.3);
	}
}

/* 10^4 random comings and goings; after each, every client whose slot is there has kept it, and
 * those of a slot that came back are back. */
static void only_the_clients_of_a_slot_move_with_it(void **state)
{
	enum {
		KEYS = 200,
		STEPS = 10000
	};
	struct rendezvous slots[SLOTS];
	bool skip[SLOTS] = { false };
	size_t now[KEYS];

	(void)state;
	fill(slots, 7);
	srandom(7);
	for (size_t k = 0; k < KEYS; k++)
		now[k] = rendezvous_choose(key_number(k), slots, SLOTS, skip);
	for (int step = 0; step < STEPS; step++) {
		size_t changed = (size_t)random() % SLOTS;

		skip[changed] = !skip[changed];
		for (size_t k = 0; k < KEYS; k++) {
			size_t next = rendezvous_choose(key_number(k), slots, SLOTS, skip);

			if (now[k] != changed && next != changed)
				assert_true(next == now[k]);
			if (skip[changed])
				assert_true(next != changed);
			now[k] = next;
		}
	}
}

static void a_slot_that_returns_gets_its_own_clients_back(void **state)
{
	struct rendezvous slots[SLOTS];
	bool skip[SLOTS] = { false };

	(void)state;
	fill(slots, 9);
	for (uint64_t k = 0; k < 1000; k++) {
		size_t home = rendezvous_choose(key_number(k), slots, SLOTS, NULL);

		skip[home] = true;
		assert_true(rendezvous_choose(key_number(k), slots, SLOTS, skip) != home);
		skip[home] = false;
		assert_true(rendezvous_choose(key_number(k), slots, SLOTS, skip) == home);
	}
}

static void one_weight_moves_clients_to_or_from_its_slot_only(void **state)
{
	struct rendezvous before[SLOTS], after[SLOTS];

	(void)state;
	fill(before, 3);
	fill(after, 3);
	after[5].weight = 2.5;
	for (uint64_t k = 0; k < 10000; k++) {
		size_t a = rendezvous_choose(key_number(k), before, SLOTS, NULL);
		size_t b = rendezvous_choose(key_number(k), after, SLOTS, NULL);

		assert_true(a == b || b == 5);
	}
}

static void the_ranking_names_each_slot_once(void **state)
{
	struct rendezvous slots[SLOTS];
	bool skip[SLOTS] = { false };

	(void)state;
	fill(slots, 11);
	for (int i = 0; i < SLOTS; i++) {
		size_t next = rendezvous_choose(12345, slots, SLOTS, skip);

		assert_true(next < SLOTS && !skip[next]);
		skip[next] = true;
	}
	assert_true(rendezvous_choose(12345, slots, SLOTS, skip) == RENDEZVOUS_NONE);
}

/* Clients of a slot that is gone are shared by all others, not dumped on one. */
static void the_clients_of_a_dead_slot_are_shared(void **state)
{
	struct rendezvous slots[SLOTS];
	size_t counts[SLOTS] = { 0 }, moved = 0;
	bool skip[SLOTS] = { true };

	(void)state;
	fill(slots, 5);
	for (uint64_t k = 0; k < 160000; k++) {
		if (rendezvous_choose(key_number(k), slots, SLOTS, NULL) != 0)
			continue;
		counts[rendezvous_choose(key_number(k), slots, SLOTS, skip)]++;
		moved++;
	}
	for (int i = 1; i < SLOTS; i++)
		assert_in_range(counts[i], moved / (SLOTS - 1) * 3 / 4,
				moved / (SLOTS - 1) * 5 / 4);
}

/* The order in which slots stand in the array is no part of the decision: machines agree by names.
 */
static void machines_that_list_slots_differently_agree(void **state)
{
	struct rendezvous slots[SLOTS], turned[SLOTS];

	(void)state;
	fill(slots, 6);
	for (int i = 0; i < SLOTS; i++)
		turned[i] = slots[SLOTS - 1 - i];
	for (uint64_t k = 0; k < 10000; k++)
		assert_true(rendezvous_choose(key_number(k), slots, SLOTS, NULL) ==
			    SLOTS - 1 - rendezvous_choose(key_number(k), turned, SLOTS, NULL));
}

static void equal_names_are_a_tie_that_ends(void **state)
{
	struct rendezvous slots[2] = { { .name_hash = 8, .weight = 1 },
				       { .name_hash = 8, .weight = 1 } };

	(void)state;
	assert_int_equal(rendezvous_choose(99, slots, 2, NULL), 0);
}

/* Decisions must stay the same from version to version, or an upgrade moves every client. */
static void decisions_are_written_down(void **state)
{
	static const size_t known[] = { 1, 4, 5, 7, 14, 1, 2, 8, 5, 14, 9, 12, 4, 0, 14, 5 };
	struct rendezvous slots[SLOTS];

	(void)state;
	fill(slots, 0x5eed);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		assert_int_equal(rendezvous_choose(key_number(i), slots, SLOTS, NULL), known[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_there_to_choose),
		cmocka_unit_test(shares_follow_the_weights),
		cmocka_unit_test(only_the_clients_of_a_slot_move_with_it),
		cmocka_unit_test(a_slot_that_returns_gets_its_own_clients_back),
		cmocka_unit_test(one_weight_moves_clients_to_or_from_its_slot_only),
		cmocka_unit_test(the_ranking_names_each_slot_once),
		cmocka_unit_test(the_clients_of_a_dead_slot_are_shared),
		cmocka_unit_test(machines_that_list_slots_differently_agree),
		cmocka_unit_test(equal_names_are_a_tie_that_ends),
		cmocka_unit_test(decisions_are_written_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
