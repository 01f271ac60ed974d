/* Why: a listening socket with a name in the file system has traps that TCP has not: names that
 * dead processes left behind, modes, and directories that belong to somebody whom root must not
 * trust. Source: unix(7), setfsuid(2), rename(2). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_UNIX_PATH_H
#define SUPERVISOR_UNIX_PATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"
#include "supervisor/process.h"

/* Binds `socket` to the path with `mode` (0: 0666 & ~umask), everything done with the file system
 * ids of `as` (NULL: ours). A socket that nobody listens on is replaced where `replace_stale`, at
 * no moment leaving the path empty. *made_r is the path's inode. On failure: false, *errno_r
 * (EADDRINUSE where the path is taken) and a sentence. */
bool unix_path_bind(int socket, int type, const struct sockaddr_un *address, unsigned mode,
		    bool replace_stale, const struct process_identity *as, struct stat *made_r,
		    int *errno_r, struct error *e);

/* Removes a stream socket that nobody listens on, with the rights of `as`; true: it did. */
bool unix_path_sweep(const struct sockaddr_un *address, const struct process_identity *as);

/* Removes the path if it still is that inode. */
void unix_path_remove(const struct sockaddr_un *address, ino_t inode, dev_t device,
		      const struct process_identity *as);

#endif
