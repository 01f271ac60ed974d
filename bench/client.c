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

#define RETRY_PAUSE   500000 /* after a failure, so that a refusing server is not hammered */
#define READS_AT_ONCE 64     /* of a long answer, so that one stream does not starve others */
#define EVENTS        (EPOLLIN | EPOLLRDHUP | EPOLLET)

#define EVENTS_CONNECTING (EVENTS | EPOLLOUT)

int64_t client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether the head of an answer is there: 1, 0: not yet, -1: this is not a good answer. */
static int answer_head(const struct client *client, const char **body_r, uint64_t *length_r)
{
	const char *end = strstr(client->answer, "\r\n\r\n");
	const char *field;

	if (client->used >= 12 && strncmp(client->answer, "HTTP/1.1 200", 12) != 0)
		return -1;
	if (!end)
		return client->used < CLIENT_ANSWER_MAX - 1 ? 0 : -1;
	field = strcasestr(client->answer, "\r\ncontent-length:");
	if (!field || field > end)
		return -1;
	*length_r = strtoul(field + 17, NULL, 10);
	*body_r = end + 4;
	return 1;
}

/* Length of the whole answer when it is there, 0: not yet, -1: this is not a good answer. */
static long answer_length(const struct client *client, const char **body_r)
{
	uint64_t length;
	const int found = answer_head(client, body_r, &length);

	if (found <= 0)
		return found;
	length += (uint64_t)(*body_r - client->answer);
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

static void client_note_answer(struct client *client)
{
	client->crowd->answered += !client->was_answered;
	client->was_answered = true;
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
		client_note_answer(client);
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
	leg_close(&client->leg);
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
	const char *text = client->crowd->plan->ask;
	const size_t length = strlen(text);

	client->state = CLIENT_WAITING;
	client->used = 0;
	client->answer[0] = 0;
	if (leg_send(&client->leg, text, length) != (ssize_t)length)
		client_fail(client, errno);
}

static void client_shake(struct client *client)
{
	struct crowd *crowd = client->crowd;
	int shaken;

	client->state = CLIENT_SHAKING;
	shaken = leg_shake(&client->leg, crowd->tls);
	if (shaken < 0)
		client_fail(client, errno);
	if (shaken <= 0)
		return;
	crowd->shaken++;
	crowd->resumed += leg_is_resumed(&client->leg);
	client_ask(client);
}

/* The connection stands. */
static void client_greet(struct client *client)
{
	if (client->crowd->tls)
		client_shake(client);
	else
		client_ask(client);
}

static int client_connect(struct client *client)
{
	const struct plan *plan = client->crowd->plan;
	const uint64_t turn = plan->mode == MODE_WATCH ? client->number : client->crowd->begun;
	const unsigned host = plan->first_address + (unsigned)(turn % plan->addresses);
	const uint32_t address = 0x7f010001u + (host / 250 << 8) + host % 250;
	const struct sockaddr_in source = { .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(address) };
	const int on = 1;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	client->leg.fd = fd;
	/* The port is chosen by connect(2), unique per target and not per source address. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
	    bind(fd, (const struct sockaddr *)&source, sizeof source) < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&plan->target, sizeof plan->target) < 0)
		return errno;
	return 0;
}

void client_begin(struct client *client)
{
	struct crowd *crowd = client->crowd;
	struct epoll_event event = { .events = EVENTS, .data.ptr = client };
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
		event.events = EVENTS_CONNECTING;
	else if (error) {
		client_fail(client, error);
		return;
	}
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, client->leg.fd, &event) < 0)
		client_fail(client, errno);
	else if (!error)
		client_greet(client);
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

/* Takes what has come of a long answer; ended at its last byte, which the server may follow by
 * anything but more. */
static void client_receive(struct client *client)
{
	struct crowd *crowd = client->crowd;
	struct epoll_event again = { .events = EVENTS, .data.ptr = client };

	client->begun = client_now();
	for (int i = 0; client->left && i < READS_AT_ONCE; i++) {
		const ssize_t got = leg_discard(&client->leg);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0 || (uint64_t)got > client->left) {
			client_end(client, OUTCOME_FAILED);
			return;
		}
		client->left -= (uint64_t)got;
		crowd->bytes += (uint64_t)got;
	}
	if (!client->left)
		client_end(client, OUTCOME_ANSWERED);
	else if (epoll_ctl(crowd->epoll, EPOLL_CTL_MOD, client->leg.fd, &again) < 0)
		client_fail(client, errno);
}

/* From the head of a long answer, read whole, to its body. */
static void client_begin_body(struct client *client)
{
	const char *body = NULL;
	uint64_t length = 0, got;
	const int found = answer_head(client, &body, &length);

	if (!found)
		return;
	got = found > 0 ? client->used - (uint64_t)(body - client->answer) : 0;
	if (found < 0 || length != client->crowd->plan->bytes || got > length) {
		client_end(client, OUTCOME_FAILED);
		return;
	}
	client_note_answer(client);
	client->crowd->bytes += got;
	client->left = length - got;
	client->state = CLIENT_RECEIVING;
	client_receive(client);
}

static void client_read(struct client *client)
{
	const enum mode mode = client->crowd->plan->mode;
	const bool until_close = mode == MODE_NEW || mode == MODE_WATCH;

	while (client->state == CLIENT_WAITING) {
		char *at = client->answer + client->used;
		const size_t room = CLIENT_ANSWER_MAX - 1 - client->used;
		const ssize_t got = leg_receive(&client->leg, at, room);
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
		if (mode == MODE_BULK) {
			client_begin_body(client);
			continue;
		}
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

	if (getsockopt(client->leg.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error)
		client_fail(client, error);
	else
		client_greet(client);
}

void client_on_event(struct client *client, uint32_t events)
{
	if (client->state == CLIENT_CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			client_connected(client);
	} else if (client->state == CLIENT_SHAKING) {
		client_shake(client);
	} else if (client->state == CLIENT_WAITING) {
		client_read(client);
	} else if (client->state == CLIENT_RECEIVING) {
		client_receive(client);
	} else if (client->state == CLIENT_HELD && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		client_close(client);
	}
}

void client_tick(struct client *client, int64_t now)
{
	const bool asking = client->state != CLIENT_IDLE && client->state != CLIENT_HELD &&
			    client->state != CLIENT_PAUSED;

	if (client->state == CLIENT_PAUSED && now >= client->wake) {
		client->crowd->paused--;
		client_begin(client);
	} else if (asking && now - client->begun > client->crowd->plan->patience) {
		client_end(client, OUTCOME_HUNG);
	}
}
