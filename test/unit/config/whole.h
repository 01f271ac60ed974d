/* Why: the tests of whole configurations read them from memory, look for a sentence, and see that
 * what is printed reads back. Static, because each test program is its own world.
 * SPDX-License-Identifier: ISC */
#ifndef TEST_CONFIG_WHOLE_H
#define TEST_CONFIG_WHOLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define GOOD "[pool:web]\ncommand = node app.js\n[listen:http]\nbind = :3000\n"

static inline struct config *parse(const char *text)
{
	struct error e = { .text = "" };
	struct config *config = config_parse("f", text, strlen(text), &e);

	if (!config)
		fail_msg("refused: %s", e.text);
	return config;
}

static inline void expect_error(const char *text, const char *sentence)
{
	struct error e = { .text = "" };
	struct config *config = config_parse("f", text, strlen(text), &e);

	assert_null(config);
	assert_string_equal(e.text, sentence);
}

static inline char *printed(const struct config *config, size_t *length_r)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length_r);

	config_print(config, out);
	fclose(out);
	return text;
}

static inline void expect_round_trip(const struct config *config)
{
	struct error e = { .text = "" };
	size_t length, again_length;
	char *text = printed(config, &length), *again_text;
	struct config *again = config_parse("printed", text, length, &e);

	if (!again)
		fail_msg("what was printed is refused: %s\n%s", e.text, text);
	assert_true(config_equal(config, again));
	again_text = printed(again, &again_length);
	assert_string_equal(text, again_text);
	config_free(&again);
	free(text);
	free(again_text);
}

#endif
