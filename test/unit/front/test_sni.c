/* Why: a name that leads to the wrong pool shows one customer's service to another.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "front/sni.h"

static struct sni_route rows[] = {
	{ .name = (char *)(uintptr_t) "*.example.org", .pool_index = 1 },
	{ .name = (char *)(uintptr_t) "chat.example.org", .pool_index = 2 },
	{ .name = (char *)(uintptr_t) "example.org", .pool_index = 3 },
	{ .name = (char *)(uintptr_t) "*.chat.example.org", .pool_index = 4 },
	{ .name = (char *)(uintptr_t) "*", .pool_index = 5 },
};
static const struct sni_list list = { rows, sizeof rows / sizeof *rows };

static size_t pool_of(const char *name)
{
	const struct sni_route *route = sni_find(&list, name);

	return route ? route->pool_index : 0;
}

/* Worry: a wildcard before the exact row wins; a wildcard takes two labels, or none, or a part. */
static void test_names(void **state)
{
	const struct sni_list nothing = { NULL, 0 };

	(void)state;
	assert_int_equal(pool_of("chat.example.org"), 2);
	assert_int_equal(pool_of("example.org"), 3);
	assert_int_equal(pool_of("web.example.org"), 1);
	assert_int_equal(pool_of("chatter.example.org"), 1);
	assert_int_equal(pool_of("a.chat.example.org"), 4);
	assert_int_equal(pool_of("a.b.chat.example.org"), 0);
	assert_int_equal(pool_of("a.b.example.org"), 0);
	assert_int_equal(pool_of(".example.org"), 0);
	assert_int_equal(pool_of("xexample.org"), 0);
	assert_int_equal(pool_of("example.org.evil"), 0);
	assert_int_equal(pool_of("org"), 0);
	assert_int_equal(pool_of(""), 0);
	assert_null(sni_find(&nothing, "example.org"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
