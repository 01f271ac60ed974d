/* Why: a client that resumes its TLS session may come to any relay, also to one that was started
 * after a crash: the keys of the tickets are made and kept here, and nowhere on disk. Source: RFC
 * 5077 4, RFC 8446 4.6.1. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_TICKETS_H
#define SUPERVISOR_TICKETS_H

#include <stdbool.h>

struct role_process;
struct supervisor;
struct tickets;

/* NULL where no listener has tls. New keys come every ticket_rotation. */
struct tickets *tickets_new(struct supervisor *supervisor);
void tickets_free(struct tickets **tickets); /* wipes them */

/* A fresh role gets the present keys if it needs them. `tickets` may be NULL. */
void tickets_introduce(const struct tickets *tickets, struct role_process *role);

/* The next key: it encrypts from now on, and the two before it are still taken. */
void tickets_rotate(struct tickets *tickets);

#endif
