/* Why: a worker that lost a handle does not say which: a wrong guess gives one client to two
 * workers, or to none. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor/node_link.h"
#include "base/fd.h"

static struct node_link channel;
static int pair[2];

static int setup(void **state)
{
	(void)state;
	node_link_begin(&channel);
	return fd_pair(SOCK_STREAM, pair);
}

static int teardown(void **state)
{
	(void)state;
	node_link_end(&channel);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return 0;
}

static void send_clients(uint64_t first, uint64_t last)
{
	for (uint64_t id = first; id <= last; id++) {
		struct client client = { .id = id, .fd = STDIN_FILENO };

		assert_int_equal(node_link_client(&channel, pair[0], "x\n", 2, &client), SEND_DONE);
	}
}

static void test_lost_handle_of_a_fresh_channel(void **state)
{
	(void)state;
	channel.in_step = true;
	send_clients(101, 104);
	node_link_arrived(&channel);
	assert_int_equal(node_link_lost(&channel), 102);
	node_link_arrived(&channel);
	assert_int_equal(node_link_lost(&channel), 104);
	assert_int_equal(node_link_lost(&channel), NODE_LINK_SHARED); /* more than we sent */
}

/* Worry: answers to a predecessor's handles are taken for answers to ours. */
static void test_answers_to_a_predecessor(void **state)
{
	(void)state;
	send_clients(101, 103);
	node_link_arrived(&channel);
	assert_int_equal(node_link_lost(&channel), NODE_LINK_SHARED);
	assert_int_equal(node_link_settled(&channel, 7),
			 NODE_LINK_SHARED); /* the predecessor's client */
	node_link_arrived(&channel);        /* 101 */
	assert_int_equal(node_link_settled(&channel, 101), NODE_LINK_SHARED);
	assert_int_equal(node_link_lost(&channel), 102); /* now we know */
}

static void test_loss_that_becomes_clear_later(void **state)
{
	(void)state;
	send_clients(101, 103);
	assert_int_equal(node_link_lost(&channel), NODE_LINK_SHARED); /* 101, but who knows */
	node_link_arrived(&channel);
	assert_int_equal(node_link_settled(&channel, 102), 101);
	assert_int_equal(node_link_settled(&channel, 102), NODE_LINK_SHARED);
	assert_int_equal(node_link_lost(&channel), 103);
}

/* Worry: the handle of a server in between shifts everything by one. */
static void test_server_handles_count_too(void **state)
{
	(void)state;
	channel.in_step = true;
	send_clients(101, 101);
	assert_true(node_link_line(&channel, "s\n", 2, STDIN_FILENO));
	assert_int_equal(node_link_flush(&channel, pair[0]), SEND_DONE);
	send_clients(102, 102);
	node_link_arrived(&channel);
	assert_int_equal(node_link_lost(&channel), NODE_LINK_SHARED);
	assert_int_equal(node_link_lost(&channel), 102);
}

/* Worry: a client overtakes a line that waits, or a waiting handle is lost with its owner's copy.
 */
static void test_order_on_a_full_channel(void **state)
{
	struct client client = { .id = 1, .fd = STDIN_FILENO };
	char line[4096], byte;
	unsigned lines = 0;
	int fd = dup(STDIN_FILENO), got;
	bool is_truncated;

	(void)state;
	memset(line, 'l', sizeof line);
	line[sizeof line - 1] = '\n';
	while (send(pair[0], line, sizeof line, MSG_DONTWAIT) > 0)
		lines++;
	assert_true(node_link_line(&channel, "S\n", 2, fd));
	fd_close(&fd);
	assert_int_equal(node_link_flush(&channel, pair[0]), SEND_FULL);
	assert_int_equal(node_link_client(&channel, pair[0], "C\n", 2, &client), SEND_FULL);
	for (size_t rest = lines * sizeof line; rest > 0;)
		rest -= (size_t)recv(pair[1], line, sizeof line < rest ? sizeof line : rest, 0);
	assert_int_equal(node_link_flush(&channel, pair[0]), SEND_DONE);
	assert_int_equal(node_link_client(&channel, pair[0], "C\n", 2, &client), SEND_DONE);
	assert_int_equal(fd_receive(pair[1], &byte, 1, &got, &is_truncated), 1);
	assert_true(byte == 'S' && got >= 0);
	fd_close(&got);
}

static void test_gone_worker(void **state)
{
	struct client client = { .id = 1, .fd = STDIN_FILENO };

	(void)state;
	fd_close(&pair[1]);
	assert_true(node_link_line(&channel, "x\n", 2, -1));
	assert_int_equal(node_link_flush(&channel, pair[0]), SEND_BROKEN);
	assert_false(node_link_waits(&channel));
	assert_int_equal(node_link_client(&channel, pair[0], "x\n", 2, &client), SEND_BROKEN);
}

static void test_bad_client_socket_is_told(void **state)
{
	struct client client = { .id = 1, .fd = 9999 };

	(void)state;
	assert_int_equal(node_link_client(&channel, pair[0], "x\n", 2, &client), SEND_BAD_SOCKET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lost_handle_of_a_fresh_channel), TEST(test_answers_to_a_predecessor),
		TEST(test_loss_that_becomes_clear_later),  TEST(test_server_handles_count_too),
		TEST(test_order_on_a_full_channel),        TEST(test_gone_worker),
		TEST(test_bad_client_socket_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
