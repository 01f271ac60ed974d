/* Why: the tests of this room speak to real sockets; how one gets them is the same everywhere and
 * would bury what each test is about. SPDX-License-Identifier: ISC */
#ifndef TEST_LOOPBACK_H
#define TEST_LOOPBACK_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

#define LOOPBACK_PATIENCE_MS 10000

/* A non-blocking listener at a free port of `text` ("127.0.0.1:0"); *local_r is where. */
static inline int loopback_listen(const char *text, int backlog, struct address *local_r)
{
	struct error e;
	int fd;

	assert_true(address_parse(text, local_r, &e));
	fd = socket(local_r->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (local_r->any.sa_family == AF_INET6) {
		const int off = 0;

		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	}
	assert_int_equal(bind(fd, &local_r->any, local_r->length), 0);
	assert_int_equal(listen(fd, backlog), 0);
	local_r->length = sizeof *local_r - offsetof(struct address, any);
	assert_int_equal(getsockname(fd, &local_r->any, &local_r->length), 0);
	return fd;
}

/* A blocking client of 127.0.0.x; x 0: whatever the kernel chooses. -1 where it is refused. */
static inline int loopback_connect(uint16_t port, unsigned x)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = htonl(0x7f000000u + x);
	if (x != 0)
		assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		fd_close(&fd);
	return fd;
}

/* Our end of the next connection; the kernel may need a moment after connect(2) to show it. */
static inline int loopback_accept(int listener)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	int fd;

	assert_int_equal(poll(&ready, 1, LOOPBACK_PATIENCE_MS), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Ends the connection with a reset. */
static inline void loopback_abort(int *fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	fd_close(fd);
}

/* The other end has closed, or reset. */
static inline bool loopback_is_closed(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&ready, 1, LOOPBACK_PATIENCE_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static inline void loopback_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* Runs the loop until the condition is true; false after LOOPBACK_PATIENCE_MS. A timer looks again
 * now and then, where nothing else wakes the loop. */
static inline bool loopback_until(struct event_base *base, bool (*condition)(void *arg), void *arg)
{
	const int64_t deadline_ms = clock_now_ms() + LOOPBACK_PATIENCE_MS;
	const struct timeval period = clock_timeval(20);
	struct event *timer = event_new(base, -1, EV_PERSIST, loopback_wake, NULL);
	bool is_true;

	event_add(timer, &period);
	while (!(is_true = condition(arg)) && clock_now_ms() < deadline_ms)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	return is_true;
}

/* Does all that can be done without waiting. */
static inline void loopback_settle(struct event_base *base)
{
	for (int i = 0; i < 8; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

#endif
