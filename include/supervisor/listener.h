/* Why: the supervisor holds every listening socket for life, so that no death of another process
 * resets a client that the kernel has queued. Source: socket(7), tcp(7), ipv6(7), unix(7).
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "supervisor/process.h"
#include "wire/message.h"

struct listener {
	TAILQ_ENTRY(listener) link;
	struct message_listener described; /* as the acceptor is told; .local has the real port */
	int fd;                            /* the only one, or that of relay 0 */
	int *others;                       /* NULL, or those of relays 1, 2, ... */
	size_t other_count;
	bool relayed;   /* relays accept */
	bool gives;     /* the same, and the clients of a pool of it are handed over as gifts */
	bool inherited; /* from systemd: never unlinked */
	ino_t inode;    /* of a path that we made: unlinked at the end only if it is still ours */
	dev_t device;
	struct process_identity as; /* who made that path */
	char name[128];             /* printed address */
};
TAILQ_HEAD(listener_list, listener);

/* What to open. */
struct listener_spec {
	struct address local;
	int type; /* SOCK_STREAM, SOCK_DGRAM */
	bool v6only;
	bool reuse;         /* SOCK_DGRAM: shares its port knowingly (SO_REUSEADDR) */
	bool dual_fallback; /* [::] becomes 0.0.0.0 where the kernel has no IPv6 */
	unsigned backlog;
	size_t sockets; /* of a group, each with its own backlog; 0 or 1: no group. Paths and
			   adopted sockets have one whatever this is */
	bool by_client; /* the group's clients are spread by their address */
	unsigned mode;  /* of a path; 0: 0666 & ~umask */
	const struct process_identity
		*as; /* a path is made with these file system ids (setfsuid); NULL: ours */
};

/* Opens, binds, listens (SO_REUSEADDR). An adoptable socket of systemd with the same address is
 * taken instead
 * (`adoptable`, -1 where used). On failure: NULL, *errno_r, and a sentence that says what to do:
 * who has the port
 * ("127.0.0.1:3000 is in use by node (pid 123): stop it or take another port"), which capability is
 * missing
 * ("port 80 needs root or CAP_NET_BIND_SERVICE: setcap ... or systemd socket, or sysctl
 * net.ipv4.ip_unprivileged_port_start"), address not of this machine, path exists and is (not) in
 * use: a stale socket that nobody listens on is replaced by bind to a temporary name + rename when
 * `described.listen` is a [listen] section. */
struct listener *listener_open(const struct listener_spec *spec, bool replace_stale, int *adoptable,
			       size_t adoptable_count, int *errno_r, struct error *e);
/* The socket that relay `number` accepts on; the listener keeps it. */
int listener_fd(const struct listener *listener, size_t number);
void listener_close(struct listener **listener);

#endif
