/* Why: "address in use" is only half an answer; the other half is by whom.
 * Source: proc(5) (/proc/net/tcp, tcp6, unix; /proc/PID/fd). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_PORT_OWNER_H
#define SUPERVISOR_PORT_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* "node (pid 123)" of a process that listens on an address that collides with this one; false where
 * none is found or may be seen. */
bool port_owner(const struct address *address, char *out, size_t size);

#endif
