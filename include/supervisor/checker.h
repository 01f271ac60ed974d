/* Why: `check = exec` runs a program of the user's to find out whether a slot is well. Starting
 * programs is this process's business; what it found goes to the relays like the checks of relay 0.
 * Only slots that could take clients are checked: ready workers, and servers that are there.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_CHECKER_H
#define SUPERVISOR_CHECKER_H

#include <stdbool.h>
#include <sys/types.h>

struct checker;
struct supervisor;

/* NULL where no pool asks for it. */
struct checker *checker_new(struct supervisor *supervisor);
void checker_free(struct checker **checker); /* kills what still runs */

/* Is this process a check of ours? */
bool checker_owns(const struct checker *checker, pid_t pid);

/* Rise and fall, apart from everything else: one more result of a slot that is good or not. true:
 * it changed its mind. `streak` counts results in a row that speak against what is believed. */
bool checker_count(bool *is_good, unsigned *streak, bool result, unsigned rise, unsigned fall);

#endif
