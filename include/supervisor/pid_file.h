/* Why: one instance per pid file, told by a lock and not by a number. Source: flock(2).
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_PID_FILE_H
#define SUPERVISOR_PID_FILE_H

#include <stdbool.h>

#include "base/error.h"

/* Creates (0644, O_NOFOLLOW), locks and writes it; refuses where another instance holds the lock,
 * naming its pid.
 * "" does nothing. */
bool pid_file_take(const char *path, struct error *e);
void pid_file_drop(void); /* removes what pid_file_take made */

#endif
