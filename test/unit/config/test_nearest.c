/* Why: a hint that is far off is worse than none. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/nearest.h"
#include "config/option.h"

static const char *nearest_option(const char *wanted)
{
	struct nearest nearest = nearest_begin(wanted);

	for (size_t i = 0; i < option_tables[SECTION_POOL].count; i++)
		nearest_offer(&nearest, option_tables[SECTION_POOL].rows[i].name);
	return nearest.best;
}

static void mistyped_names_are_recognised(void **state)
{
	(void)state;
	assert_string_equal(nearest_option("comand"), "command");
	assert_string_equal(nearest_option("cmomand"), "command");
	assert_string_equal(nearest_option("instance"), "instances");
	assert_string_equal(nearest_option("env"), "environment");
	assert_string_equal(nearest_option("on_dwon"), "on_down");
	assert_string_equal(nearest_option("restart_delay_maximum"), "restart_delay_max");
	assert_null(nearest_option("xyzzy"));
	assert_null(nearest_option(""));
}

static void a_name_that_is_right_is_its_own_nearest(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_tables[SECTION_POOL].count; i++) {
		const char *name = option_tables[SECTION_POOL].rows[i].name;

		assert_ptr_equal(nearest_option(name), name);
	}
}

/* Each name with one letter lost still finds itself, unless it became another name's own. */
static void one_lost_letter_is_forgiven(void **state)
{
	char wrong[64];

	(void)state;
	for (size_t i = 0; i < option_tables[SECTION_POOL].count; i++) {
		const char *name = option_tables[SECTION_POOL].rows[i].name;

		for (size_t lost = 0; name[lost]; lost++) {
			memcpy(wrong, name, lost);
			memcpy(wrong + lost, name + lost + 1, strlen(name + lost));
			assert_non_null(nearest_option(wrong));
			if (strlen(name) > 7)
				assert_ptr_equal(nearest_option(wrong), name);
		}
	}
}

static void names_of_any_length_are_safe(void **state)
{
	char name[200];

	(void)state;
	for (size_t length = 0; length < sizeof name; length++) {
		struct nearest nearest;

		memset(name, 'c', length);
		name[length] = '\0';
		nearest = nearest_begin(name);
		nearest_offer(&nearest, "command");
		nearest_offer(&nearest, "");
		nearest_offer(&nearest, name);
		assert_true((nearest.best == name) == (length > 0 && length <= 64));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistyped_names_are_recognised),
		cmocka_unit_test(a_name_that_is_right_is_its_own_nearest),
		cmocka_unit_test(one_lost_letter_is_forgiven),
		cmocka_unit_test(names_of_any_length_are_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
