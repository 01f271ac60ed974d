/* Why: who is given whose place decides who loses his server; every rule of places.h is a worry of
 * somebody whose name server answers in another order each time. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/places.h"

#define PLACES 4

static struct place_found at(const char *text, double weight)
{
	struct place_found found = { .weight = weight };
	struct error e;

	assert_true(address_parse(text, &found.address, &e));
	return found;
}

/* "10.0.0.1:80 10.0.0.2:80" */
static size_t found_of(const char *texts, struct place_found *out)
{
	char copy[512], *rest = copy, *text;
	size_t count = 0;

	snprintf(copy, sizeof copy, "%s", texts);
	while ((text = strsep(&rest, " ")))
		if (*text)
			out[count++] = at(text, 1);
	return count;
}

static size_t assign(struct place *places, const char *texts, int64_t now_ms, bool is_partial)
{
	const struct places_rule rule = { .now_ms = now_ms,
					  .keep_ms = 1000,
					  .is_partial = is_partial };
	struct place_found found[16];
	const size_t count = found_of(texts, found);

	return places_assign(places, PLACES, found, count, &rule);
}

/* "10.0.0.1:80 -10.0.0.2:80 ." : present, leaving, absent; changed ones with "*" in front. */
static void assert_places(const struct place *places, const char *expected)
{
	char text[512] = "", one[ADDRESS_TEXT];
	size_t length = 0;

	for (size_t i = 0; i < PLACES; i++)
		length += (size_t)snprintf(text + length, sizeof text - length, "%s%s%s%s",
					   i > 0 ? " " : "", places[i].is_changed ? "*" : "",
					   places[i].state == SERVER_LEAVING ? "-" : "",
					   places[i].state == SERVER_ABSENT
						   ? "."
						   : address_print(&places[i].address, one));
	assert_string_equal(text, expected);
}

/* Worry: round-robin DNS answers in another order each time, and clients wander. */
static void test_the_order_of_an_answer_means_nothing(void **state)
{
	struct place places[PLACES] = { 0 };

	(void)state;
	assert_int_equal(assign(places, "10.0.0.3:80 10.0.0.1:80 10.0.0.2:80", 0, false), 0);
	assert_places(places, "*10.0.0.1:80 *10.0.0.2:80 *10.0.0.3:80 .");
	assert_int_equal(assign(places, "10.0.0.2:80 10.0.0.3:80 10.0.0.1:80", 1, false), 0);
	assert_places(places, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 .");
}

/* Worry: one address goes, and others are renumbered; it comes back, and is a stranger. */
static void test_an_address_keeps_its_place(void **state)
{
	struct place places[PLACES] = { 0 };

	(void)state;
	assign(places, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80", 0, false);
	assign(places, "10.0.0.1:80 10.0.0.3:80", 10, false);
	assert_places(places, "10.0.0.1:80 *-10.0.0.2:80 10.0.0.3:80 .");
	assign(places, "10.0.0.1:80 10.0.0.3:80 10.0.0.0:80", 20, false);
	assert_places(places, "10.0.0.1:80 -10.0.0.2:80 10.0.0.3:80 *10.0.0.0:80");
	assign(places, "10.0.0.0:80 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80", 30, false);
	assert_places(places, "10.0.0.1:80 *10.0.0.2:80 10.0.0.3:80 10.0.0.0:80");
}

/* Worry: pods that never come back fill the places until nobody new is served. */
static void test_a_place_is_given_away_in_the_end(void **state)
{
	struct place places[PLACES] = { 0 };

	(void)state;
	assign(places, "10.0.0.1:80 10.0.0.2:80", 0, false);
	assign(places, "10.0.0.1:80", 100, false);
	assign(places, "10.0.0.1:80", 1099, false);
	assert_places(places, "10.0.0.1:80 -10.0.0.2:80 . .");
	assign(places, "10.0.0.1:80", 1100, false);
	assert_places(places, "10.0.0.1:80 *. . .");
	assign(places, "10.0.0.1:80 10.0.0.9:80", 1200, false);
	assert_places(places, "10.0.0.1:80 *10.0.0.9:80 . .");
}

/* Worry: a rolling update replaces all at once, sooner than places are forgotten. */
static void test_leaving_places_are_given_away_under_need(void **state)
{
	struct place places[PLACES] = { 0 };

	(void)state;
	assign(places, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80", 0, false);
	assign(places, "10.0.0.1:80 10.0.0.2:80 10.0.0.4:80", 10, false);
	assign(places, "10.0.0.2:80 10.0.0.4:80", 20, false);
	/* 10.0.0.3 has been gone for longest, and 10.0.0.1 returns in the same answer. */
	assign(places, "10.0.0.0:80 10.0.0.1:80 10.0.0.2:80 10.0.0.4:80", 30, false);
	assert_places(places, "*10.0.0.1:80 10.0.0.2:80 *10.0.0.0:80 10.0.0.4:80");
	assert_int_equal(
		assign(places, "10.1.0.1:80 10.1.0.2:80 10.1.0.3:80 10.1.0.4:80", 40, false), 0);
	for (size_t i = 0; i < PLACES; i++)
		assert_int_equal(places[i].state, SERVER_PRESENT);
}

/* Worry: too many addresses are dropped in silence, or differently by each Limpet. */
static void test_too_many_are_counted_and_the_same_everywhere(void **state)
{
	struct place one[PLACES] = { 0 }, other[PLACES] = { 0 };

	(void)state;
	assert_int_equal(assign(one,
				"10.0.0.5:80 10.0.0.6:80 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 "
				"10.0.0.4:80",
				0, false),
			 2);
	assert_int_equal(assign(other,
				"10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80 "
				"10.0.0.5:80 10.0.0.6:80",
				0, false),
			 2);
	for (size_t i = 0; i < PLACES; i++)
		assert_true(address_equal(&one[i].address, &other[i].address));
}

/* Worry: half an answer (one of several targets was not found) takes servers away. */
static void test_nothing_leaves_by_half_an_answer(void **state)
{
	struct place places[PLACES] = { 0 };

	(void)state;
	assign(places, "10.0.0.1:80 10.0.0.2:80", 0, false);
	assign(places, "10.0.0.1:80 10.0.0.3:80", 10, true);
	assert_places(places, "10.0.0.1:80 10.0.0.2:80 *10.0.0.3:80 .");
}

/* Worry: an address that is listed twice takes two places, and so twice its share. */
static void test_repeated_addresses_are_one(void **state)
{
	const struct places_rule rule = { .keep_ms = 1000 };
	struct place_found found[3] = { at("10.0.0.1:80", 2), at("10.0.0.2:80", 1),
					at("10.0.0.1:80", 3) };
	struct place places[PLACES] = { 0 };

	(void)state;
	assert_int_equal(places_assign(places, PLACES, found, 3, &rule), 0);
	assert_places(places, "*10.0.0.1:80 *10.0.0.2:80 . .");
	assert_true(places[0].weight == 3);
	/* Ports are servers of their own. */
	assign(places, "10.0.0.1:80 10.0.0.1:81", 0, false);
	assert_int_equal(places[2].state, SERVER_PRESENT);
}

/* Worry: a new weight is not told, or an old one is told again and again. */
static void test_only_changes_are_marked(void **state)
{
	const struct places_rule rule = { .keep_ms = 1000 };
	struct place_found found[1] = { at("[2001:db8::1]:80", 5) };
	struct place places[PLACES] = { 0 };

	(void)state;
	places_assign(places, PLACES, found, 1, &rule);
	assert_true(places[0].is_changed);
	places_assign(places, PLACES, found, 1, &rule);
	assert_false(places[0].is_changed);
	found[0].weight = 6;
	places_assign(places, PLACES, found, 1, &rule);
	assert_true(places[0].is_changed && places[0].weight == 6);
}

static void choose(struct place *place, const char *texts, bool is_partial)
{
	const struct places_rule rule = { .is_partial = is_partial };
	struct place_found found[16];
	const size_t count = found_of(texts, found);

	places_choose(place, found, count, &rule);
}

static void assert_chosen(const struct place *place, const char *expected, bool is_changed)
{
	char text[ADDRESS_TEXT];

	assert_string_equal(address_print(&place->address, text), expected);
	assert_int_equal(place->is_changed, is_changed);
}

/* Worry: a line that is one slot jumps between the addresses of its name. */
static void test_one_slot_stays_where_it_is(void **state)
{
	struct place place = { 0 };

	(void)state;
	choose(&place, "[::1]:80 10.0.0.2:80 10.0.0.1:80", false);
	assert_chosen(&place, "10.0.0.2:80", true); /* IPv4 first, as everywhere */
	choose(&place, "10.0.0.1:80 10.0.0.2:80", false);
	assert_chosen(&place, "10.0.0.2:80", false);
	choose(&place, "10.0.0.1:80", true); /* half an answer */
	assert_chosen(&place, "10.0.0.2:80", false);
	choose(&place, "10.0.0.1:80", false);
	assert_chosen(&place, "10.0.0.1:80", true);
	choose(&place, "[::1]:80", false);
	assert_chosen(&place, "[::1]:80", true);
	choose(&place, "", false);
	assert_chosen(&place, "[::1]:80", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_order_of_an_answer_means_nothing),
		cmocka_unit_test(test_an_address_keeps_its_place),
		cmocka_unit_test(test_a_place_is_given_away_in_the_end),
		cmocka_unit_test(test_leaving_places_are_given_away_under_need),
		cmocka_unit_test(test_too_many_are_counted_and_the_same_everywhere),
		cmocka_unit_test(test_nothing_leaves_by_half_an_answer),
		cmocka_unit_test(test_repeated_addresses_are_one),
		cmocka_unit_test(test_only_changes_are_marked),
		cmocka_unit_test(test_one_slot_stays_where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
