/* Why: descriptors are what this program is about. Closing one twice closes somebody else's, and
 * passing one has ten traps; both live here and nowhere else.
 * Source: unix(7), cmsg(3), close_range(2). SPDX-License-Identifier: ISC */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes and sets -1; does nothing on -1. errno is kept. */
void fd_close(int *fd);

/* Moves a descriptor out of the owner's hand: returns it and leaves -1. */
int fd_take(int *fd);

/* 0, or -1 with errno. */
int fd_set_nonblocking(int fd);
int fd_set_cloexec(int fd, bool on);

/* A pair of non-blocking, close-on-exec sockets of `type` (SOCK_STREAM, SOCK_SEQPACKET). */
int fd_pair(int type, int pair[2]);

/* Sends one record with at most one descriptor (-1: none); the caller keeps its own copy.
 * Never blocks, never raises SIGPIPE. Returns bytes sent or -1 with errno (EAGAIN and
 * ETOOMANYREFS mean: later). */
ssize_t fd_send(int socket, const void *data, size_t length, int fd);

/* Receives one record and at most one descriptor; surplus descriptors are closed. *fd_r is -1 where
 * none came. *truncated_r tells that the kernel dropped a descriptor (MSG_CTRUNC: our table is
 * full) or cut the data. Returns like recvmsg(2). */
ssize_t fd_receive(int socket, void *data, size_t size, int *fd_r, bool *truncated_r);

/* The same, but descriptors are refused by the kernel: for peers that have no right to send any. A
 * record longer than `size` is -1 with EMSGSIZE. */
ssize_t fd_receive_data(int socket, void *data, size_t size);

/* An anonymous file with these bytes, sealed against any change; -1 with errno. */
int fd_sealed(const char *name, const void *data, size_t length);

/* Reads the whole of a regular file or memfd from its start, at most `limit` bytes, into fresh
 * memory (NUL added). NULL with errno; EFBIG where it is longer. */
char *fd_read_all(int fd, size_t limit, size_t *length_r);

#define FD_ARRANGE_MOST 64

/* In a child before exec: descriptors sources[i] become 3+i (without close-on-exec), everything
 * above is closed on exec. `sources` may overlap the targets in any order; at most FD_ARRANGE_MOST.
 * Only async-signal-safe calls. -1 with errno. */
int fd_arrange(const int *sources, size_t count);

#endif
