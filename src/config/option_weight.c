/* Why: weights are the one type with a small grammar of its own: a number for all slots, or
 * slot:number pairs, or both. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/option_type.h"

#define BLANKS     " \t"
#define SLOTS_MOST 1024

/* Plain decimals; what strtod takes beyond that (hex, inf, nan) is no weight. */
static bool value_parse(const char *text, const struct option *option, double *value_r)
{
	char *end;

	if (*text < '0' || *text > '9' || text[strspn(text, "0123456789.e-+")])
		return false;
	*value_r = strtod(text, &end);
	return *end == '\0' && *value_r >= (double)option->min && *value_r <= (double)option->max;
}

static bool slot_parse(const char *text, size_t length, size_t *slot_r)
{
	if (length == 0 || length > 4 || strspn(text, "0123456789") < length)
		return false;
	*slot_r = strtoul(text, NULL, 10);
	return *slot_r < SLOTS_MOST;
}

static bool weight_add(struct weight_list *list, struct weight weight, struct error *e)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].slot != weight.slot)
			continue;
		if (weight.slot == SIZE_MAX)
			return error_set(e, "two weights for all slots; write slot:number pairs");
		return error_set(e, "slot %zu has two weights", weight.slot);
	}
	list->items = reallocarray(list->items, list->count + 1, sizeof *list->items);
	if (!list->items)
		fatal("no memory for the configuration");
	list->items[list->count++] = weight;
	return true;
}

static bool word_parse(const struct option *option, const char *word, struct weight_list *list,
		       struct error *e)
{
	struct weight weight = { .slot = SIZE_MAX };
	const char *colon = strchr(word, ':');

	if (colon && !slot_parse(word, (size_t)(colon - word), &weight.slot))
		return error_set(e, "\"%.80s\" names no slot; slots are 0 to %d", word,
				 SLOTS_MOST - 1);
	if (!value_parse(colon ? colon + 1 : word, option, &weight.value))
		return false;
	return weight_add(list, weight, e);
}

static bool weights_parse(const struct option *option, const char *text, void *field,
			  struct error *e)
{
	bool good = true;

	for (text += strspn(text, BLANKS); good && *text; text += strspn(text, BLANKS)) {
		size_t length = strcspn(text, BLANKS);
		char *word = strndup(text, length);

		if (!word)
			fatal("no memory for the configuration");
		good = word_parse(option, word, field, e);
		free(word);
		text += length;
	}
	return good;
}

/* The shortest text that reads back as the same number. */
static void value_print(double value, FILE *out)
{
	char text[32];
	int digits = 1;

	do
		snprintf(text, sizeof text, "%.*g", digits, value);
	while (strtod(text, NULL) != value && digits++ < 17);
	fputs(text, out);
}

static void weights_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	const struct weight_list *list = field;

	(void)option;
	(void)item;
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			fputc(' ', out);
		if (list->items[i].slot != SIZE_MAX)
			fprintf(out, "%zu:", list->items[i].slot);
		value_print(list->items[i].value, out);
	}
}

static bool weights_equal(const void *a, const void *b)
{
	const struct weight_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (x->items[i].slot != y->items[i].slot || x->items[i].value != y->items[i].value)
			return false;
	return true;
}

static void weights_clear(void *field)
{
	struct weight_list *list = field;

	free(list->items);
	*list = (struct weight_list){ 0 };
}

/* All weights stand in one line. */
static size_t weights_count(const void *field)
{
	return ((const struct weight_list *)field)->count > 0;
}

static void weights_print_limit(const struct option *option, int64_t limit, FILE *out)
{
	(void)option;
	fprintf(out, "%lld", (long long)limit);
}

const struct option_type_ops option_type_WEIGHTS = { .parse = weights_parse,
						     .print = weights_print,
						     .equal = weights_equal,
						     .clear = weights_clear,
						     .count = weights_count,
						     .print_limit = weights_print_limit };
