/* Why: which address of a name gets which slot is a decision, and must be the same dull one every
 * time: an address keeps its place while it is there, gets it back when it returns soon, and a new
 * one never takes a place that somebody may still come back to while another is free. No socket, no
 * clock, no log: numbers in, numbers out. SPDX-License-Identifier: ISC */
#ifndef RELAY_PLACES_H
#define RELAY_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "wire/message.h"

/* An address as an answer has it. */
struct place_found {
	struct address address;
	double weight;
};

/*   ABSENT ──new address──► PRESENT ──gone from the answer──► LEAVING ──back──► PRESENT
 *      ▲                                                         │
 *      └───────────────── keep_ms passed ────────────────────────┘
 *   A LEAVING place is also given to a new address (PRESENT) when nothing else is free. */
struct place {
	enum server_state state;
	struct address address; /* of ABSENT places: none */
	double weight;
	int64_t left_ms; /* since when LEAVING */
	bool is_changed; /* by the last assignment: to be told */
};

struct places_rule {
	int64_t now_ms;
	int64_t keep_ms; /* so long a LEAVING place waits for its address */
	bool is_partial; /* not all of the answer is known: nothing leaves */
};

/* Brings `places` to what was found; found addresses may repeat (the greatest weight counts), in
 * any order. Returns how many addresses got no place. `found` is sorted. */
size_t places_assign(struct place *places, size_t count, struct place_found *found,
		     size_t found_count, const struct places_rule *rule);

/* The same for a line that is one slot whatever its name resolves to: the present address stays
 * while it is among them, else the first IPv4 one (as everywhere in Limpet), else the first. */
void places_choose(struct place *place, const struct place_found *found, size_t found_count,
		   const struct places_rule *rule);

#endif
