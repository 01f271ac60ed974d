/* Why: what passes as text goes into JSON and onto terminals unescaped. SPDX-License-Identifier:
 * ISC
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* A copy of exact size, so that a look behind the end is seen by the sanitizer. */
static bool is_printable(const char *text, size_t length)
{
	char *copy = malloc(length > 0 ? length : 1);
	bool answer;

	assert_non_null(copy);
	memcpy(copy, text, length);
	answer = utf8_is_printable(copy, length);
	free(copy);
	return answer;
}

#define PRINTABLE(text) is_printable(text, sizeof(text) - 1)

static void test_text(void **state)
{
	(void)state;
	assert_true(PRINTABLE(""));
	assert_true(PRINTABLE(" chat.example.org~"));
	assert_true(PRINTABLE("m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x98\x80"));
	assert_true(PRINTABLE("\xc2\xa0"));         /* U+00A0 */
	assert_true(PRINTABLE("\xf4\x8f\xbf\xbf")); /* U+10FFFF */
}

/* Worry: control characters, alone or in the middle. */
static void test_controls(void **state)
{
	char text[] = "a?b";

	(void)state;
	for (int byte = 0; byte < 0x20; byte++) {
		text[1] = (char)byte;
		assert_false(is_printable(text, 3));
	}
	assert_false(PRINTABLE("a\x7f"));
	for (int byte = 0x80; byte < 0xa0; byte++) {
		const char control[] = { '\xc2', (char)byte };

		assert_false(is_printable(control, 2));
	}
}

/* Worry: another decoder reads something else, or an error, where we saw text. */
static void test_not_utf8(void **state)
{
	static const char *const rows[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3",
		"\xc3(",
		"\xe0\x9f\xbf",
		"\xe2\x82",
		"\xe2\x28\xa1",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x8f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x9f\x98",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80",
		"\xff",
		"\xfe",
		"ok\xc3",
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (is_printable(rows[i], strlen(rows[i])))
			fail_msg("row %zu passes as text", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
