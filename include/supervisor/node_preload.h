/* Why: Node workers whose clients come through a relay's TLS or behind a PROXY protocol header need
 * share/limpet/limpet-node.cjs, and those that end TLS by themselves the section of the
 * configuration too. Both reach them by their environment: an application is not to be changed.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_NODE_PRELOAD_H
#define SUPERVISOR_NODE_PRELOAD_H

#include "supervisor/environment.h"
#include "supervisor/worker.h"

/* For pools of delivery node to which such a listener leads; nothing for others. Called last, since
 * it appends to what the user says in NODE_OPTIONS.
 *   NODE_OPTIONS     ... --require=PATH
 *   LIMPET_PRELOAD   the word that was appended: the file takes it out again
 *   LIMPET_TLS       tls_at = worker: the [tls] sections as a JSON object by their names
 * What is wrong (the file is missing, the worker's user cannot read a key) is logged. */
void node_preload_environment(struct environment *environment, const struct worker *worker);

#endif
