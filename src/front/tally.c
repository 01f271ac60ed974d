/* Why: one flat array serves the census for years, so entries must go as cleanly as they come:
 * removing shifts the followers back instead of leaving tombstones that slow every later search.
 * Source: Knuth, The Art of Computer Programming 3, 6.4, algorithm R. SPDX-License-Identifier: ISC
 */
#include <stdlib.h>

#include "base/log.h"
#include "front/tally.h"

#define TALLY_SMALLEST 64u

/* Fibonacci hashing: cookies are counted up by the kernel, neighbours must not stay neighbours of
 * the keys that another CPU counts up. */
static size_t home_of(const struct tally *tally, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (tally->size - 1);
}

/* The place of the key, or the free one where it belongs. */
static size_t place_of(const struct tally *tally, uint64_t key)
{
	size_t place = home_of(tally, key);

	while (tally->entries[place].key != 0 && tally->entries[place].key != key)
		place = (place + 1) & (tally->size - 1);
	return place;
}

static void resize(struct tally *tally, size_t size)
{
	struct tally old = *tally;

	tally->entries = calloc(size, sizeof *tally->entries);
	if (!tally->entries)
		fatal("out of memory");
	tally->size = size;
	for (size_t i = 0; i < old.size; i++)
		if (old.entries[i].key != 0)
			tally->entries[place_of(tally, old.entries[i].key)] = old.entries[i];
	free(old.entries);
}

struct tally_entry *tally_find(const struct tally *tally, uint64_t key)
{
	struct tally_entry *entry;

	if (tally->size == 0)
		return NULL;
	entry = &tally->entries[place_of(tally, key)];
	return entry->key ? entry : NULL;
}

struct tally_entry *tally_add(struct tally *tally, uint64_t key)
{
	struct tally_entry *entry = tally_find(tally, key);

	if (entry)
		return entry;
	if (tally->size == 0)
		resize(tally, TALLY_SMALLEST);
	else if (tally->count >= tally->size / 8 * 5)
		resize(tally, tally->size * 2);
	entry = &tally->entries[place_of(tally, key)];
	*entry = (struct tally_entry){ .key = key };
	tally->count++;
	return entry;
}

/* A follower may fill the hole unless its home lies behind the hole. */
static bool may_move(const struct tally *tally, size_t hole, size_t place)
{
	const size_t home = home_of(tally, tally->entries[place].key);
	const size_t mask = tally->size - 1;

	return ((place - home) & mask) >= ((place - hole) & mask);
}

void tally_remove(struct tally *tally, struct tally_entry *entry)
{
	const size_t mask = tally->size - 1;
	size_t hole = (size_t)(entry - tally->entries);
	size_t place = hole;

	for (;;) {
		place = (place + 1) & mask;
		if (tally->entries[place].key == 0)
			break;
		if (!may_move(tally, hole, place))
			continue;
		tally->entries[hole] = tally->entries[place];
		hole = place;
	}
	tally->entries[hole] = (struct tally_entry){ 0 };
	tally->count--;
}

void tally_trim(struct tally *tally)
{
	size_t size = tally->size;

	while (size > TALLY_SMALLEST && tally->count < size / 8)
		size /= 2;
	if (size != tally->size)
		resize(tally, size);
}

void tally_free(struct tally *tally)
{
	free(tally->entries);
	*tally = (struct tally){ 0 };
}
