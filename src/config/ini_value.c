/* Why: what a value may hold and how it is written, apart from the lines of ini.c.
 * SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/ini.h"

#define BLANKS       " \t"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define NAME_MOST    255

/* The inside of ${...}: NAME, or NAME:-text, where also an empty value gives way to the text.
 * Without a name the text stands for itself: so blanks can begin or end a value. */
static bool expand_variable(const char *inside, size_t length, FILE *out, struct error *e)
{
	size_t name_length = strspn(inside, NAME_LETTERS);
	bool has_default = name_length + 2 <= length && strncmp(inside + name_length, ":-", 2) == 0;
	const char *value = NULL;
	char name[NAME_MOST + 1];

	if (name_length > NAME_MOST || isdigit((unsigned char)*inside) ||
	    (name_length != length && !has_default) || (name_length == 0 && !has_default))
		return error_set(e, "\"${%.*s}\" is neither ${NAME} nor ${NAME:-text}",
				 length > 80 ? 80 : (int)length, inside);
	memcpy(name, inside, name_length);
	name[name_length] = '\0';
	if (name_length > 0)
		value = getenv(name);
	if (has_default && (!value || !*value)) {
		fwrite(inside + name_length + 2, 1, length - name_length - 2, out);
		return true;
	}
	if (!value)
		return error_set(e, "${%s} is not set; write ${%s:-text} to give it a default",
				 name, name);
	fputs(value, out);
	return true;
}

static bool expand_into(const char *text, FILE *out, struct error *e)
{
	while (*text) {
		const char *close;

		if (strncmp(text, "$${", 3) == 0) {
			fputs("${", out);
			text += 3;
			continue;
		}
		if (strncmp(text, "${", 2) != 0) {
			fputc(*text++, out);
			continue;
		}
		close = strchr(text, '}');
		if (!close)
			return error_set(e,
					 "a \"${\" is not closed; as plain text it is written $${");
		if (!expand_variable(text + 2, (size_t)(close - text) - 2, out, e))
			return false;
		text = close + 1;
	}
	return true;
}

char *ini_expand(const char *text, struct error *e)
{
	char *value = NULL;
	size_t length;
	FILE *out = open_memstream(&value, &length);
	bool good;

	if (!out)
		fatal("no memory for the configuration");
	good = expand_into(text, out, e);
	if (fclose(out) != 0 || !value)
		fatal("no memory for the configuration");
	if (!good) {
		free(value);
		value = NULL;
	}
	return value;
}

bool ini_value_check(const char *value, struct error *e)
{
	size_t length = 2 * strlen("${:-}"); /* blanks at both ends */

	for (const char *c = value; *c; c++) {
		uint8_t byte = (uint8_t)*c;

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return error_set(e, "the value holds a control character (0x%02x)", byte);
		length += strncmp(c, "${", 2) == 0 ? 2 : 1;
	}
	if (length > INI_VALUE_MOST)
		return error_set(e, "the value is longer than a line can be");
	return true;
}

static void print_blanks(const char *blanks, size_t length, FILE *out)
{
	if (length > 0)
		fprintf(out, "${:-%.*s}", (int)length, blanks);
}

void ini_print_value(const char *value, FILE *out)
{
	size_t length = strlen(value), leading = strspn(value, BLANKS), end = length;

	while (end > leading && strchr(BLANKS, value[end - 1]))
		end--;
	/* A $ right before the ${:- } of the blanks would make a $${ of it: it goes inside. */
	while (end < length && end > leading && value[end - 1] == '$')
		end--;
	print_blanks(value, leading, out);
	for (size_t i = leading; i < end; i++) {
		if (strncmp(value + i, "${", 2) == 0)
			fputc('$', out);
		fputc(value[i], out);
	}
	print_blanks(value + end, length - end, out);
}
