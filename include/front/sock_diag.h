/* Why: what the kernel says about TCP sockets comes in netlink's own wire format; whoever counts
 * them should see sockets, not message headers. Needs no privilege. Both descriptors are
 * non-blocking. Source: sock_diag(7), netlink(7), linux/inet_diag.h. SPDX-License-Identifier: ISC
 */
#ifndef FRONT_SOCK_DIAG_H
#define FRONT_SOCK_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* A connection that a process has open. `cookie` is the kernel's number of it, never 0 and never
 * used again (SO_COOKIE). */
struct sock_diag_row {
	uint64_t cookie;
	struct peer peer;
};
typedef void sock_diag_handler(const struct sock_diag_row *row, void *arg);

/* Descriptors of the caller; -1 with errno. */
int sock_diag_open_events(
	void); /* tells of every TCP socket that ends, in this network namespace */
int sock_diag_open_dump(void);

/* Asks for the connections accepted at `local` (IPv4 or IPv6, with its port). Not included: those
 * that wait in the backlog, and those that no process has open any more. The rows carry `number`.
 * -1 with errno. */
int sock_diag_ask(int fd, const struct address *local, uint32_t number);

enum sock_diag_answer {
	SOCK_DIAG_LATER, /* nothing to read now */
	SOCK_DIAG_MORE,
	SOCK_DIAG_END,    /* that were all */
	SOCK_DIAG_FAILED, /* errno */
};

/* Reads one portion of the answer to question `number`; rows of older questions are dropped. */
enum sock_diag_answer sock_diag_read(int fd, const struct address *local, uint32_t number,
				     sock_diag_handler *handler, void *arg);

/* Reads at most `size` cookies of sockets that ended. -1 with errno; ENOBUFS: some were lost. */
int sock_diag_read_events(int fd, uint64_t *cookies_r, size_t size);

#define SOCK_DIAG_EVENTS 64 /* the largest `size` */

/* The cookie of a socket of ours; 0 where the kernel has none. */
uint64_t sock_diag_cookie(int fd);

#endif
