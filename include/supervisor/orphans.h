/* Why: as pid 1 (in a container) we inherit every orphan of it; nobody else takes their zombies
 * away. Source: waitid(2), pid_namespaces(7). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_ORPHANS_H
#define SUPERVISOR_ORPHANS_H

struct supervisor;

/* Reaps strangers. Our own children are left to their pidfds: their death is seen in one place
 * only. Called on SIGCHLD, and after each death of our own, since a zombie of ours may have stood
 * in front of a stranger's. Does nothing unless we are pid 1. */
void orphans_reap(const struct supervisor *supervisor);

#endif
