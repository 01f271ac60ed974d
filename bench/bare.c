/* Why: the floor under every figure of a hand-over: accept, send the socket to the worker of the
 * address, close, and nothing else. No limits, no queue, nothing kept until it is acknowledged, no
 * word when something fails. What Limpet costs above it is what it does for its users; what this
 * costs is the machine. SPDX-License-Identifier: ISC */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/worker_link.h"

#define WORKERS_MAX 64
#define BURST       64
#define BACKLOG     4096

static int start_worker(const char *program, unsigned number)
{
	char slot[16];
	int pair[2];

	if (fd_pair(SOCK_SEQPACKET, pair) < 0)
		err(1, "socketpair");
	if (fork() > 0) {
		fd_close(&pair[1]);
		return pair[0];
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(slot, sizeof slot, "%u", number);
	setenv("LIMPET_SLOT", slot, 1);
	setenv("LIMPET_LINK_FD", "3", 1);
	if (fd_arrange(&pair[1], 1) < 0)
		err(1, "descriptors");
	execl(program, program, "link", (char *)NULL);
	err(1, "%s", program);
}

static int listen_on(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0)
		err(1, "port %u", port);
	return fd;
}

/* Acknowledgements are read only because the worker would stop at a full link. */
static void discard_answers(const int *links, unsigned workers)
{
	char answer[16];

	for (unsigned i = 0; i < workers; i++)
		while (recv(links[i], answer, sizeof answer, MSG_DONTWAIT) > 0)
			continue;
}

static void hand_over(const int *links, unsigned workers, int client, const struct peer *peer,
		      uint64_t id)
{
	unsigned worker =
		(unsigned)((ntohl(peer->v4.sin_addr.s_addr) * 2654435761u) >> 16) % workers;
	char record[WORKER_LINK_RECORD];
	size_t length = worker_link_write(record, id, peer, peer);

	while (fd_send(links[worker], record, length, client) < 0)
		discard_answers(links, workers);
	fd_close(&client);
}

int main(int argc, char **argv)
{
	unsigned workers = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	int links[WORKERS_MAX], listener, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	if (workers < 1 || workers > WORKERS_MAX)
		errx(2, "usage: bare PORT WORKER-PROGRAM WORKERS");
	for (unsigned i = 0; i < workers; i++)
		links[i] = start_worker(argv[2], i);
	listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		err(1, "epoll");
	for (uint64_t id = 1; epoll_wait(epoll, &event, 1, -1) >= 0;) {
		for (int i = 0; i < BURST; i++) {
			struct peer peer = { .any.sa_family = AF_UNSPEC };
			socklen_t size = sizeof peer;
			int client =
				accept4(listener, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

			if (client < 0)
				break;
			hand_over(links, workers, client, &peer, id++);
		}
		discard_answers(links, workers);
	}
	return 1;
}
