/* Why: the role that hands sockets over. It may die at any time: the supervisor keeps what matters
 * and tells it to the next one. SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_ACCEPTOR_H
#define ACCEPTOR_ACCEPTOR_H

/* Descriptors as wire/role.h says. Returns the exit code. */
int acceptor_run(void);

#endif
