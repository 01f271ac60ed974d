/* Why: option.h. Of the option tables only two expansions are made, the fields (config.h) and the
 * rows (here); everything else loops. SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/ini.h"
#include "config/option_type.h"

#define TYPE_OPS(type, ctype, expected)      [OPTION_##type] = &option_type_##type,
#define TYPE_EXPECTED(type, ctype, expected) [OPTION_##type] = expected,
static const struct option_type_ops *const types[] = { OPTION_TYPES(TYPE_OPS) };
static const char *const expected[] = { OPTION_TYPES(TYPE_EXPECTED) };

#define OPTION_ROW(object, type, name, standard, min, max, reload, help)                           \
	{ OPTION_##type, #name,           standard, min,                                           \
	  max,           RELOAD_##reload, help,     offsetof(struct object, name) },
#define LIMPET_ROW(...) OPTION_ROW(limpet_config, __VA_ARGS__)
#define LISTEN_ROW(...) OPTION_ROW(listen_config, __VA_ARGS__)
#define POOL_ROW(...)   OPTION_ROW(pool_config, __VA_ARGS__)
#define TLS_ROW(...)    OPTION_ROW(tls_config, __VA_ARGS__)
static const struct option limpet_rows[] = { LIMPET_OPTIONS(LIMPET_ROW) };
static const struct option listen_rows[] = { LISTEN_OPTIONS(LISTEN_ROW) };
static const struct option pool_rows[] = { POOL_OPTIONS(POOL_ROW) };
static const struct option tls_rows[] = { TLS_OPTIONS(TLS_ROW) };

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
const struct option_table option_tables[SECTION_KINDS] = {
	[SECTION_LIMPET] = { "limpet", false, limpet_rows, COUNT(limpet_rows) },
	[SECTION_LISTEN] = { "listen", true, listen_rows, COUNT(listen_rows) },
	[SECTION_POOL] = { "pool", true, pool_rows, COUNT(pool_rows) },
	[SECTION_TLS] = { "tls", true, tls_rows, COUNT(tls_rows) },
};

const struct option *option_find(const struct option_table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->rows[i].name, name) == 0)
			return &table->rows[i];
	return NULL;
}

static void *field_of(const struct option *option, void *object)
{
	return (char *)object + option->offset;
}

static const void *const_field_of(const struct option *option, const void *object)
{
	return (const char *)object + option->offset;
}

static void option_clear(const struct option *option, void *object)
{
	if (types[option->type]->clear)
		types[option->type]->clear(field_of(option, object));
}

/* A default that its own type refuses is a fault of ours, found by the first start of any test. */
static void option_begin(const struct option *option, void *object)
{
	const char *standard = option->standard ? option->standard : "";
	struct error e = { .text = "" };

	option_clear(option, object);
	if (*standard == '\0' && option_is_list(option))
		return;
	if (!types[option->type]->parse(option, standard, field_of(option, object), &e))
		fatal("option %s has the bad default \"%s\" %s", option->name, standard, e.text);
}

void option_begin_all(const struct option_table *table, void *object)
{
	for (size_t i = 0; i < table->count; i++)
		option_begin(&table->rows[i], object);
}

void option_end_all(const struct option_table *table, void *object)
{
	for (size_t i = 0; i < table->count; i++)
		option_clear(&table->rows[i], object);
}

bool option_is_list(const struct option *option)
{
	return types[option->type]->count != NULL;
}

const char *option_example(const struct option *option)
{
	if (option->type == OPTION_COMMAND)
		return "node app.js";
	return option->standard ? option->standard : ":3000";
}

static void print_words(const struct option *option, FILE *out)
{
	const char *const *words = option_words(option);

	for (size_t i = 0; words[i]; i++)
		fprintf(out, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
}

void option_print_expected(const struct option *option, FILE *out)
{
	const struct option_type_ops *type = types[option->type];

	if (option->type == OPTION_CHOICE) {
		print_words(option, out);
		return;
	}
	fputs(expected[option->type], out);
	if (!type->print_limit || (option->min == 0 && option->max == 0))
		return;
	fputs(" (", out);
	type->print_limit(option, option->min, out);
	fputs(" to ", out);
	type->print_limit(option, option->max, out);
	fputs(")", out);
}

static bool error_expected(const struct option *option, const char *value, struct error *e)
{
	FILE *out = fmemopen(e->text, sizeof e->text, "w");

	if (!out)
		fatal("no memory for a message");
	fprintf(out, "%s: expected ", option->name);
	option_print_expected(option, out);
	if (*value)
		fprintf(out, ", not \"%.80s\"", value);
	fclose(out);
	return false;
}

static bool error_named(const struct option *option, struct error *e)
{
	struct error sentence = *e;

	return error_set(e, "%s: %.900s", option->name, sentence.text);
}

bool option_set(const struct option *option, void *object, const char *value, bool append,
		struct error *e)
{
	const struct option_type_ops *type = types[option->type];

	e->text[0] = '\0';
	if (!ini_value_check(value, e))
		return error_named(option, e);
	if (*value == '\0' && option_is_list(option)) {
		option_begin(option, object);
		return true;
	}
	if (*value == '\0' && (!option->standard || *option->standard))
		return error_expected(option, value, e);
	if (option_is_list(option) && !append)
		option_clear(option, object);
	if (type->parse(option, value, field_of(option, object), e))
		return true;
	return e->text[0] ? error_named(option, e) : error_expected(option, value, e);
}

bool option_is_empty(const struct option *option, const void *object)
{
	const struct option_type_ops *type = types[option->type];
	const void *field = const_field_of(option, object);

	if (type->count)
		return type->count(field) == 0;
	return (option->type == OPTION_STRING || option->type == OPTION_COMMAND) &&
	       **(char *const *)field == '\0';
}

bool option_equal(const struct option *option, const void *a, const void *b)
{
	return types[option->type]->equal(const_field_of(option, a), const_field_of(option, b));
}

static void print_item(const struct option *option, const void *object, size_t item, FILE *out)
{
	char *value = NULL;
	size_t length;
	FILE *text = open_memstream(&value, &length);

	if (!text)
		fatal("no memory for the configuration");
	types[option->type]->print(option, const_field_of(option, object), item, text);
	fclose(text);
	fprintf(out, "%s =%s", option->name, length > 0 ? " " : "");
	ini_print_value(value, out);
	fputc('\n', out);
	free(value);
}

void option_print(const struct option *option, const void *object, FILE *out)
{
	const struct option_type_ops *type = types[option->type];
	size_t count = type->count ? type->count(const_field_of(option, object)) : 1;

	if (count == 0)
		fprintf(out, "%s =\n", option->name);
	for (size_t i = 0; i < count; i++)
		print_item(option, object, i, out);
}
