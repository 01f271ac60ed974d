/* Why: the process that touches clients' bytes: TLS ends here, and what workers and servers listen
 * for by themselves is relayed from here. There is one per core, each with its own listening
 * sockets; it may die at any time, and then only its own relayed connections end.
 *
 *   TOLD ──GO──► SERVING ──DRAIN──► DRAINING (no new clients; streams go on until they end or the
 *                     │              supervisor's deadline)
 *                     └─supervisor is gone─► ORPHANED ──no stream left, or drain_timeout──► exit
 *
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

/* Runs the role until its end; the exit code of the process. */
int relay_run(void);

#endif
