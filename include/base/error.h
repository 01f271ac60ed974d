/* Why: a function that finds a fault writes the sentence where the facts are known; its caller
 * decides what becomes of it. One struct, one formatter, no error codes to translate.
 * SPDX-License-Identifier: ISC */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* A sentence for a person, without a trailing full stop or newline. Empty text: no error. */
struct error {
	char text[1024];
};

static inline void __attribute__((format(printf, 2, 3)))
error_write(struct error *e, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(e->text, sizeof e->text, format, ap);
	va_end(ap);
}

static inline bool error_false(void)
{
	return false;
}

/* Formats the sentence; a longer one is cut. Always false, so that a function can end with
 * `return error_set(e, ...)`; a macro, so that compilers and analysers know that it is. */
#define error_set(e, ...) (error_write(e, __VA_ARGS__), error_false())

#endif
