/* Why: the smallest useful worker in C: one thread, one epoll, clients from Limpet's link by
 * limpet_worker.h. Each client gets one answer. To try it:
 *
 *   cc -O2 -Iinclude -o hello examples/c/hello.c
 *   limpet run -b 127.0.0.1:3000 -i 2 -- ./hello
 *   curl http://127.0.0.1:3000/
 *
 * SPDX-License-Identifier: ISC */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "limpet_worker.h"

#define REQUEST_MAX 4096

struct client {
	int fd;
	size_t used; /* of request */
	struct sockaddr_storage peer;
	bool is_tls;
	char request[REQUEST_MAX];
};

static int loop, link_fd;
static size_t client_count;
static bool link_ended;

/* Out of the epoll set by name: until Limpet has seen the acknowledgement it holds a copy of the
 * socket, which keeps the entry alive after our close(2). */
static void end(struct client *client)
{
	epoll_ctl(loop, EPOLL_CTL_DEL, client->fd, NULL);
	close(client->fd);
	free(client);
	client_count--;
}

static void print_address(const struct sockaddr_storage *peer, char *out, socklen_t size)
{
	const void *at = peer->ss_family == AF_INET
				 ? (const void *)&((const struct sockaddr_in *)peer)->sin_addr
				 : (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr;

	if (peer->ss_family == AF_UNSPEC || !inet_ntop(peer->ss_family, at, out, size))
		snprintf(out, size, "unix");
}

/* So short an answer always fits into the empty buffer of a socket. */
static void answer(struct client *client)
{
	const char *slot = getenv("LIMPET_SLOT");
	char address[INET6_ADDRSTRLEN], body[256], text[512];
	int length;

	print_address(&client->peer, address, sizeof address);
	snprintf(body, sizeof body,
		 "{\"pid\":%d,\"slot\":%s,\"client\":\"%s\",\"scheme\":\"%s\"}\n", (int)getpid(),
		 slot ? slot : "null", address, client->is_tls ? "https" : "http");
	length = snprintf(text, sizeof text,
			  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
			  "%zu\r\nConnection: close\r\n\r\n%s",
			  strlen(body), body);
	send(client->fd, text, (size_t)length, MSG_NOSIGNAL);
	end(client);
}

static void on_client(struct client *client)
{
	const ssize_t length = read(client->fd, client->request + client->used,
				    sizeof client->request - client->used);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) { /* he left, or the request is too long: read(2) with no room gives 0 */
		end(client);
		return;
	}
	client->used += (size_t)length;
	if (memmem(client->request, client->used, "\r\n\r\n", 4))
		answer(client);
}

static void take(const struct limpet_client *arrived)
{
	struct client *client = calloc(1, sizeof *client);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

	if (!client || epoll_ctl(loop, EPOLL_CTL_ADD, arrived->fd, &event) < 0) {
		close(arrived->fd); /* unread: another worker can have him */
		limpet_worker_refuse(link_fd, arrived->id, LIMPET_BUSY);
		free(client);
		return;
	}
	limpet_worker_accept(link_fd, arrived->id); /* before the first read */
	client->fd = arrived->fd;
	client->peer = arrived->peer;
	client->is_tls = arrived->is_tls;
	client_count++;
}

static void on_link(void)
{
	struct limpet_client arrived;
	int result;

	while ((result = limpet_worker_receive(link_fd, &arrived)) > 0)
		take(&arrived);
	if (result < 0 && errno == EAGAIN)
		return;
	if (result < 0)
		warn("the link");
	epoll_ctl(loop, EPOLL_CTL_DEL, link_fd, NULL);
	close(link_fd);
	link_ended = true;
}

int main(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	link_fd = limpet_worker_link();
	loop = epoll_create1(EPOLL_CLOEXEC);
	if (link_fd < 0 || loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, link_fd, &event) < 0)
		err(2, "not started by limpet?");
	limpet_worker_ready(link_fd);
	while (!link_ended || client_count > 0) {
		if (epoll_wait(loop, &event, 1, -1) != 1)
			continue;
		if (event.data.ptr)
			on_client(event.data.ptr);
		else
			on_link();
	}
	return 0;
}
