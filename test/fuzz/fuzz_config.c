/* Why: the configuration comes from people, templates and other programs. Whatever the bytes are,
 * reading must end without a fault, and what is taken must print as something that reads back
 * equal: that is how every role gets it. SPDX-License-Identifier: ISC */
#include <nss.h>
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hide_line(const char *line, size_t length, void *arg)
{
	(void)line;
	(void)length;
	(void)arg;
}

/* Host names that it makes up must not go to any server. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_to_writer(hide_line, NULL);
	return __nss_configure_lookup("hosts", "files");
}

static void check_round_trip(const struct config *config)
{
	struct error e = { .text = "" };
	struct config *again;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	config_print(config, out);
	fclose(out);
	again = config_parse("printed", text, length, &e);
	if (!again || !config_equal(config, again)) {
		fprintf(stderr, "does not read back: %s\n%s", e.text, text);
		abort();
	}
	config_free(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e = { .text = "" };
	struct config *config = config_parse("fuzz", (const char *)data, size, &e);

	if (config)
		check_round_trip(config);
	else if (e.text[0] == '\0')
		abort(); /* refused without a sentence */
	config_free(&config);
	return 0;
}
