/* Why: the census asks two questions of a hundred thousand sockets, "is this one ours?" and "how
 * many has this address?", for every socket that ends on the machine. Both are a table from one
 * 64-bit number to another; this is that table, without a call to the allocator per entry.
 * SPDX-License-Identifier: ISC */
#ifndef FRONT_TALLY_H
#define FRONT_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is never 0. */
struct tally_entry {
	uint64_t key;
	uint64_t value;
	uint32_t mark; /* the caller's, 0 at first */
	bool is_dead;  /* the caller's, false at first */
};

/* Zero-initialised = empty. Open addressing with linear probing, at most 5/8 full. */
struct tally {
	struct tally_entry *entries;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

/* NULL where there is none. Entries stay where they are until the next tally_add or tally_remove.
 */
struct tally_entry *tally_find(const struct tally *tally, uint64_t key);

/* The entry of the key, a fresh one (value 0) where there was none. */
struct tally_entry *tally_add(struct tally *tally, uint64_t key);

/* Takes an entry of this table. The one that follows may move into its place: a loop over `entries`
 * that removes looks at the same place again. Memory shrinks with the entries, but never inside
 * tally_remove: see tally_trim. */
void tally_remove(struct tally *tally, struct tally_entry *entry);

/* Gives back memory that a few entries no longer need. */
void tally_trim(struct tally *tally);
void tally_free(struct tally *tally);

#endif
