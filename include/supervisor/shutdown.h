/* Why: how Limpet ends, by whatever signal: acceptor and relays first (no new clients, none lost),
 * the workers next (they finish theirs), the roles last. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_SHUTDOWN_H
#define SUPERVISOR_SHUTDOWN_H

#include "supervisor/supervisor.h"

/* TERM: graceful within drain_timeout, a second one: now. INT: the same within interrupt_timeout.
 * QUIT: graceful without a deadline. USR1: opens the log file again. HUP: certificates are read
 * again.
 * CHLD: reaps orphans when we are pid 1. */
void shutdown_catch_signals(struct supervisor *supervisor);
void shutdown_forget_signals(struct supervisor *supervisor);

/* What shows only when the children run: the start has failed; ends with exit code 1. */
void shutdown_fail(struct supervisor *supervisor, const char *why);

void shutdown_enter(struct supervisor *supervisor);  /* a new state was entered */
void shutdown_review(struct supervisor *supervisor); /* a child changed while we are ending */

#endif
