/* Why: a handed-over connection lives in a worker, yet max_connections and max_per_client must
 * count it. The kernel tells of every TCP socket that ends (NETLINK_SOCK_DIAG,
 * SKNLGRP_INET_TCP_DESTROY and INET6, no privilege needed); a dump of the port's sockets starts the
 * count, and repairs it after a lost event (ENOBUFS) or a restart of this process. Only listeners
 * with such a limit have a census; others cost nothing. Where the kernel refuses, only clients in
 * our hands are counted, and one warning says so. UNIX listeners have no census: only clients in
 * our hands count. Source: sock_diag(7), linux/inet_diag.h. SPDX-License-Identifier: ISC */
#ifndef FRONT_CENSUS_H
#define FRONT_CENSUS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct census;

/* Called when a count fell: a paused listener may go on. */
typedef void census_handler(void *arg);

/* Counts the connections of the listener bound to `local` (a TCP address with its port). */
struct census *census_new(struct event_base *base, const struct address *local,
			  census_handler *handler, void *arg);

/* Counts what is entered and leaves, and never asks the kernel: for listeners whose clients stay
 * with us to their end, and whose port is shared with other processes (relays). */
struct census *census_new_own(void);
void census_free(struct census **census);

/* One more address of the same listener: counted in the same sum. */
void census_add(struct census *census, const struct address *local);

/* The kernel tells of the end of handed-over clients. Where it does not, the caller lets every
 * client leave that leaves our hands. */
bool census_follows(const struct census *census);

/* One more client was accepted / one ended in our hands, before any worker had it (its socket is
 * closed by us: the kernel's event will come too, and must not count twice; the socket's SO_COOKIE
 * tells them apart). */
void census_enter(struct census *census, const struct peer *peer, int fd);
void census_leave(struct census *census, const struct peer *peer, int fd);

size_t census_total(const struct census *census);
size_t census_of(const struct census *census,
		 const struct peer *peer); /* by address: v4, or v6 /64 */

#endif
