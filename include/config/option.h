/* Why: the option tables as data: whoever parses, prints, compares or documents options loops over
 * these rows and knows none of them by name. Made from option_table.h and option_type_table.h.
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "config/option_type_table.h"

#define OPTION_ENUM(type, ctype, expected) OPTION_##type,
enum option_type {
	OPTION_TYPES(OPTION_ENUM) OPTION_TYPE_COUNT
};
#undef OPTION_ENUM

enum option_reload {
	RELOAD_LIVE,
	RELOAD_RESTART,
	RELOAD_FIXED
};

/* The word lists of the CHOICE rows; the words are in option_number.c. */
enum option_words {
	LOG_LEVELS,
	LOG_FORMATS,
	DELIVERIES,
	READINESSES,
	ON_DOWNS,
	PROXY_PROTOCOLS,
	SEND_PROXIES,
	TLS_PLACES,
	TLS_POLICIES,
	TLS_VERSIONS,
	TLS_VERIFIES
};

struct option {
	enum option_type type;
	const char *name;
	const char *standard; /* as it would stand in the file; NULL: must be given */
	int64_t min, max;     /* CHOICE: min is an enum option_words */
	enum option_reload reload;
	const char *help;
	size_t offset; /* of the field in its struct */
};

enum section_kind {
	SECTION_LIMPET,
	SECTION_LISTEN,
	SECTION_POOL,
	SECTION_TLS,
	SECTION_KINDS
};

/* One table per kind of section; `object` below is a struct limpet_config, listen_config,
 * pool_config, tls_config. */
struct option_table {
	const char *section; /* "limpet", "listen", "pool", "tls" */
	bool named;          /* [pool:NAME] */
	const struct option *rows;
	size_t count;
};
extern const struct option_table option_tables[SECTION_KINDS];

const struct option *option_find(const struct option_table *table, const char *name);
static inline size_t option_index(const struct option_table *table, const struct option *option)
{
	return (size_t)(option - table->rows);
}

/* Every field gets its default (of zeroed memory), or gives back what it owns. */
void option_begin_all(const struct option_table *table, void *object);
void option_end_all(const struct option_table *table, void *object);

/* A list keeps what it has and gets the new items behind it where `append`. The sentence names the
 * option. "" puts a list back to its default, and is a value where the default is "". */
bool option_set(const struct option *option, void *object, const char *value, bool append,
		struct error *e);
bool option_is_list(const struct option *option);
bool option_is_empty(const struct option *option, const void *object); /* "" or an empty list */
bool option_equal(const struct option *option, const void *a, const void *b);

/* "name = value" lines, as many as the list has items; an empty list is one empty assignment. */
void option_print(const struct option *option, const void *object, FILE *out);

/* The default; or, of what has none and of command, what could stand there. */
const char *option_example(const struct option *option);

/* "a whole number (1 to 65535)". */
void option_print_expected(const struct option *option, FILE *out);

#endif
