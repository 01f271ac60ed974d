/* Why: what a person typed, as a configuration and a few wishes. SPDX-License-Identifier: ISC */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <stdbool.h>

#include "config/config.h"

enum command_action {
	COMMAND_START, /* with `config` */
	COMMAND_TEST,  /* -t: say that `config` is good */
	COMMAND_DUMP,  /* -T: and print it */
	COMMAND_VERSION,
	COMMAND_HELP,
	COMMAND_PRINT_SAMPLE, /* for the build: etc/limpet.ini, limpet.ini(5) */
	COMMAND_PRINT_MANUAL,
	COMMAND_WRONG /* `error` says why: exit code 2 */
};

struct command_line {
	enum command_action action;
	struct config *config;
	const char *origin; /* the file, "limpet run" or "limpet demo" */
	bool detach;        /* -d */
	struct error error;
};

void command_line_read(struct command_line *line, int argc, char **argv);
void command_line_help(void);
void command_line_version(void);

#endif
