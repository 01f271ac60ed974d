/* Why: key -> slot so that a slot that goes moves only its own clients, that they return with it,
 * and that every machine with the same seed and names decides alike. Source: Thaler, Ravishankar: A
 * Name-Based Mapping Scheme for Rendezvous, 1996 (highest random weight); weights by -w/ln(h).
 * SPDX-License-Identifier: ISC */
#ifndef BASE_RENDEZVOUS_H
#define BASE_RENDEZVOUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A candidate. `name_hash` comes from rendezvous_name(), weight 0 never wins. */
struct rendezvous {
	uint64_t name_hash;
	double weight;
};

#define RENDEZVOUS_NONE SIZE_MAX

uint64_t rendezvous_name(const char *name, uint64_t seed);

/* The best candidate for which skip[i] is false (skip may be NULL), RENDEZVOUS_NONE if there is
 * none. Calling it again with the winner skipped walks the ranking, which is the fail-over order.
 * O(count), no allocation. Ties go to the lower name_hash. */
size_t rendezvous_choose(uint64_t key, const struct rendezvous *candidates, size_t count,
			 const bool *skip);

#endif
