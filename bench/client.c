/* Why: see client.h. Edge-triggered, one epoll_ctl(2) per connection: the generator shares the
 * machine with what it measures, so each system call that it saves goes to the measured program.
 * SPDX-License-Identifier: ISC */
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"

#define RETRY_PAUSE 500000 /* after a failure, so that a refusing server is not hammered */

static const char ask_keep[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char ask_close[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

int64_t client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Length of the whole answer when it is there, 0: not yet, -1: this is not a good answer. */
static long answer_length(const struct client *client, const char **body_r)
{
	const char *end = strstr(client->answer, "\r\n\r\n");
	const char *field;
	unsigned long length;

	if (client->used >= 12 && strncmp(client->answer, "HTTP/1.1 200", 12) != 0)
		return -1;
	if (!end)
		return client->used < CLIENT_ANSWER_MAX - 1 ? 0 : -1;
	field = strcasestr(client->answer, "\r\ncontent-length:");
	if (!field || field > end)
		return -1;
	length = strtoul(field + 17, NULL, 10);
	*body_r = end + 4;
	length += (unsigned long)(end + 4 - client->answer);
	if (length >= CLIENT_ANSWER_MAX)
		return -1;
	return length <= client->used ? (long)length : 0;
}

/* One line when an address is answered by another worker than before. */
static void client_watch(struct client *client, int64_t now)
{
	const char *body = NULL;
	char worker[sizeof client->last];
	size_t i;

	if (answer_length(client, &body) <= 0)
		return;
	for (i = 0; i < sizeof worker - 1 && body[i] >= '0' && body[i] <= '9'; i++)
		worker[i] = body[i];
	worker[i] = 0;
	if (strcmp(worker, client->last) == 0)
		return;
	printf("{\"client\": %u, \"from\": \"%s\", \"to\": \"%s\", \"begun_ns\": %" PRId64
	       ", \"answered_ns\": %" PRId64 "}\n",
	       client->number, client->last, worker, client->begun, now);
	fflush(stdout);
	memcpy(client->last, worker, sizeof worker);
}

static void client_pause(struct client *client, int64_t length)
{
	client->state = CLIENT_PAUSED;
	client->wake = client_now() + length;
	client->crowd->paused++;
}

static void client_ask(struct client *client);

/* The only way out of a connection or a request. */
static void client_end(struct client *client, enum outcome outcome)
{
	struct crowd *crowd = client->crowd;
	const bool answered = outcome == OUTCOME_ANSWERED;
	const enum mode mode = crowd->plan->mode;
	const int64_t now = client_now();

	crowd->outcomes[outcome]++;
	if (answered)
		histogram_add(&crowd->latency, (uint64_t)(now - client->begun));
	if (answered && mode == MODE_WATCH)
		client_watch(client, now);
	if (client->state == CLIENT_HELD)
		crowd->held--;
	if (answered && mode == MODE_KEEP) {
		client->begun = now;
		client_ask(client);
		return;
	}
	if (answered && mode == MODE_HOLD) {
		client->state = CLIENT_HELD;
		crowd->held++;
		return;
	}
	close(client->fd);
	client->fd = -1;
	if (answered && !crowd->plan->pause)
		client_begin(client);
	else
		client_pause(client, answered ? crowd->plan->pause : RETRY_PAUSE);
}

static void client_fail(struct client *client, int error)
{
	client_end(client, error == ECONNREFUSED ? OUTCOME_REFUSED : OUTCOME_FAILED);
}

static void client_ask(struct client *client)
{
	const enum mode mode = client->crowd->plan->mode;
	const bool last = mode == MODE_NEW || mode == MODE_WATCH;
	const char *text = last ? ask_close : ask_keep;
	const size_t length = strlen(text);

	client->state = CLIENT_WAITING;
	client->used = 0;
	client->answer[0] = 0;
	if (send(client->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
		client_fail(client, errno);
}

static int client_connect(struct client *client)
{
	const struct plan *plan = client->crowd->plan;
	const uint64_t turn = plan->mode == MODE_WATCH ? client->number : client->crowd->begun;
	const unsigned host = plan->first_address + (unsigned)(turn % plan->addresses);
	struct sockaddr_in source = { .sin_family = AF_INET };
	const int on = 1;

	source.sin_addr.s_addr = htonl(0x7f010001u + (host / 250 << 8) + host % 250);
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return errno;
	/* The port is chosen by connect(2), unique per target and not per source address. */
	if (setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
	    bind(client->fd, (const struct sockaddr *)&source, sizeof source) < 0)
		return errno;
	if (connect(client->fd, (const struct sockaddr *)&plan->target, sizeof plan->target) < 0)
		return errno;
	return 0;
}

void client_begin(struct client *client)
{
	struct crowd *crowd = client->crowd;
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = client };
	int error;

	if (crowd->plan->count && crowd->begun == crowd->plan->count) {
		client->state = CLIENT_IDLE;
		crowd->busy--;
		return;
	}
	client->begun = client_now();
	client->state = CLIENT_CONNECTING;
	error = client_connect(client);
	crowd->begun++;
	if (error == EINPROGRESS)
		event.events |= EPOLLOUT;
	else if (error) {
		client_fail(client, error);
		return;
	}
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
		client_fail(client, errno);
	else if (!error)
		client_ask(client);
}

/* The server closed: right only after a whole answer that was to be the last. */
static void client_close(struct client *client)
{
	const char *body;

	client_end(client, client->crowd->plan->mode != MODE_KEEP &&
					   client->state == CLIENT_WAITING &&
					   answer_length(client, &body) > 0
				   ? OUTCOME_ANSWERED
				   : OUTCOME_FAILED);
}

static void client_read(struct client *client)
{
	const enum mode mode = client->crowd->plan->mode;
	const bool until_close = mode == MODE_NEW || mode == MODE_WATCH;

	for (;;) {
		char *at = client->answer + client->used;
		const size_t room = CLIENT_ANSWER_MAX - 1 - client->used;
		const ssize_t got = recv(client->fd, at, room, 0);
		const char *body;
		long length;

		if (got <= 0) {
			if (got == 0)
				client_close(client);
			else if (errno != EAGAIN)
				client_fail(client, errno);
			return;
		}
		client->used += (unsigned)got;
		client->answer[client->used] = 0;
		length = answer_length(client, &body);
		if (length < 0 || (length > 0 && (unsigned long)length < client->used)) {
			client_end(client, OUTCOME_FAILED);
			return;
		}
		if (length > 0 && !until_close) {
			client_end(client, OUTCOME_ANSWERED);
			return;
		}
	}
}

static void client_connected(struct client *client)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error)
		client_fail(client, error);
	else
		client_ask(client);
}

void client_on_event(struct client *client, uint32_t events)
{
	if (client->state == CLIENT_CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			client_connected(client);
	} else if (client->state == CLIENT_WAITING) {
		client_read(client);
	} else if (client->state == CLIENT_HELD && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		client_close(client);
	}
}

void client_tick(struct client *client, int64_t now)
{
	const bool asking = client->state == CLIENT_CONNECTING || client->state == CLIENT_WAITING;

	if (client->state == CLIENT_PAUSED && now >= client->wake) {
		client->crowd->paused--;
		client_begin(client);
	} else if (asking && now - client->begun > client->crowd->plan->patience) {
		client_end(client, OUTCOME_HUNG);
	}
}
