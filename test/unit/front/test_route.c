/* Why: stickiness itself: who goes where, and who goes there instead. SPDX-License-Identifier: ISC
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/route.h"

#define SLOTS   8
#define CLIENTS 20000

static struct weight some_weights[] = { { SIZE_MAX, 1 }, { 2, 0 }, { 5, 0 }, { 7, 3 } };

static struct pool_config pool_of(struct weight *weights, size_t count)
{
	return (struct pool_config){ .locals = SLOTS,
				     .slots = SLOTS,
				     .prefix4 = 32,
				     .prefix6 = 64,
				     .weight = { weights, count } };
}

static struct peer client_number(unsigned number, uint16_t port)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	peer.v4.sin_addr.s_addr = htonl(0x0a000000u + number);
	return peer;
}

static bool is_up(size_t slot, void *arg)
{
	const bool *up = arg;

	return up[slot];
}

static size_t choose(struct route *route, unsigned client, const bool *up, size_t *rank_r)
{
	const struct peer peer = client_number(client, 1);

	return route_choose(route, route_key(route, &peer), is_up, (void *)(uintptr_t)up, rank_r);
}

/* Worry: a slot that goes moves clients of other slots, or does not get its own back. */
static void test_only_the_clients_of_a_lost_slot_move(void **state)
{
	static const bool all[SLOTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	static const bool some[SLOTS] = { 1, 1, 1, 0, 1, 1, 1, 1 };
	const struct pool_config pool = pool_of(NULL, 0);
	struct route route;
	size_t moved = 0, rank;

	(void)state;
	route_begin(&route, &pool, 7);
	for (unsigned client = 0; client < CLIENTS; client++) {
		const size_t before = choose(&route, client, all, &rank);

		assert_int_equal(rank, 0);
		if (before == 3) {
			assert_int_not_equal(choose(&route, client, some, &rank), 3);
			assert_int_equal(rank, 1);
			moved++;
		} else {
			assert_int_equal(choose(&route, client, some, &rank), before);
		}
		assert_int_equal(choose(&route, client, all, &rank), before);
	}
	assert_in_range(moved, CLIENTS / SLOTS * 8 / 10, CLIENTS / SLOTS * 12 / 10);
	route_end(&route);
}

/* Worry: two Limpets with one seed disagree; two with different seeds can be attacked alike. */
static void test_the_seed_decides(void **state)
{
	static const bool all[SLOTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	const struct pool_config pool = pool_of(NULL, 0);
	struct route one, twin, other;
	size_t same = 0, rank;

	(void)state;
	route_begin(&one, &pool, 7);
	route_begin(&twin, &pool, 7);
	route_begin(&other, &pool, 8);
	for (unsigned client = 0; client < CLIENTS; client++) {
		const size_t slot = choose(&one, client, all, &rank);

		assert_int_equal(choose(&twin, client, all, &rank), slot);
		same += choose(&other, client, all, &rank) == slot;
	}
	assert_in_range(same, CLIENTS / SLOTS * 8 / 10, CLIENTS / SLOTS * 12 / 10);
	route_end(&one);
	route_end(&twin);
	route_end(&other);
}

struct walk {
	size_t slots[SLOTS];
	size_t count;
};

static bool note_and_refuse(size_t slot, void *arg)
{
	struct walk *walk = arg;

	walk->slots[walk->count++] = slot;
	return false;
}

/* Worry: a slot is asked twice or never; one of weight 0 gets clients that others could take. */
static void test_everybody_is_asked_once(void **state)
{
	const struct pool_config pool = pool_of(some_weights, 4);
	struct route route;

	(void)state;
	route_begin(&route, &pool, 7);
	for (unsigned client = 0; client < 100; client++) {
		const struct peer peer = client_number(client, 1);
		struct walk walk = { .count = 0 };
		bool seen[SLOTS] = { false };
		size_t rank = 99;

		assert_int_equal(route_choose(&route, route_key(&route, &peer), note_and_refuse,
					      &walk, &rank),
				 RENDEZVOUS_NONE);
		assert_int_equal(rank, SLOTS);
		assert_int_equal(walk.count, SLOTS);
		for (size_t i = 0; i < SLOTS; i++)
			seen[walk.slots[i]] = true;
		for (size_t i = 0; i < SLOTS; i++)
			assert_true(seen[i]);
		assert_int_equal(walk.slots[SLOTS - 2], 2);
		assert_int_equal(walk.slots[SLOTS - 1], 5);
	}
	route_end(&route);
}

/* Worry: with only weight-0 slots left, clients are turned away although somebody could take them.
 */
static void test_weight_0_is_the_last_resort(void **state)
{
	static const bool spare[SLOTS] = { 0, 0, 0, 0, 0, 1, 0, 0 };
	const struct pool_config pool = pool_of(some_weights, 4);
	struct route route;
	size_t rank;

	(void)state;
	route_begin(&route, &pool, 7);
	assert_int_equal(choose(&route, 1, spare, &rank), 5);
	assert_int_equal(rank, 7);
	route_end(&route);
}

/* Worry: weights are ignored. */
static void test_weights_are_shares(void **state)
{
	static const bool all[SLOTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	const struct pool_config pool = pool_of(some_weights, 4);
	size_t clients[SLOTS] = { 0 }, rank;
	struct route route;

	(void)state;
	route_begin(&route, &pool, 7);
	for (unsigned client = 0; client < CLIENTS; client++)
		clients[choose(&route, client, all, &rank)]++;
	/* five slots of weight 1, one of 3: eighths */
	assert_in_range(clients[0], CLIENTS / 8 * 9 / 10, CLIENTS / 8 * 11 / 10);
	assert_in_range(clients[7], CLIENTS / 8 * 3 * 9 / 10, CLIENTS / 8 * 3 * 11 / 10);
	assert_int_equal(clients[2] + clients[5], 0);
	route_end(&route);
}

/* Worry: the client's port moves him; all UNIX clients go to one slot. */
static void test_keys(void **state)
{
	static const bool all[SLOTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	const struct pool_config pool = pool_of(NULL, 0);
	const struct peer local = { .any.sa_family = AF_UNIX };
	size_t clients[SLOTS] = { 0 }, rank;
	struct route route;

	(void)state;
	route_begin(&route, &pool, 7);
	for (unsigned port = 1; port < 65536; port += 13) {
		const struct peer one = client_number(1, 1);
		const struct peer again = client_number(1, (uint16_t)port);

		assert_true(route_key(&route, &one) == route_key(&route, &again));
	}
	for (unsigned client = 0; client < CLIENTS; client++)
		clients[route_choose(&route, route_key(&route, &local), is_up,
				     (void *)(uintptr_t)all, &rank)]++;
	for (size_t slot = 0; slot < SLOTS; slot++)
		assert_in_range(clients[slot], CLIENTS / SLOTS * 8 / 10, CLIENTS / SLOTS * 12 / 10);
	route_end(&route);
}

/* Servers behind two local slots. */
#define LOCALS 2

static struct pool_config servers_of(void)
{
	struct pool_config pool = pool_of(NULL, 0);

	pool.locals = LOCALS;
	return pool;
}

/* Worry: a place that no server has gets clients, or is asked, be it as the last resort. */
static void test_absent_places_never_win(void **state)
{
	const struct pool_config pool = servers_of();
	struct route route;

	(void)state;
	route_begin(&route, &pool, 7);
	route_set(&route, 5, "a:1", 1);
	route_set(&route, 6, "b:1", 0);
	route_set(&route, 7, "c:1", 1);
	route_set(&route, 7, NULL, 0);
	for (unsigned client = 0; client < 100; client++) {
		const struct peer peer = client_number(client, 1);
		struct walk walk = { .count = 0 };
		size_t rank;

		assert_int_equal(route_choose(&route, route_key(&route, &peer), note_and_refuse,
					      &walk, &rank),
				 RENDEZVOUS_NONE);
		assert_int_equal(walk.count, 4);
		for (size_t i = 0; i < 3; i++)
			assert_true(walk.slots[i] < LOCALS || walk.slots[i] == 5);
		assert_int_equal(walk.slots[3], 6);
	}
	route_end(&route);
}

/* Worry: two Limpets that heard of the same servers in another order, at other places, pin their
 * clients differently. */
static void test_the_name_decides_not_the_place(void **state)
{
	static const char *const names[] = { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "d" };
	const struct pool_config pool = servers_of();
	struct route one, other;
	size_t place_of[SLOTS], rank;

	(void)state;
	route_begin(&one, &pool, 7);
	route_begin(&other, &pool, 7);
	place_of[0] = 0;
	place_of[1] = 1;
	for (size_t i = 0; i < 4; i++) {
		place_of[LOCALS + i] = SLOTS - 1 - i;
		route_set(&one, LOCALS + i, names[i], 1);
		route_set(&other, SLOTS - 1 - i, names[i], 1);
	}
	for (unsigned client = 0; client < 10000; client++) {
		static const bool all[SLOTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };

		assert_int_equal(choose(&other, client, all, &rank),
				 place_of[choose(&one, client, all, &rank)]);
	}
	route_end(&one);
	route_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_clients_of_a_lost_slot_move),
		cmocka_unit_test(test_the_seed_decides),
		cmocka_unit_test(test_everybody_is_asked_once),
		cmocka_unit_test(test_weight_0_is_the_last_resort),
		cmocka_unit_test(test_weights_are_shares),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_absent_places_never_win),
		cmocka_unit_test(test_the_name_decides_not_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
