/* Why: nearest.h. SPDX-License-Identifier: ISC */
#include <limits.h>
#include <string.h>

#include "config/nearest.h"

#define NAME_MOST 64

struct nearest nearest_begin(const char *wanted)
{
	return (struct nearest){ .wanted = wanted, .distance = UINT_MAX };
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours; three rows of the table are enough.
 */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned rows[3][NAME_MOST + 1];

	for (unsigned j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3],
			 *before = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

/* Near: a third of the letters may be wrong, one at least; or one name begins with the other. */
void nearest_offer(struct nearest *nearest, const char *name)
{
	size_t wanted = strlen(nearest->wanted), length = strlen(name);
	size_t shorter = wanted < length ? wanted : length;
	unsigned found;

	if (wanted == 0 || wanted > NAME_MOST || length > NAME_MOST)
		return;
	found = distance(nearest->wanted, wanted, name, length);
	if (found > (length < 6 ? 1 : length / 3) &&
	    !(shorter >= 3 && strncmp(nearest->wanted, name, shorter) == 0))
		return;
	if (found < nearest->distance) {
		nearest->distance = found;
		nearest->best = name;
	}
}
