/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/environment.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static size_t name_length(const char *assignment)
{
	return strcspn(assignment, "=");
}

static char **find(const struct environment *e, const char *name, size_t length)
{
	for (size_t i = 0; i < e->count; i++) {
		if (name_length(e->items[i]) == length && memcmp(e->items[i], name, length) == 0)
			return &e->items[i];
	}
	return NULL;
}

/* Takes `item`, which replaces one of the same name. */
static void take(struct environment *e, char *item)
{
	char **old = find(e, item, name_length(item));

	if (old) {
		free(*old);
		*old = item;
		return;
	}
	e->items = reallocarray(e->items, e->count + 2, sizeof *e->items);
	if (!e->items)
		fatal("out of memory");
	e->items[e->count++] = item;
	e->items[e->count] = NULL;
}

void environment_put(struct environment *e, const char *assignment)
{
	char *item = strdup(assignment);

	if (!item)
		fatal("out of memory");
	take(e, item);
}

void environment_set(struct environment *e, const char *name, const char *value)
{
	char *item;

	if (asprintf(&item, "%s=%s", name, value) < 0)
		fatal("out of memory");
	take(e, item);
}

void environment_setf(struct environment *e, const char *name, const char *format, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(value, sizeof value, format, ap);
	va_end(ap);
	environment_set(e, name, value);
}

void environment_remove(struct environment *e, const char *name)
{
	char **item = find(e, name, strlen(name));

	if (!item)
		return;
	free(*item);
	*item = e->items[--e->count];
	e->items[e->count] = NULL;
}

const char *environment_get(const struct environment *e, const char *name)
{
	char **item = find(e, name, strlen(name));

	return item ? *item + strlen(name) + 1 : NULL;
}

static bool is_named(const char *assignment, const char *const *names)
{
	for (; *names; names++) {
		if (strlen(*names) == name_length(assignment) &&
		    strncmp(assignment, *names, name_length(assignment)) == 0)
			return true;
	}
	return false;
}

void environment_inherit(struct environment *e, char *const *from, const char *const *only)
{
	for (; *from; from++) {
		if (strchr(*from, '=') && (!only || is_named(*from, only)))
			environment_put(e, *from);
	}
}

void environment_free(struct environment *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->items[i]);
	free(e->items);
	*e = (struct environment){ .items = NULL };
}
