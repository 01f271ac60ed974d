/* Why: `node --inspect app.js` in several workers would fight for one port; Node's own cluster
 * gives each worker the next one, and so do we. Source: Node's lib/internal/cluster/primary.js
 * (createWorkerProcess). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_NODE_INSPECTOR_H
#define SUPERVISOR_NODE_INSPECTOR_H

#include <stddef.h>

/* Where the options of the program turn the inspector on, slot i gets --inspect-port=port+i behind
 * them. *argv is NULL-terminated and may be reallocated. */
void node_inspector_spread(char ***argv, size_t slot);

#endif
