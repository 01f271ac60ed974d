/* Why: the sample and the manual are what people read first; both are printed from the tables and
 * must be true. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "whole.h"

/* The sample with every default written out, and what a [tls] section cannot do without. */
static char *uncommented(void)
{
	char *sample = NULL, *text = NULL, *rest, *line;
	size_t length;
	FILE *out = open_memstream(&sample, &length);

	config_print_sample(out);
	fclose(out);
	rest = sample;
	out = open_memstream(&text, &length);
	while ((line = strsep(&rest, "\n"))) {
		bool is_material =
			strcmp(line, ";certificate =") == 0 || strcmp(line, ";key =") == 0;

		fprintf(out, "%s%s\n", line + (*line == ';'), is_material ? " file" : "");
	}
	fclose(out);
	free(sample);
	return text;
}

static void the_sample_is_a_good_configuration(void **state)
{
	char *text = NULL;
	struct error e;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct config *config;

	(void)state;
	config_print_sample(out);
	fclose(out);
	config = config_parse("sample", text, length, &e);
	assert_non_null(config);
	assert_int_equal(config->tls_count, 0);
	config_free(&config);
	free(text);
	text = uncommented();
	config = config_parse("sample", text, strlen(text), &e);
	if (!config)
		fail_msg("%s", e.text);
	assert_int_equal(config->tls_count, 1);
	expect_round_trip(config);
	config_free(&config);
	free(text);
}

static void the_manual_has_every_option(void **state)
{
	char *text = NULL, item[64];
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	config_print_manual(out);
	fclose(out);
#define EXPECT_ITEM(type, name, standard, min, max, reload, help)                                  \
	snprintf(item, sizeof item,                                                                \
		 *(standard ? standard : "x") ? ".TP\n.BR %s \"" : ".TP\n.B %s\n", #name);         \
	assert_non_null(strstr(text, item));
	LIMPET_OPTIONS(EXPECT_ITEM)
	LISTEN_OPTIONS(EXPECT_ITEM)
	POOL_OPTIONS(EXPECT_ITEM)
	TLS_OPTIONS(EXPECT_ITEM)
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sample_is_a_good_configuration),
		cmocka_unit_test(the_manual_has_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
