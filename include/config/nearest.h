/* Why: whoever mistypes a name is told which one he meant.
 * Source: optimal string alignment distance (Damerau 1964). SPDX-License-Identifier: ISC */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

/* Offer each known name; `best` is then the nearest, or NULL where none is near. Nothing is copied.
 */
struct nearest {
	const char *wanted;
	const char *best;
	unsigned distance;
};

struct nearest nearest_begin(const char *wanted);
void nearest_offer(struct nearest *nearest, const char *name);

#endif
