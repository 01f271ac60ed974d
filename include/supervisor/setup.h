/* Why: what must be there before the first child: directories, seed, sockets, pages; in an order in
 * which a failure leaves nothing behind. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_SETUP_H
#define SUPERVISOR_SETUP_H

#include "supervisor/supervisor.h"

/* false with a sentence that says what to do; setup_undo then undoes what was done. */
bool setup_all(struct supervisor *supervisor, struct error *e);
void setup_undo(struct supervisor *supervisor);

/* No new clients: our copies of the listening sockets are closed. */
void setup_close_listeners(struct supervisor *supervisor);

/* "http://127.0.0.1:3000, unix:/run/x" of all listeners that accept. */
void setup_describe_listeners(const struct supervisor *supervisor, char *out, size_t size);

#endif
