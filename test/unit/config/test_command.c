/* Why: the worry is a word of a command that means more, or something else, than its writer wrote.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/command.h"

static void random_word(char word[12])
{
	static const char letters[] = "ab'\"\\ \t$%;*#=\xc3";
	size_t length = (size_t)random() % 11;

	for (size_t i = 0; i < length; i++)
		word[i] = letters[(size_t)random() % (sizeof letters - 1)];
	word[length] = '\0';
}

/* 10^5 words, three to a command: quoted and split they are the same. */
static void quoted_words_split_into_themselves(void **state)
{
	(void)state;
	srandom(1);
	for (int i = 0; i < 33334; i++) {
		char words[3][12], command[128] = "program", **split;
		struct error e;

		for (int w = 0; w < 3; w++) {
			char *quoted;

			random_word(words[w]);
			quoted = command_quote(words[w]);
			snprintf(command + strlen(command), sizeof command - strlen(command), " %s",
				 quoted);
			free(quoted);
		}
		split = command_split(command, &e);
		assert_non_null(split);
		for (int w = 0; w < 3; w++)
			assert_string_equal(split[1 + w], words[w]);
		assert_null(split[4]);
		command_words_free(&split);
		assert_null(split);
	}
}

static void what_is_not_closed_is_refused(void **state)
{
	static const char *const wrong[] = { "",      " ",         "'",    "\"", "a 'b",
					     "a \"b", "a \"b\\\"", "a \\", "''", "\"\" a" };
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char **words = command_split(wrong[i], &e);

		if (words)
			fail_msg("<%s> was split", wrong[i]);
	}
}

static void only_three_escapes_are_known(void **state)
{
	struct error e;

	(void)state;
	assert_true(command_escapes_check("", &e));
	assert_true(command_escapes_check("%i%n%%%%i", &e));
	assert_false(command_escapes_check("%", &e));
	assert_false(command_escapes_check("%%%", &e));
	assert_false(command_escapes_check("%s", &e));
	assert_false(command_escapes_check("%%%i%I", &e));
}

static void escapes_expand_once(void **state)
{
	char *text = command_expand("%%i %i %n %%%i", "a%i", 12);

	(void)state;
	assert_string_equal(text, "%i 12 a%i %12");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoted_words_split_into_themselves),
		cmocka_unit_test(what_is_not_closed_is_refused),
		cmocka_unit_test(only_three_escapes_are_known),
		cmocka_unit_test(escapes_expand_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
