/* Why: rendezvous.h. SPDX-License-Identifier: ISC */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "base/rendezvous.h"

uint64_t rendezvous_name(const char *name, uint64_t seed)
{
	return XXH3_64bits_withSeed(name, strlen(name), seed);
}

/* The finaliser of splitmix64: each bit in turns half of the bits out. It works on values, not on
 * bytes in memory, so that machines of either byte order decide alike. */
static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* -w / ln(u), u uniform in (0, 1): the greatest of them is candidate i with probability
 * w_i / sum(w), and changing one weight moves no client between two others. */
static double score(uint64_t key, const struct rendezvous *candidate)
{
	uint64_t hash = mix(key ^ mix(candidate->name_hash));
	double u = ((double)(hash >> 11) + 0.5) * 0x1p-53;

	return -candidate->weight / log(u);
}

size_t rendezvous_choose(uint64_t key, const struct rendezvous *candidates, size_t count,
			 const bool *skip)
{
	size_t best = RENDEZVOUS_NONE;
	double best_score = 0;

	for (size_t i = 0; i < count; i++) {
		double mine;

		if ((skip && skip[i]) || !(candidates[i].weight > 0))
			continue;
		mine = score(key, &candidates[i]);
		if (best == RENDEZVOUS_NONE || mine > best_score ||
		    (mine == best_score && candidates[i].name_hash < candidates[best].name_hash)) {
			best = i;
			best_score = mine;
		}
	}
	return best;
}
