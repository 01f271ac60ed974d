/* Why: the grammar of limpet.ini and nothing else: lines become sections and (key, value) pairs,
 * each with its place. What they mean is decided in config.c. It is strict: a line that can be
 * misread is an error. Source: limpet.ini(5). SPDX-License-Identifier: ISC */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"

#define INI_LINE_MOST 65536
#define INI_VALUE_MOST                                                                             \
	(INI_LINE_MOST - 64) /* as ini_print_value writes it, so that a line holds it */
#define INI_DEPTH_MOST 8     /* of %include */
#define INI_FILES_MOST 1024

/* Where a value was written; line 0: not in a file (then `file` is "-b" or the like). */
struct ini_place {
	const char *file;
	unsigned line;
};

/* Puts "file:line: " in front of the sentence; nothing where file is NULL. Always false. */
bool ini_place_error(struct ini_place place, struct error *e);

/* What the lines are given to. `file` of the place lives until ini_read or ini_parse return.
 * A sentence in `e` ends the reading; its place is put in front by the reader. Values are trimmed
 * and expanded. After a %include on_section comes again with the section that it interrupted. */
struct ini_handler {
	bool (*on_section)(void *arg, const char *name, struct ini_place place, struct error *e);
	bool (*on_value)(void *arg, const char *key, const char *value, struct ini_place place,
			 struct error *e);
	void *arg;
};

/* Reads a file and what it includes; `limit` bounds the bytes of all, expanded values included. */
bool ini_read(const char *path, size_t limit, const struct ini_handler *handler, struct error *e);
bool ini_parse(const char *name, const char *text, size_t length, size_t limit,
	       const struct ini_handler *handler, struct error *e);

/* ${NAME}, ${NAME:-text} and $${ replaced; fresh memory, NULL with a sentence. */
char *ini_expand(const char *text, struct error *e);

/* False with a sentence for what no line can hold: control characters, INI_VALUE_MOST. */
bool ini_value_check(const char *value, struct error *e);

/* Writes a value so that reading it gives the same bytes. */
void ini_print_value(const char *value, FILE *out);

#endif
