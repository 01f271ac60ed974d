/* Why: delivery to workers that take sockets on a SOCK_SEQPACKET link (limpet_worker(3)): one
 * record with the client's PROXY v2 header and his socket; the worker answers with the id.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/socket.h>

#include "acceptor/seat.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/door.h"
#include "wire/counter.h"
#include "wire/worker_link.h"

/* Acknowledgements read with one system call. */
#define BATCH      64
#define ANSWER_MAX 16

static void begin(struct seat *seat)
{
	(void)seat;
}

static void end(struct seat *seat)
{
	(void)seat;
}

static bool serves(const struct seat *seat, const struct client *client)
{
	(void)seat, (void)client;
	return true;
}

/* Where the client arrived: known without a system call unless the listener takes every address. */
static void local_of(const struct client *client, struct peer *local_r)
{
	const struct address *bound = &client->listener->local;
	struct sockaddr_storage actual;
	socklen_t length = sizeof actual;
	bool is_wildcard =
		(bound->any.sa_family == AF_INET && bound->v4.sin_addr.s_addr == INADDR_ANY) ||
		(bound->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&bound->v6.sin6_addr));

	if (is_wildcard && getsockname(client->fd, (struct sockaddr *)&actual, &length) == 0)
		peer_set(local_r, (struct sockaddr *)&actual, length);
	else
		peer_set(local_r, &bound->any, bound->length);
}

/* A passport may know of TLS and not of addresses (PROXY's LOCAL, UNIX sockets): those of the
 * connection hold then. */
static size_t write_with_passport(char record[WORKER_LINK_RECORD], const struct client *client)
{
	struct passport passport = *client->passport;

	if (passport.from.any.sa_family == AF_UNSPEC) {
		passport.from = client->peer;
		local_of(client, &passport.to);
	}
	return worker_link_write_passport(record, client->id, &passport);
}

static enum send_result send_client(struct seat *seat, struct client *client)
{
	char record[WORKER_LINK_RECORD];
	struct peer local;
	size_t length;

	if (client->passport) {
		length = write_with_passport(record, client);
	} else {
		local_of(client, &local);
		length = worker_link_write(record, client->id, &client->peer, &local);
	}
	if (fd_send(seat->link, record, length, client->fd) < 0)
		return seat_send_result(errno);
	return SEND_DONE;
}

static void hear(struct seat *seat, const char *record, size_t length)
{
	static struct log_limit limit;
	uint64_t id;

	switch (worker_link_parse(record, length, &id)) {
	case WORKER_READY:
		seat_says_ready(seat);
		break;
	case WORKER_ACKNOWLEDGES:
		seat_acknowledged(seat, id);
		break;
	case WORKER_LOST:
		seat_refused(seat, id, true);
		break;
	case WORKER_REFUSES:
		seat_refused(seat, id, false);
		break;
	case WORKER_BAD:
		counter_add(COUNTER_BAD_RECORDS, 1);
		if (log_limit_pass(&limit))
			log_line(LOG_WARNING, seat->name,
				 "sent a record of %zu bytes that limpet_worker(3) does not know",
				 length);
		break;
	}
}

/* The places for a batch, made once: the kernel fills them anew at each call. */
static struct mmsghdr *batch(char records[BATCH][ANSWER_MAX])
{
	static struct mmsghdr messages[BATCH];
	static struct iovec parts[BATCH];

	if (parts[0].iov_base)
		return messages;
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){ records[i], ANSWER_MAX };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	return messages;
}

/* ECONNRESET is said once, of a worker that died with clients unread: its last answers stand behind
 * it. */
static bool is_later(int error)
{
	return error == EAGAIN || error == EINTR || error == ECONNRESET;
}

/* A worker says once that it is ready. Should we die while passing that on, our successor must find
 * it in the link still: it is looked at first and taken out when the supervisor has been told. */
static bool hear_first_word(struct seat *seat)
{
	char record[ANSWER_MAX];
	ssize_t n = recv(seat->link, record, sizeof record, MSG_DONTWAIT | MSG_PEEK);

	if (n < 0)
		return is_later(errno);
	if (n == 0)
		return false;
	hear(seat, record, (size_t)n);
	return recv(seat->link, record, sizeof record, MSG_DONTWAIT) > 0;
}

/* Descriptors that a worker sends are dropped by the kernel: there is no place for them. */
static bool readable(struct seat *seat)
{
	static char records[BATCH][ANSWER_MAX];
	struct mmsghdr *messages = batch(records);
	int n;

	if (seat->state == SEAT_STARTING)
		return hear_first_word(seat);
	n = recvmmsg(seat->link, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0)
		return is_later(errno);
	for (int i = 0; i < n; i++) {
		if (messages[i].msg_len == 0)
			return false;
		hear(seat, records[i], messages[i].msg_len);
	}
	return n > 0;
}

static bool writable(struct seat *seat)
{
	(void)seat;
	return true;
}

static void drain(struct seat *seat)
{
	worker_link_finish(seat->link);
}

const struct seat_kind seat_kind_fd = {
	.name = "fd",
	.begin = begin,
	.end = end,
	.serves = serves,
	.send = send_client,
	.readable = readable,
	.writable = writable,
	.drain = drain,
};
