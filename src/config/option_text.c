/* Why: the types that own memory: texts, and lists of texts, addresses, blocks and weights.
 * SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/option_type.h"
#include "config/probe.h"

#define BLANKS " \t"

char *option_text_copy(const char *text, size_t length)
{
	char *copy = strndup(text, length);

	if (!copy)
		fatal("no memory for the configuration");
	return copy;
}

/* Room for one item more, by doubling whenever the count is a power of two. */
void *option_list_grown(void *items, size_t count, size_t size)
{
	if (count & (count - 1))
		return items;
	items = reallocarray(items, count ? count * 2 : 1, size);
	if (!items)
		fatal("no memory for the configuration");
	return items;
}

static bool string_parse(const struct option *option, const char *text, void *field,
			 struct error *e)
{
	char **string = field;

	(void)option;
	(void)e;
	free(*string);
	*string = option_text_copy(text, strlen(text));
	return true;
}

static void string_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	fputs(*(char *const *)field, out);
}

static bool string_equal(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b) == 0;
}

static void string_clear(void *field)
{
	char **string = field;

	free(*string);
	*string = NULL;
}

const struct option_type_ops option_type_STRING = {
	.parse = string_parse, .print = string_print, .equal = string_equal, .clear = string_clear
};

/* Quoting depends on `shell`, which may stand behind it: the cross-check looks at it. */
const struct option_type_ops option_type_COMMAND = {
	.parse = string_parse, .print = string_print, .equal = string_equal, .clear = string_clear
};

/* Kept as written; who runs checks takes it apart again. */
static bool probe_text_parse(const struct option *option, const char *text, void *field,
			     struct error *e)
{
	struct probe probe;

	if (!probe_parse(text, &probe, e))
		return false;
	probe_free(&probe);
	return string_parse(option, text, field, e);
}

const struct option_type_ops option_type_PROBE = { .parse = probe_text_parse,
						   .print = string_print,
						   .equal = string_equal,
						   .clear = string_clear };

static bool strings_parse(const struct option *option, const char *text, void *field,
			  struct error *e)
{
	struct string_list *list = field;

	(void)option;
	(void)e;
	list->items = option_list_grown(list->items, list->count, sizeof *list->items);
	list->items[list->count++] = option_text_copy(text, strlen(text));
	return true;
}

static void strings_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	fputs(((const struct string_list *)field)->items[item], out);
}

static bool strings_equal(const void *a, const void *b)
{
	const struct string_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (strcmp(x->items[i], y->items[i]) != 0)
			return false;
	return true;
}

static void strings_clear(void *field)
{
	struct string_list *list = field;

	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct string_list){ 0 };
}

static size_t strings_count(const void *field)
{
	return ((const struct string_list *)field)->count;
}

const struct option_type_ops option_type_STRINGS = { .parse = strings_parse,
						     .print = strings_print,
						     .equal = strings_equal,
						     .clear = strings_clear,
						     .count = strings_count };

static bool addresses_parse(const struct option *option, const char *text, void *field,
			    struct error *e)
{
	struct address_list *list = field;
	struct address address;

	(void)option;
	if (!address_parse(text, &address, e))
		return false;
	list->items = option_list_grown(list->items, list->count, sizeof *list->items);
	list->items[list->count++] = address;
	return true;
}

static void addresses_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	char text[ADDRESS_TEXT];

	(void)option;
	fputs(address_print(&((const struct address_list *)field)->items[item], text), out);
}

static bool addresses_equal(const void *a, const void *b)
{
	const struct address_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (!address_equal(&x->items[i], &y->items[i]))
			return false;
	return true;
}

static void addresses_clear(void *field)
{
	struct address_list *list = field;

	free(list->items);
	*list = (struct address_list){ 0 };
}

static size_t addresses_count(const void *field)
{
	return ((const struct address_list *)field)->count;
}

const struct option_type_ops option_type_ADDRESSES = { .parse = addresses_parse,
						       .print = addresses_print,
						       .equal = addresses_equal,
						       .clear = addresses_clear,
						       .count = addresses_count };

/* Calls `on_word` for each word of the text until one says no. */
static bool each_word(const char *text, void *list, struct error *e,
		      bool (*on_word)(const char *word, void *list, struct error *e))
{
	size_t length;
	bool good = true;

	for (text += strspn(text, BLANKS); good && *text; text += strspn(text, BLANKS)) {
		char *word;

		length = strcspn(text, BLANKS);
		word = option_text_copy(text, length);
		good = on_word(word, list, e);
		free(word);
		text += length;
	}
	return good;
}

static bool on_cidr(const char *word, void *field, struct error *e)
{
	struct cidr_list *list = field;
	struct cidr cidr;

	if (!cidr_parse(word, &cidr, e))
		return false;
	list->items = option_list_grown(list->items, list->count, sizeof *list->items);
	list->items[list->count++] = cidr;
	return true;
}

static bool cidrs_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	(void)option;
	return each_word(text, field, e, on_cidr);
}

static void cidrs_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	char text[ADDRESS_TEXT];

	(void)option;
	fputs(cidr_print(&((const struct cidr_list *)field)->items[item], text), out);
}

static bool cidrs_equal(const void *a, const void *b)
{
	const struct cidr_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (x->items[i].bits != y->items[i].bits ||
		    memcmp(x->items[i].bytes, y->items[i].bytes, sizeof x->items[i].bytes) != 0)
			return false;
	return true;
}

static void cidrs_clear(void *field)
{
	struct cidr_list *list = field;

	free(list->items);
	*list = (struct cidr_list){ 0 };
}

static size_t cidrs_count(const void *field)
{
	return ((const struct cidr_list *)field)->count;
}

const struct option_type_ops option_type_CIDRS = { .parse = cidrs_parse,
						   .print = cidrs_print,
						   .equal = cidrs_equal,
						   .clear = cidrs_clear,
						   .count = cidrs_count };
