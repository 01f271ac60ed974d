/* Why: the affinity hash has a secret seed, so that nobody can choose his worker, and it must be
 * the same after a restart, so that everybody finds his worker again. SPDX-License-Identifier: ISC
 */
#ifndef SUPERVISOR_SEED_H
#define SUPERVISOR_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Reads the file (16 hex digits and a newline), or creates it 0600 with fresh random (getrandom),
 * its directory (0700) included. Refused with a sentence: others can read or write it, not a
 * regular file, not ours or root's, not 16 hex digits. Never follows a symbolic link. Two first
 * starts at once agree (O_EXCL + link). */
bool seed_load(const char *path, uint64_t *seed_r, struct error *e);

#endif
