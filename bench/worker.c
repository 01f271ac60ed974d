/* Why: the smallest honest HTTP worker, so that what is measured is the way to it. One event loop
 * for all three ways a client can come: by Limpet's link, by a listening socket of its own (behind
 * a proxy; TCP or UNIX), or by its own socket of a SO_REUSEPORT group. The answer is this process's
 * id, or to "GET /bulk/N" N bytes.
 * SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "limpet_worker.h"

#define EVENTS_AT_ONCE 256
#define REQUEST_MAX    512
#define BACKLOG        4096
#define BULK_AT_ONCE   262144

/* A client between two requests, in the middle of one, or of a long answer. */
struct connection {
	int fd;
	uint64_t left; /* bytes of a long answer, the last one of its connection */
	unsigned used;
	char request[REQUEST_MAX];
};

static const char bulk_path[] = "GET /bulk/";

struct worker {
	int epoll;
	int link;     /* -1: none, or at its end */
	int listener; /* -1: none */
	unsigned connections;
	char answer_keep[128], answer_close[128];
};

static void worker_watch(const struct worker *worker, int fd, void *owner)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = owner };

	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void worker_await_room(const struct worker *worker, struct connection *connection)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = connection };

	if (epoll_ctl(worker->epoll, EPOLL_CTL_MOD, connection->fd, &event) < 0)
		err(1, "epoll_ctl");
}

static void connection_begin(struct worker *worker, int fd)
{
	struct connection *connection = malloc(sizeof *connection);

	if (!connection)
		errx(1, "out of memory");
	connection->fd = fd;
	connection->used = 0;
	connection->left = 0;
	worker->connections++;
	worker_watch(worker, fd, connection);
}

static void connection_end(struct worker *worker, struct connection **connection)
{
	/* Limpet may still hold its copy of the socket: close(2) alone would neither end the
	 * connection nor leave the epoll set. */
	shutdown((*connection)->fd, SHUT_WR);
	epoll_ctl(worker->epoll, EPOLL_CTL_DEL, (*connection)->fd, NULL);
	close((*connection)->fd);
	free(*connection);
	*connection = NULL;
	worker->connections--;
}

static bool connection_answer_bulk(const struct worker *worker, struct connection *connection,
				   const char *number)
{
	char head[128];

	connection->left = strtoull(number, NULL, 10);
	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %" PRIu64 "\r\n\r\n",
		 connection->left);
	if (send(connection->fd, head, strlen(head), MSG_NOSIGNAL | MSG_MORE) < 0)
		return false;
	worker_await_room(worker, connection);
	return connection->left > 0;
}

/* Answers each whole request in the buffer; false: that was the last one, or the client is gone. */
static bool connection_answer(const struct worker *worker, struct connection *connection)
{
	char *at = connection->request;
	char *end;

	while ((end = strstr(at, "\r\n\r\n")) != NULL) {
		const char *answer = worker->answer_keep;
		bool last;

		*end = 0;
		if (strncmp(at, bulk_path, sizeof bulk_path - 1) == 0)
			return connection_answer_bulk(worker, connection,
						      at + sizeof bulk_path - 1);
		last = strcasestr(at, "\r\nconnection: close") != NULL;
		if (last)
			answer = worker->answer_close;
		if (send(connection->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0 || last)
			return false;
		at = end + 4;
	}
	connection->used -= (unsigned)(at - connection->request);
	memmove(connection->request, at, connection->used + 1);
	return connection->used < REQUEST_MAX - 1;
}

static void on_request(struct worker *worker, struct connection *connection)
{
	const ssize_t got = recv(connection->fd, connection->request + connection->used,
				 REQUEST_MAX - 1 - connection->used, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0) {
		connection->used += (unsigned)got;
		connection->request[connection->used] = 0;
	}
	if (got <= 0 || !connection_answer(worker, connection))
		connection_end(worker, &connection);
}

/* There is room for more of a long answer. */
static void on_room(struct worker *worker, struct connection *connection)
{
	static const char nothing[BULK_AT_ONCE];
	const size_t length = connection->left < sizeof nothing ? connection->left : sizeof nothing;
	const ssize_t sent = send(connection->fd, nothing, length, MSG_NOSIGNAL);

	if (sent > 0)
		connection->left -= (uint64_t)sent;
	if (!connection->left || (sent < 0 && errno != EAGAIN && errno != EINTR))
		connection_end(worker, &connection);
}

static void on_connection(struct worker *worker, struct connection *connection)
{
	if (connection->left)
		on_room(worker, connection);
	else
		on_request(worker, connection);
}

static void on_link(struct worker *worker)
{
	struct limpet_client client;
	int got;

	while ((got = limpet_worker_receive(worker->link, &client)) == 1) {
		limpet_worker_accept(worker->link, client.id);
		connection_begin(worker, client.fd);
	}
	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0)
		warn("link");
	close(worker->link);
	worker->link = -1;
}

static void on_client(struct worker *worker)
{
	int fd;

	while ((fd = accept4(worker->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		connection_begin(worker, fd);
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		err(1, "accept4");
}

static void worker_run(struct worker *worker)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	while (worker->link >= 0 || worker->listener >= 0 || worker->connections) {
		const int count = epoll_wait(worker->epoll, events, EVENTS_AT_ONCE, -1);

		if (count < 0 && errno != EINTR)
			err(1, "epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &worker->link)
				on_link(worker);
			else if (events[i].data.ptr == &worker->listener)
				on_client(worker);
			else
				on_connection(worker, events[i].data.ptr);
		}
	}
}

static int worker_listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof address.sun_path)
		errx(2, "path %s: too long", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	umask(0); /* the balancer may be another user */
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    listen(fd, BACKLOG) < 0)
		err(1, "%s", path);
	return fd;
}

static int worker_listen(const char *text, bool shared)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const int on = 1;
	char *end;
	const unsigned long port = strtoul(text, &end, 10);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (end == text || *end || port < 1 || port > 65535)
		errx(2, "port %s: expected a number from 1 to 65535", text);
	address.sin_port = htons((uint16_t)port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    listen(fd, BACKLOG) < 0)
		err(1, "port %s", text);
	return fd;
}

/* Where a balancer told this worker to listen. */
static const char *told_place(void)
{
	const char *path = getenv("LIMPET_SOCKET");
	const char *port = getenv("PORT");

	if (!path && !port)
		errx(2, "neither LIMPET_SOCKET nor PORT says where to listen");
	return path ? path : port;
}

static void worker_begin(struct worker *worker, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "link") == 0) {
		worker->link = limpet_worker_link();
		if (worker->link < 0)
			err(1, "no link: not started by Limpet with delivery = fd");
		worker_watch(worker, worker->link, &worker->link);
		if (limpet_worker_ready(worker->link) < 0)
			err(1, "link");
	} else if ((argc == 2 || argc == 3) && strcmp(argv[1], "listen") == 0) {
		const char *place = argc == 3 ? argv[2] : told_place();

		worker->listener =
			*place == '/' ? worker_listen_unix(place) : worker_listen(place, false);
		worker_watch(worker, worker->listener, &worker->listener);
	} else if (argc == 3 && strcmp(argv[1], "reuseport") == 0) {
		worker->listener = worker_listen(argv[2], true);
		worker_watch(worker, worker->listener, &worker->listener);
	} else {
		errx(2, "usage: worker link | worker listen [PORT|PATH] | worker reuseport PORT");
	}
}

static void worker_prepare(struct worker *worker)
{
	struct rlimit files;
	char body[32];
	const int length = snprintf(body, sizeof body, "%d\n", (int)getpid());

	snprintf(worker->answer_keep, sizeof worker->answer_keep,
		 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		 length, body);
	snprintf(worker->answer_close, sizeof worker->answer_close,
		 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
		 "Connection: close\r\n\r\n%s",
		 length, body);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	worker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll < 0)
		err(1, "epoll_create1");
}

int main(int argc, char **argv)
{
	static struct worker worker = { .link = -1, .listener = -1 };

	worker_prepare(&worker);
	worker_begin(&worker, argc, argv);
	worker_run(&worker);
	return 0;
}
