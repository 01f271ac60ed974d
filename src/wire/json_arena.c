/* Why: see the header. SPDX-License-Identifier: ISC */
#include "wire/json_arena.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"

/* An acknowledgement needs about 1 KiB, a query 4 KiB; longer lines (user messages) spill over into
 * malloc. */
#define ARENA_SIZE (64u << 10)
#define ALIGNMENT  16u

static struct {
	_Alignas(ALIGNMENT) char bytes[ARENA_SIZE];
	size_t used;
	bool open;
} arena;

static void *arena_take(size_t size)
{
	size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	void *bytes;

	if (arena.open && rounded >= size && rounded <= sizeof arena.bytes - arena.used) {
		bytes = arena.bytes + arena.used;
		arena.used += rounded;
		return bytes;
	}
	bytes = malloc(size);
	if (!bytes)
		fatal("out of memory");
	return bytes;
}

void json_arena_give(void *bytes)
{
	const char *at = bytes;

	if (at < arena.bytes || at >= arena.bytes + sizeof arena.bytes)
		free(bytes);
}

void json_arena_open(void)
{
	static bool is_installed;

	if (!is_installed)
		json_set_alloc_funcs(arena_take, json_arena_give);
	is_installed = true;
	arena.used = 0;
	arena.open = true;
}

void json_arena_close(void)
{
	arena.open = false;
}
