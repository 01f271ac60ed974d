/* Why: several relays accept on one address, each on its own socket, so that none wakes another and
 * the backlog of one that dies waits for its successor. The kernel spreads clients over the sockets
 * by address and port, or, where limits count per client address, by address alone, so that one
 * process sees all of a client's connections. Source: socket(7) SO_REUSEPORT,
 * SO_ATTACH_REUSEPORT_CBPF. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_LISTENER_GROUP_H
#define SUPERVISOR_LISTENER_GROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* `first` is bound to `local` without SO_REUSEPORT, so that another program on the port has been
 * found by then, and does not listen. Makes `count` - 1 further sockets (fds_r) on the same address
 * and listens on all in their order, which is their index in the group. The kernel gives clients to
 * the sockets `by_client` address (IPv6: by /64). -1 with errno: fds_r are all -1. */
int listener_group_listen(int first, const struct address *local, bool v6only, unsigned backlog,
			  bool by_client, int *fds_r, size_t count);

#endif
