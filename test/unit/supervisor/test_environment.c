/* Why: an environment with a name twice is read differently by every program; with one too many it
 * leaks. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "supervisor/environment.h"

/* Worry: a name stands there twice, or its beginning is taken for it. */
static void test_set_and_get(void **state)
{
	struct environment e = { .items = NULL };

	(void)state;
	assert_null(environment_get(&e, "PATH"));
	environment_set(&e, "PATH", "/bin");
	environment_set(&e, "PATHS", "no");
	environment_set(&e, "EMPTY", "");
	environment_setf(&e, "PORT", "%d", 3000);
	environment_put(&e, "OPTIONS=--a=b --c=d");
	environment_set(&e, "PATH", "/usr/bin");
	assert_int_equal(e.count, 5);
	assert_null(e.items[5]);
	assert_string_equal(environment_get(&e, "PATH"), "/usr/bin");
	assert_string_equal(environment_get(&e, "PATHS"), "no");
	assert_string_equal(environment_get(&e, "EMPTY"), "");
	assert_string_equal(environment_get(&e, "PORT"), "3000");
	assert_string_equal(environment_get(&e, "OPTIONS"), "--a=b --c=d");
	assert_null(environment_get(&e, "PAT"));
	environment_free(&e);
	assert_null(e.items);
	assert_int_equal(e.count, 0);
	environment_set(&e, "A", "1"); /* usable again */
	assert_string_equal(e.items[0], "A=1");
	environment_free(&e);
}

static void test_remove(void **state)
{
	struct environment e = { .items = NULL };

	(void)state;
	environment_remove(&e, "A");
	environment_set(&e, "A", "1");
	environment_set(&e, "B", "2");
	environment_set(&e, "C", "3");
	environment_remove(&e, "A");
	environment_remove(&e, "A");
	environment_remove(&e, "CC");
	assert_int_equal(e.count, 2);
	assert_null(e.items[2]);
	assert_null(environment_get(&e, "A"));
	assert_string_equal(environment_get(&e, "B"), "2");
	assert_string_equal(environment_get(&e, "C"), "3");
	environment_free(&e);
}

/* Worry: clear_environment lets something through, or a broken item of ours breaks the worker. */
static void test_inherit(void **state)
{
	char a[] = "PATH=/bin", b[] = "SECRET=x", c[] = "broken", d[] = "PATHOLOGY=1",
	     f[] = "PATH=/second";
	char *from[] = { a, b, c, d, NULL }, *twice[] = { a, f, NULL };
	static const char *const only[] = { "HOME", "PATH", NULL };
	struct environment e = { .items = NULL };

	(void)state;
	environment_inherit(&e, from, only);
	assert_int_equal(e.count, 1);
	assert_string_equal(e.items[0], "PATH=/bin");
	assert_ptr_not_equal(e.items[0], a);
	environment_free(&e);
	environment_inherit(&e, from, NULL);
	assert_int_equal(e.count, 3);
	assert_string_equal(environment_get(&e, "SECRET"), "x");
	environment_free(&e);
	environment_inherit(&e, twice, NULL);
	assert_int_equal(e.count, 1);
	environment_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_get),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_inherit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
