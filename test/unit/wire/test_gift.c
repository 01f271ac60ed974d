/* Why: a gift is one word between two processes of which one speaks with strangers: what arrives is
 * what was sent, or nothing. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/gift.h"

static int relay_end, acceptor_end;

static int setup(void **state)
{
	int pair[2];

	(void)state;
	if (fd_pair(SOCK_SEQPACKET, pair) < 0)
		return -1;
	relay_end = pair[0];
	acceptor_end = pair[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fd_close(&relay_end);
	fd_close(&acceptor_end);
	return 0;
}

static struct gift some_gift(void)
{
	struct gift gift = { .listener = 7, .pool = 2 };
	struct passport *p = &gift.passport;

	p->from.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(4242) };
	p->to.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(443) };
	p->is_tls = true;
	memcpy(p->tls_version, "TLSv1.3", sizeof p->tls_version);
	memset(p->server_name, 'a', sizeof p->server_name - 1);
	memset(p->client_name, 'b', sizeof p->client_name - 1);
	return gift;
}

/* Gives a client; returns his other end. */
static int give(const struct gift *gift)
{
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(gift_send(relay_end, gift, pair[0]), GIFT_DONE);
	fd_close(&pair[0]);
	return pair[1];
}

/* Worry: a field, or the client himself, is lost on the way. */
static void test_a_gift_arrives_whole(void **state)
{
	const struct gift gift = some_gift();
	struct gift got;
	char byte;
	int own = give(&gift), fd;

	(void)state;
	assert_int_equal(gift_receive(acceptor_end, &got, &fd), 1);
	assert_int_equal(got.listener, 7);
	assert_int_equal(got.pool, 2);
	assert_int_equal(got.passport.from.v4.sin_port, htons(4242));
	assert_true(got.passport.is_tls && !got.passport.is_verified);
	assert_string_equal(got.passport.tls_version, "TLSv1.3");
	assert_int_equal(strlen(got.passport.server_name), 255);
	assert_int_equal(strlen(got.passport.client_name), 127);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(send(own, "x", 1, 0), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	fd_close(&fd);
	assert_int_equal(gift_receive(acceptor_end, &got, &fd), 0);
	fd_close(&own);
}

/* Worry: the end of a relay is taken for a fault, or not noticed. */
static void test_ends(void **state)
{
	const struct gift gift = some_gift();
	struct gift got;
	int own = give(&gift), fd;

	(void)state;
	fd_close(&relay_end);
	assert_int_equal(gift_receive(acceptor_end, &got, &fd), 1); /* what was given is taken */
	fd_close(&fd);
	errno = EPROTO;
	assert_int_equal(gift_receive(acceptor_end, &got, &fd), -1);
	assert_int_equal(errno, 0);
	fd_close(&own);
	setup(NULL);
	fd_close(&acceptor_end);
	assert_int_equal(gift_send(relay_end, &gift, relay_end), GIFT_GONE);
}

/* Worry: a full link blocks the relay, or loses clients. */
static void test_full(void **state)
{
	const struct gift gift = some_gift();
	enum gift_result result;
	struct gift got;
	int pair[2], fd, sent = 0, received = 0;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	while ((result = gift_send(relay_end, &gift, pair[0])) == GIFT_DONE)
		sent++;
	assert_int_equal(result, GIFT_LATER);
	assert_true(sent > 0);
	while (gift_receive(acceptor_end, &got, &fd) == 1) {
		received++;
		fd_close(&fd);
	}
	assert_int_equal(received, sent);
	assert_int_equal(gift_send(relay_end, &gift, pair[0]), GIFT_DONE);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void expect_refused(const void *record, size_t length, int fd)
{
	struct gift got;
	int taken = 99;

	assert_int_equal(fd_send(relay_end, record, length, fd), (ssize_t)length);
	assert_int_equal(gift_receive(acceptor_end, &got, &taken), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(taken, -1);
}

/* Worry: a relay that was taken over makes the acceptor read beyond a text, or hands a worker
 * something that stops it. */
static void test_what_is_no_gift(void **state)
{
	const size_t passport = offsetof(struct gift, passport);
	struct gift gift = some_gift();
	char record[sizeof gift + 8];
	int pair[2], pipes[2], blocking[2], packets[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(fd_pair(SOCK_DGRAM, packets), 0);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, blocking), 0);
	memset(record, 0, sizeof record);
	memcpy(record, &gift, sizeof gift);
	expect_refused(record, 1, pair[0]);
	expect_refused(record, sizeof gift - 1, pair[0]);
	expect_refused(record, sizeof gift + 1, pair[0]);
	expect_refused(record, sizeof record, pair[0]);
	expect_refused(record, sizeof gift, -1);
	expect_refused(record, sizeof gift, pipes[0]);
	expect_refused(record, sizeof gift, blocking[0]);
	expect_refused(record, sizeof gift, packets[0]);
	record[passport + offsetof(struct passport, is_tls)] = 2;
	expect_refused(record, sizeof gift, pair[0]);
	memcpy(record, &gift, sizeof gift);
	record[passport + offsetof(struct passport, is_verified)] = -1;
	expect_refused(record, sizeof gift, pair[0]);
	gift.passport.from.any.sa_family = AF_PACKET;
	expect_refused(&gift, sizeof gift, pair[0]);
	gift = some_gift();
	gift.passport.server_name[sizeof gift.passport.server_name - 1] = 'a';
	expect_refused(&gift, sizeof gift, pair[0]);
	gift = some_gift();
	memset(gift.passport.alpn, 'h', sizeof gift.passport.alpn);
	expect_refused(&gift, sizeof gift, pair[0]);
	for (int i = 0; i < 2; i++) {
		fd_close(&pair[i]);
		fd_close(&pipes[i]);
		fd_close(&blocking[i]);
		fd_close(&packets[i]);
	}
}

/* Worry: our own full descriptor table is blamed on the relay, and all of its clients lose their
 * way to the workers. */
static void test_a_lost_descriptor_costs_one_client(void **state)
{
	const struct gift gift = some_gift();
	struct rlimit limit, tight;
	struct gift got;
	int own[2] = { give(&gift), give(&gift) }, fd, lowest_free = dup(relay_end), result;

	(void)state;
	close(lowest_free);
	getrlimit(RLIMIT_NOFILE, &limit);
	tight = limit;
	tight.rlim_cur = (rlim_t)lowest_free;
	setrlimit(RLIMIT_NOFILE, &tight);
	result = gift_receive(acceptor_end, &got, &fd);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(result, 0); /* both are lost, and nothing else */
	assert_int_equal(recv(own[0], &got, 1, 0), 0);
	fd_close(&own[0]);
	own[0] = give(&gift);
	assert_int_equal(gift_receive(acceptor_end, &got, &fd), 1);
	fd_close(&fd);
	fd_close(&own[0]);
	fd_close(&own[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_gift_arrives_whole),
		TEST(test_ends),
		TEST(test_full),
		TEST(test_what_is_no_gift),
		TEST(test_a_lost_descriptor_costs_one_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
