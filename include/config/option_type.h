/* Why: what a type of option can do. Each type of option_type_table.h has one constant of this
 * struct, next to its functions: a new type is one row there and one constant.
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_OPTION_TYPE_H
#define CONFIG_OPTION_TYPE_H

#include "config/option.h"

struct option_type_ops {
	/* Sets or, for lists, adds. The field keeps its value on error. The sentence says what is
	 * wrong beyond "expected ..., not ..."; left empty, that is what is said. */
	bool (*parse)(const struct option *option, const char *text, void *field, struct error *e);
	/* The text that parse reads; item counts from 0, for lists with `count` only. */
	void (*print)(const struct option *option, const void *field, size_t item, FILE *out);
	bool (*equal)(const void *a, const void *b);
	/* NULL: nothing is owned. Leaves zeroed memory. */
	void (*clear)(void *field);
	/* NULL: no list. Number of assignments that print this list. */
	size_t (*count)(const void *field);
	/* Of a number, for "(1 to 65535)"; NULL: no range is told. */
	void (*print_limit)(const struct option *option, int64_t limit, FILE *out);
};

#define OPTION_TYPE_OPS(type, ctype, expected)                                                     \
	extern const struct option_type_ops option_type_##type;
OPTION_TYPES(OPTION_TYPE_OPS)
#undef OPTION_TYPE_OPS

/* For types that own memory; they do not return without it. list_grown gives room for one item
 * more.
 */
char *option_text_copy(const char *text, size_t length);
void *option_list_grown(void *items, size_t count, size_t size);

/* The words of a CHOICE row, NULL at the end. */
const char *const *option_words(const struct option *option);

#endif
