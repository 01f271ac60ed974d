/* Why: what workers print is captured line by line, marked with time and slot, and written where
 * Limpet's own lines go. A worker that floods pays itself: it is read at a bounded pace, then
 * blocks; nobody else waits for it, and a place that cannot be written to costs lines (counted),
 * never time. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_LOGS_H
#define SUPERVISOR_LOGS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Where lines go: standard error, or a file opened with O_APPEND|O_NOFOLLOW|O_CLOEXEC, 0640. For
 * pipes and terminals that are full, lines wait in a ring of 256 KiB; beyond that they are dropped
 * and counted, and the count is the next line that gets through. There is one per process. */
bool logs_open(struct event_base *base, const char *path,
	       struct error *e);   /* path "" : standard error */
bool logs_reopen(struct error *e); /* SIGUSR1; keeps the old file where the new cannot be opened */
void logs_close(void);             /* flushes for at most 200 ms */
/* Where lines go now, for a role that may have to write there without us; ours. */
int logs_fd(void);
void logs_write(const char *line, size_t length); /* whole lines */

/* Reads one pipe. Lines over 8 KiB are cut in pieces of that size; at most 64 KiB per turn of the
 * loop and 1 MiB per second are read from one tap (then it rests; the worker blocks). `verbatim`:
 * our own roles, whose lines are formatted already. */
struct log_tap;
struct log_tap *log_tap_new(struct event_base *base, int *fd, const char *subject,
			    const char *stream, bool verbatim);
/* Reads what is still in the pipe (bounded: 64 KiB), then closes. */
void log_tap_free(struct log_tap **tap);
int log_tap_fd(const struct log_tap *tap); /* for the warden; the tap keeps it */

#endif
