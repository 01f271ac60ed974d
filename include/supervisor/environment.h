/* Why: a worker's environment is made, not inherited by chance: what leaks in or out here is a
 * fault (FAULTS 102). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_ENVIRONMENT_H
#define SUPERVISOR_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* NULL-terminated "NAME=value" array; every item is ours. Zero-initialised = empty. */
struct environment {
	char **items;
	size_t count;
};

void environment_set(struct environment *environment, const char *name, const char *value);
void environment_setf(struct environment *environment, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void environment_put(struct environment *environment, const char *assignment); /* "NAME=value" */
void environment_remove(struct environment *environment, const char *name);
const char *environment_get(const struct environment *environment, const char *name);
/* All of `from`, or with `only` (NULL-terminated names) just those. */
void environment_inherit(struct environment *environment, char *const *from,
			 const char *const *only);
void environment_free(struct environment *environment);

#endif
