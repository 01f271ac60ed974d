/* Why: server names are hostile text, and the wrong certificate for a name is an outage.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/tls_name.h"

static const char *label63 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void reads(const char *text, size_t length, bool wildcard, const char *expected)
{
	char name[TLS_NAME_SIZE] = "?";
	bool good = tls_name_read(text, length, wildcard, name);

	assert_int_equal(good, expected != NULL);
	assert_string_equal(name, expected ? expected : "");
}

/* Worry: NULs, escapes, spaces or empty labels get through. */
static void test_read(void **state)
{
	char longest[400];

	(void)state;
	reads("a", 1, false, "a");
	reads("WwW.Example.ORG", 15, false, "www.example.org");
	reads("xn--bcher-kva.example", 21, false, "xn--bcher-kva.example");
	reads("10.0.0.1", 8, false, "10.0.0.1");
	reads("", 0, false, NULL);
	reads("a.example.", 10, false, NULL);
	reads(".a", 2, false, NULL);
	reads("a..b", 4, false, NULL);
	reads("a b", 3, false, NULL);
	reads("a\0b", 3, false, NULL);
	reads("a\x1b[31m", 6, false, NULL);
	reads("a\n", 2, false, NULL);
	reads("\xc3\xbc.example", 10, false, NULL);
	reads("-a.example", 10, false, NULL);
	reads("a-.example", 10, false, NULL);
	reads("::1", 3, false, NULL);
	reads("*.example", 9, false, NULL);
	reads("*.example", 9, true, "*.example");
	reads("*.", 2, true, NULL);
	reads("*", 1, true, NULL);
	reads("a.*.example", 11, true, NULL);
	reads("w*.example", 10, true, NULL);
	reads("*.*.example", 11, true, NULL);
	reads(label63, 63, false, label63);
	snprintf(longest, sizeof longest, "%sa", label63);
	reads(longest, 64, false, NULL);
	snprintf(longest, sizeof longest, "%s.%s.%s.%.61s", label63, label63, label63, label63);
	reads(longest, 253, false, longest);
	snprintf(longest, sizeof longest, "%s.%s.%s.%.62s", label63, label63, label63, label63);
	reads(longest, 254, false, NULL);
}

static size_t found(const struct tls_name_index *index, const char *name)
{
	size_t number;

	return tls_name_index_find(index, name, &number) ? number : 99;
}

/* Worry: a wildcard swallows more than one label, the bare domain, or a name that has its own. */
static void test_index(void **state)
{
	struct tls_name_index index = { .entries = NULL };
	char longest[TLS_NAME_SIZE];

	(void)state;
	assert_int_equal(found(&index, "a"), 99);
	tls_name_index_add(&index, "www.example.org", 1);
	tls_name_index_add(&index, "*.example.org", 2);
	tls_name_index_add(&index, "*.deep.example.org", 3);
	tls_name_index_add(&index, "example.net", 4);
	tls_name_index_add(&index, "*.org", 5);
	for (size_t i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof name, "n%zu.example.com", i);
		tls_name_index_add(&index, name, 100 + i);
	}
	tls_name_index_sort(&index);
	assert_int_equal(found(&index, "www.example.org"), 1);
	assert_int_equal(found(&index, "api.example.org"), 2);
	assert_int_equal(found(&index, "deep.example.org"), 2);
	assert_int_equal(found(&index, "x.deep.example.org"), 3);
	assert_int_equal(found(&index, "y.x.deep.example.org"), 99);
	assert_int_equal(found(&index, "example.org"), 5);
	assert_int_equal(found(&index, "example.net"), 4);
	assert_int_equal(found(&index, "www.example.net"), 99);
	assert_int_equal(found(&index, "org"), 99);
	for (size_t i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof name, "n%zu.example.com", i);
		assert_int_equal(found(&index, name), 100 + i);
	}
	snprintf(longest, sizeof longest, "a.%s.%s.%s.%.59s", label63, label63, label63, label63);
	assert_int_equal(found(&index, longest), 99);
	tls_name_index_free(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
