/* Why: every row of the option tables must keep its promises: its range to the last number, its
 * default, and that what is printed reads back as the same value. So the tests loop over the rows,
 * and a new option is tested by being there. SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "config/ini.h"
#include "config/option.h"

union any_section {
	struct limpet_config limpet;
	struct listen_config listen;
	struct pool_config pool;
	struct tls_config tls;
};

static union any_section object, other;

static char *printed(const struct option *option, const void *from)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	option_print(option, from, out);
	fclose(out);
	return text;
}

static void expect_good(const struct option *option, const char *value)
{
	struct error e;

	if (!option_set(option, &object, value, false, &e))
		fail_msg("%s = \"%s\" was refused: %s", option->name, value, e.text);
}

static void expect_bad(const struct option *option, const char *value)
{
	struct error e;

	if (option_set(option, &object, value, false, &e))
		fail_msg("%s = \"%s\" was taken", option->name, value);
	if (strncmp(e.text, option->name, strlen(option->name)) != 0)
		fail_msg("the sentence does not name %s: %s", option->name, e.text);
}

/* Reads each printed line into `other`, which must become equal. */
static void expect_round_trip(const struct option_table *table, const struct option *option)
{
	char *text = printed(option, &object), *rest = text, *line;
	size_t assignments = 0;
	struct error e;

	memset(&other, 0, sizeof other);
	option_begin_all(table, &other);
	while ((line = strsep(&rest, "\n")) && *line) {
		char *value = strchr(line, '=') + 1;

		assert_memory_equal(line, option->name, strlen(option->name));
		value = ini_expand(value + (*value == ' '), &e);
		if (!option_set(option, &other, value, assignments++ > 0, &e))
			fail_msg("%s was printed and not read: %s", line, e.text);
		free(value);
	}
	if (!option_equal(option, &object, &other))
		fail_msg("%s reads back as something else", text);
	option_end_all(table, &other);
	free(text);
}

static void each_row(void (*check)(const struct option_table *, const struct option *))
{
	for (int kind = 0; kind < SECTION_KINDS; kind++) {
		const struct option_table *table = &option_tables[kind];

		memset(&object, 0, sizeof object);
		option_begin_all(table, &object);
		for (size_t i = 0; i < table->count; i++)
			check(table, &table->rows[i]);
		option_end_all(table, &object);
	}
}

static void check_default(const struct option_table *table, const struct option *option)
{
	assert_true(strlen(option->help) > 10);
	assert_true(option->help[strlen(option->help) - 1] == '.');
	if (option->standard)
		expect_round_trip(table, option);
	else
		assert_true(option_is_empty(option, &object));
	expect_good(option, option_example(option));
	expect_round_trip(table, option);
}

static void every_default_is_good_and_reads_back(void **state)
{
	(void)state;
	each_row(check_default);
}

/* What the number is in a file: times as milliseconds, all others bare. */
static void number_text(const struct option *option, int64_t number, char out[32])
{
	snprintf(out, 32, "%" PRId64 "%s", number, option->type == OPTION_DURATION ? "ms" : "");
}

static bool has_range(const struct option *option)
{
	switch (option->type) {
	case OPTION_UINT:
	case OPTION_INT:
	case OPTION_DURATION:
	case OPTION_SIZE:
	case OPTION_INSTANCES:
	case OPTION_RELAYS:
	case OPTION_WEIGHTS:
		return true;
	default:
		return false;
	}
}

static void check_range(const struct option_table *table, const struct option *option)
{
	char text[32];

	if (!has_range(option))
		return;
	number_text(option, option->min - 1, text);
	expect_bad(option, text);
	number_text(option, option->min, text);
	expect_good(option, text);
	expect_round_trip(table, option);
	number_text(option, option->max, text);
	expect_good(option, text);
	expect_round_trip(table, option);
	number_text(option, option->max + 1, text);
	expect_bad(option, text);
}

static void every_range_ends_where_it_says(void **state)
{
	(void)state;
	each_row(check_range);
}

static void check_garbage(const struct option_table *table, const struct option *option)
{
	static const char *const wrong[] = { "garbage",
					     "-",
					     "+1",
					     "1 2",
					     "0x10",
					     "1e3",
					     "99999999999999999999",
					     "9223372036854775807d",
					     "9223372036854775807",
					     "5 m",
					     "5M",
					     "1.5",
					     "10sec",
					     "-1",
					     "ON",
					     "1,2" };

	(void)table;
	if (!has_range(option) || option->type == OPTION_WEIGHTS)
		return;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (strcmp(wrong[i], "-1") != 0 || option->min >= 0)
			expect_bad(option, wrong[i]);
	expect_bad(option, "");
}

static void no_number_is_guessed(void **state)
{
	(void)state;
	each_row(check_garbage);
}

static void check_words(const struct option_table *table, const struct option *option)
{
	static const char *const yes[] = { "on", "yes", "true", "1" };
	static const char *const no[] = { "off", "no", "false", "0" };
	static const char *const wrong[] = { "", "On", "y", "2", "enabled" };

	if (option->type != OPTION_BOOL)
		return;
	for (size_t i = 0; i < 4; i++) {
		expect_good(option, yes[i]);
		expect_round_trip(table, option);
		expect_good(option, no[i]);
		expect_round_trip(table, option);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		expect_bad(option, wrong[i]);
}

static void on_and_off_have_four_words_each(void **state)
{
	(void)state;
	each_row(check_words);
}

static const struct option *row(enum section_kind kind, const char *name)
{
	const struct option *option = option_find(&option_tables[kind], name);

	assert_non_null(option);
	return option;
}

/* One option, one value as written, and how it is printed. */
static void expect_form(enum section_kind kind, const char *name, const char *value,
			const char *form)
{
	const struct option *option = row(kind, name);
	char expected[256], *text;

	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[kind], &object);
	expect_good(option, value);
	text = printed(option, &object);
	snprintf(expected, sizeof expected, "%s =%s%s\n", name, *form ? " " : "", form);
	assert_string_equal(text, expected);
	free(text);
	expect_round_trip(&option_tables[kind], option);
	option_end_all(&option_tables[kind], &object);
}

static void units_say_what_they_mean(void **state)
{
	(void)state;
	expect_form(SECTION_POOL, "start_timeout", "5", "5s");
	expect_form(SECTION_POOL, "start_timeout", "5s", "5s");
	expect_form(SECTION_POOL, "start_timeout", "500ms", "500ms");
	expect_form(SECTION_POOL, "start_timeout", "2h", "2h");
	expect_form(SECTION_POOL, "start_timeout", "90m", "90m");
	expect_form(SECTION_POOL, "start_timeout", "1d", "1d");
	expect_form(SECTION_POOL, "start_timeout", "60000ms", "1m");
	expect_form(SECTION_POOL, "stop_timeout", "0", "0");
	expect_form(SECTION_POOL, "rlimit_core", "64k", "64k");
	expect_form(SECTION_POOL, "rlimit_core", "1024k", "1m");
	expect_form(SECTION_POOL, "rlimit_core", "3g", "3g");
	expect_form(SECTION_POOL, "rlimit_core", "0", "0");
	expect_form(SECTION_POOL, "rlimit_nofile", "unlimited", "unlimited");
	expect_form(SECTION_POOL, "rlimit_nofile", "1000", "1000");
	expect_form(SECTION_POOL, "rlimit_nofile", "", "");
}

static void every_type_has_its_forms(void **state)
{
	(void)state;
	expect_form(SECTION_POOL, "umask", "22", "022");
	expect_form(SECTION_POOL, "umask", "0", "000");
	expect_form(SECTION_POOL, "umask", "", "");
	expect_form(SECTION_POOL, "stop_signal", "SIGINT", "INT");
	expect_form(SECTION_POOL, "stop_signal", "QUIT", "QUIT");
	expect_form(SECTION_POOL, "nice", "-20", "-20");
	expect_form(SECTION_POOL, "instances", "3", "3");
	expect_form(SECTION_POOL, "weight", "2", "2");
	expect_form(SECTION_POOL, "weight", "0:2   3:0.50", "0:2 3:0.5");
	expect_form(SECTION_POOL, "weight", "1 7:0.1", "1 7:0.1");
	expect_form(SECTION_POOL, "delivery", "fd", "fd");
	expect_form(SECTION_POOL, "delivery", "listen", "listen");
	expect_form(SECTION_POOL, "send_proxy", "v2", "v2");
	expect_form(SECTION_POOL, "tls_at", "worker", "worker");
	expect_form(SECTION_POOL, "server", "A:1  weight=2.50", "a:1 weight=2.5");
	expect_form(SECTION_POOL, "check", "http GET /a  expecting 2xx",
		    "http GET /a  expecting 2xx");
	expect_form(SECTION_POOL, "check", "off", "off");
	expect_form(SECTION_POOL, "relay_buffer", "65536", "64k");
	expect_form(SECTION_LIMPET, "relays", "7", "7");
	expect_form(SECTION_LISTEN, "sni", "*.A.org  web", "*.a.org web");
	expect_form(SECTION_LISTEN, "proxy_protocol", "pass", "pass");
	expect_form(SECTION_TLS, "policy", "modern", "modern");
	expect_form(SECTION_TLS, "min_version", "1.3", "1.3");
	expect_form(SECTION_TLS, "verify", "optional", "optional");
	expect_form(SECTION_POOL, "directory", "/a b/${x", "/a b/$${x");
	expect_form(SECTION_POOL, "directory", "  % ", "${:-  }%${:- }");
	expect_form(SECTION_LIMPET, "log_level", "debug", "debug");
	expect_form(SECTION_LISTEN, "bind", ":80", "[::]:80");
	expect_form(SECTION_LISTEN, "allow", "10.0.0.0/8", "10.0.0.0/8");
}

static void what_no_type_takes_is_refused(void **state)
{
	(void)state;
	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[SECTION_POOL], &object);
	expect_bad(row(SECTION_POOL, "umask"), "8");
	expect_bad(row(SECTION_POOL, "umask"), "1000");
	expect_bad(row(SECTION_POOL, "umask"), "00000");
	expect_bad(row(SECTION_POOL, "stop_signal"), "TERMINATE");
	expect_bad(row(SECTION_POOL, "stop_signal"), "STOP");
	expect_bad(row(SECTION_POOL, "stop_signal"), "15");
	expect_bad(row(SECTION_POOL, "weight"), "0:1 0:2");
	expect_bad(row(SECTION_POOL, "weight"), "1 2");
	expect_bad(row(SECTION_POOL, "weight"), "1024:1");
	expect_bad(row(SECTION_POOL, "weight"), "x:1");
	expect_bad(row(SECTION_POOL, "weight"), "0x10");
	expect_bad(row(SECTION_POOL, "weight"), "inf");
	expect_bad(row(SECTION_POOL, "weight"), "-1");
	expect_bad(row(SECTION_POOL, "delivery"), "tcp");
	expect_bad(row(SECTION_POOL, "check"), "");
	expect_bad(row(SECTION_POOL, "check"), "http");
	expect_bad(row(SECTION_POOL, "command"), "a\nb");
	option_end_all(&option_tables[SECTION_POOL], &object);
}

static void lists_grow_and_are_reset(void **state)
{
	const struct option *option = row(SECTION_POOL, "environment");
	const struct option *weight = row(SECTION_POOL, "weight");
	struct error e;

	(void)state;
	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[SECTION_POOL], &object);
	for (int i = 0; i < 1000; i++)
		assert_true(option_set(option, &object, "A=1", i > 0, &e));
	assert_int_equal(object.pool.environment.count, 1000);
	expect_round_trip(&option_tables[SECTION_POOL], option);
	assert_true(option_set(option, &object, "", true, &e));
	assert_true(option_is_empty(option, &object));
	assert_true(option_set(weight, &object, "0:2", false, &e));
	assert_true(option_set(weight, &object, "3:0.5", true, &e));
	assert_int_equal(object.pool.weight.count, 2);
	expect_round_trip(&option_tables[SECTION_POOL], weight);
	assert_true(option_set(weight, &object, "", true, &e)); /* back to its default */
	assert_int_equal(object.pool.weight.count, 1);
	assert_true(object.pool.weight.items[0].value == 1);
	option_end_all(&option_tables[SECTION_POOL], &object);
}

/* 10^5 random weights: doubles must survive being printed. */
static void weights_lose_no_bit(void **state)
{
	const struct option *option = row(SECTION_POOL, "weight");
	char text[64];

	(void)state;
	srandom(1);
	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[SECTION_POOL], &object);
	for (int i = 0; i < 10000; i++) {
		double value = (double)random() / (double)random();

		if (value > 1000)
			continue;
		snprintf(text, sizeof text, "%ld:%.17g", random() % 1024, value);
		expect_good(option, text);
		assert_true(object.pool.weight.items[0].value == value);
		expect_round_trip(&option_tables[SECTION_POOL], option);
	}
	option_end_all(&option_tables[SECTION_POOL], &object);
}

static void max_is_what_this_process_may_use(void **state)
{
	cpu_set_t all, one;
	size_t first = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[SECTION_POOL], &object);
	assert_int_equal(object.pool.instances, CPU_COUNT(&all));
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	expect_good(row(SECTION_POOL, "instances"), "max");
	assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
	assert_int_equal(object.pool.instances, 1);
	option_end_all(&option_tables[SECTION_POOL], &object);
}

/* More processors than relays may be are no error. */
static void auto_relays_are_one_per_processor(void **state)
{
	struct option few = *row(SECTION_LIMPET, "relays");
	cpu_set_t all;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	memset(&object, 0, sizeof object);
	option_begin_all(&option_tables[SECTION_LIMPET], &object);
	assert_int_equal(object.limpet.relays, CPU_COUNT(&all) < 64 ? CPU_COUNT(&all) : 64);
	few.max = 1;
	expect_good(&few, "auto");
	assert_int_equal(object.limpet.relays, 1);
	option_end_all(&option_tables[SECTION_LIMPET], &object);
}

static void no_option_has_the_name_of_another(void **state)
{
	(void)state;
	for (int kind = 0; kind < SECTION_KINDS; kind++)
		for (size_t i = 0; i < option_tables[kind].count; i++)
			assert_ptr_equal(
				option_find(&option_tables[kind], option_tables[kind].rows[i].name),
				&option_tables[kind].rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_good_and_reads_back),
		cmocka_unit_test(every_range_ends_where_it_says),
		cmocka_unit_test(no_number_is_guessed),
		cmocka_unit_test(on_and_off_have_four_words_each),
		cmocka_unit_test(units_say_what_they_mean),
		cmocka_unit_test(every_type_has_its_forms),
		cmocka_unit_test(what_no_type_takes_is_refused),
		cmocka_unit_test(lists_grow_and_are_reset),
		cmocka_unit_test(weights_lose_no_bit),
		cmocka_unit_test(max_is_what_this_process_may_use),
		cmocka_unit_test(auto_relays_are_one_per_processor),
		cmocka_unit_test(no_option_has_the_name_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
