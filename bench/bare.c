/* Why: the floor under every figure of a hand-over: accept, send the socket to the worker of the
 * address, close, and nothing else. No limits, no queue, nothing kept until it is acknowledged, no
 * word when something fails; what a worker answers is read unseen, only so that it goes on. What
 * Limpet costs above it is what it does for its users; what this costs is the machine.
 * SPDX-License-Identifier: ISC */
#include <err.h>
#include <errno.h>
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
#define RECORD_MAX  256
#define ANSWERS_MAX 65536

/* One way to hand over: the link of any worker, or the channel of a worker of Node's cluster. */
struct kind {
	const char *name;
	int type; /* of the socket pair */
	const char *variables[2];
	void (*await)(int link); /* until the worker takes clients; NULL: it does from the start */
	size_t (*record)(char *record, uint64_t id, const struct peer *peer);
};

static size_t link_record(char *record, uint64_t id, const struct peer *peer)
{
	return worker_link_write(record, id, peer, peer);
}

static size_t node_record(char *record, uint64_t id, const struct peer *peer)
{
	static const char line[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"
				   "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"newconn\","
				   "\"key\":\"bare\",\"seq\":1}}\n";

	(void)id, (void)peer;
	memcpy(record, line, sizeof line - 1);
	return sizeof line - 1;
}

static unsigned number_after(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? (unsigned)strtoul(found + strlen(name), NULL, 10) : 0;
}

/* Its one question is answered by hand: this program knows which application it measures. */
static void node_await(int link)
{
	char line[4096], answer[512];
	FILE *lines = fdopen(dup(link), "r");

	if (!lines)
		err(1, "channel");
	while (fgets(line, sizeof line, lines) && !strstr(line, "\"act\":\"listening\"")) {
		if (!strstr(line, "\"act\":\"queryServer\""))
			continue;
		snprintf(
			answer, sizeof answer,
			"{\"cmd\":\"NODE_CLUSTER\",\"errno\":null,\"key\":\"bare\",\"ack\":%u,"
			"\"data\":null,\"sockname\":{\"address\":\"127.0.0.1\",\"family\":\"IPv4\","
			"\"port\":%u},\"seq\":1}\n",
			number_after(line, "\"seq\":"), number_after(line, "\"port\":"));
		if (send(link, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			err(1, "channel");
	}
	fclose(lines);
}

static const struct kind kinds[] = {
	{ "link", SOCK_SEQPACKET, { "LIMPET_SLOT", "LIMPET_LINK_FD" }, NULL, link_record },
	{ "node", SOCK_STREAM, { "NODE_UNIQUE_ID", "NODE_CHANNEL_FD" }, node_await, node_record },
};

static int start_worker(const struct kind *kind, unsigned number, char **command)
{
	char text[16];
	int pair[2];

	if (socketpair(AF_UNIX, kind->type | SOCK_CLOEXEC, 0, pair) < 0)
		err(1, "socketpair");
	if (fork() > 0) {
		fd_close(&pair[1]);
		return pair[0];
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(text, sizeof text, "%u", number);
	setenv(kind->variables[0], text, 1);
	setenv(kind->variables[1], "3", 1);
	if (fd_arrange(&pair[1], 1) < 0)
		err(1, "descriptors");
	execvp(command[0], command);
	err(1, "%s", command[0]);
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
	static char answers[ANSWERS_MAX];

	for (unsigned i = 0; i < workers; i++)
		while (recv(links[i], answers, sizeof answers, MSG_DONTWAIT) > 0)
			continue;
}

static void hand_over(const struct kind *kind, const int *links, unsigned workers, int client,
		      const struct peer *peer, uint64_t id)
{
	unsigned worker =
		(unsigned)((ntohl(peer->v4.sin_addr.s_addr) * 2654435761u) >> 16) % workers;
	char record[RECORD_MAX];
	size_t length = kind->record(record, id, peer);

	while (fd_send(links[worker], record, length, client) < 0)
		discard_answers(links, workers);
	fd_close(&client);
}

/* For ever: a burst of clients whenever some wait, then whatever the workers have answered. */
static void serve(const struct kind *kind, const int *links, unsigned workers, int listener)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		err(1, "epoll");
	for (uint64_t id = 1; epoll_wait(epoll, &event, 1, -1) >= 0 || errno == EINTR;) {
		for (int i = 0; i < BURST; i++) {
			struct peer peer = { .any.sa_family = AF_UNSPEC };
			socklen_t size = sizeof peer;
			int client =
				accept4(listener, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

			if (client < 0)
				break;
			hand_over(kind, links, workers, client, &peer, id++);
		}
		discard_answers(links, workers);
	}
}

int main(int argc, char **argv)
{
	unsigned workers = argc >= 5 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	const struct kind *kind = argc >= 5 && strcmp(argv[3], "node") == 0 ? &kinds[1] : &kinds[0];
	int links[WORKERS_MAX];

	if (workers < 1 || workers > WORKERS_MAX || strcmp(argv[3], kind->name) != 0)
		errx(2, "usage: bare PORT WORKERS link|node COMMAND...");
	for (unsigned i = 0; i < workers; i++)
		links[i] = start_worker(kind, i + 1, argv + 4);
	for (unsigned i = 0; i < workers && kind->await; i++)
		kind->await(links[i]);
	serve(kind, links, workers, listen_on((unsigned)strtoul(argv[1], NULL, 10)));
	return 1;
}
