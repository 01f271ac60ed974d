/* Why: limits per client are exact only if one relay sees all of a client's connections, and a
 * relay's backlog must wait for that relay's successor (NODE_CLUSTER 5 has the measurements).
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "supervisor/listener.h"

#define GROUP       4
#define CLIENTS     40
#define PATIENCE_MS 5000

static struct listener *open_group(const char *text, bool by_client)
{
	struct listener_spec spec = {
		.type = SOCK_STREAM, .backlog = 64, .sockets = GROUP, .by_client = by_client
	};
	struct listener *l;
	struct error e = { "" };
	int error;

	assert_true(address_parse(text, &spec.local, &e));
	l = listener_open(&spec, false, NULL, 0, &error, &e);
	if (!l)
		fail_msg("%s", e.text);
	return l;
}

/* Connects from 127.1.0.`number`, or from where the kernel chooses for IPv6; returns the place in
 * the group that got it. */
static size_t place_of(const struct listener *l, const struct address *to, unsigned number)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(0x7f010000u | number) };
	struct pollfd ready[GROUP];
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), taken;
	size_t place = 0;

	if (to->any.sa_family == AF_INET)
		assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(fd, &to->any, to->length), 0);
	for (size_t i = 0; i < GROUP; i++)
		ready[i] = (struct pollfd){ .fd = listener_fd(l, i), .events = POLLIN };
	assert_int_equal(poll(ready, GROUP, PATIENCE_MS), 1);
	while (!ready[place].revents)
		place++;
	taken = accept(ready[place].fd, NULL, NULL);
	assert_true(taken >= 0);
	fd_close(&taken);
	fd_close(&fd);
	return place;
}

/* Worry: a client's second connection is counted by another relay, or all clients by one. */
static void test_by_client(void **state)
{
	struct listener *l = open_group("127.0.0.1:0", true);
	unsigned seen[GROUP] = { 0 };

	(void)state;
	assert_int_equal(l->other_count, GROUP - 1);
	for (unsigned client = 1; client <= CLIENTS; client++) {
		const size_t first = place_of(l, &l->described.local, client);

		for (int i = 0; i < 3; i++)
			assert_int_equal(place_of(l, &l->described.local, client), first);
		seen[first]++;
	}
	for (size_t i = 0; i < GROUP; i++)
		assert_true(seen[i] > 0 && seen[i] < CLIENTS / 2 + 5);
	listener_close(&l);
}

/* Worry: on a dual-stack socket IPv4 clients look like IPv6 ones, and all get one relay. */
static void test_dual_stack(void **state)
{
	struct listener *l = open_group("[::]:0", true);
	struct address to = { .length = sizeof to.v4 };
	struct address six = { .length = sizeof six.v6 };
	unsigned seen[GROUP] = { 0 }, used = 0;
	size_t first;

	(void)state;
	to.v4.sin_family = AF_INET;
	to.v4.sin_port = htons(address_port(&l->described.local));
	to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (unsigned client = 1; client <= CLIENTS; client++) {
		first = place_of(l, &to, client);
		assert_int_equal(place_of(l, &to, client), first);
		seen[first]++;
	}
	for (size_t i = 0; i < GROUP; i++)
		used += seen[i] > 0;
	assert_true(used >= 3);
	if (l->described.local.any.sa_family == AF_INET6) {
		six.v6.sin6_family = AF_INET6;
		six.v6.sin6_port = to.v4.sin_port;
		six.v6.sin6_addr = in6addr_loopback;
		first = place_of(l, &six, 0);
		for (int i = 0; i < 10; i++)
			assert_int_equal(place_of(l, &six, 0), first);
	}
	listener_close(&l);
}

/* Worry: without limits one relay does all the work. */
static void test_by_the_kernel(void **state)
{
	struct listener *l = open_group("127.0.0.1:0", false);
	unsigned seen[GROUP] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		seen[place_of(l, &l->described.local, 1)]++;
	for (size_t i = 0; i < GROUP; i++)
		assert_true(seen[i] > 10);
	listener_close(&l);
}

/* Worry: SO_REUSEPORT lets a second Limpet take half of the clients of the first, and both say that
 * all is well. */
static void test_a_second_program_is_refused(void **state)
{
	struct listener *first = open_group("127.0.0.1:0", false), *second;
	struct listener_spec spec = { .type = SOCK_STREAM, .backlog = 16, .sockets = GROUP };
	struct error e = { "" };
	int error = 0;

	(void)state;
	spec.local = first->described.local;
	second = listener_open(&spec, false, NULL, 0, &error, &e);
	assert_null(second);
	assert_int_equal(error, EADDRINUSE);
	assert_non_null(strstr(e.text, "is in use by"));
	listener_close(&first);
	second =
		listener_open(&spec, false, NULL, 0, &error, &e); /* and all of it was given back */
	assert_non_null(second);
	listener_close(&second);
}

/* Worry: sockets that cannot be a group are taken for one. */
static void test_one_for_all(void **state)
{
	struct listener_spec spec = { .type = SOCK_STREAM, .backlog = 16, .sockets = GROUP };
	struct error e = { "" };
	char text[64];
	struct listener *l;
	int error;

	(void)state;
	snprintf(text, sizeof text, "unix:/tmp/limpet-group.%d", (int)getpid());
	assert_true(address_parse(text, &spec.local, &e));
	l = listener_open(&spec, true, NULL, 0, &error, &e);
	assert_non_null(l);
	for (size_t i = 0; i < GROUP; i++)
		assert_int_equal(listener_fd(l, i), l->fd);
	listener_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_client),
		cmocka_unit_test(test_dual_stack),
		cmocka_unit_test(test_by_the_kernel),
		cmocka_unit_test(test_a_second_program_is_refused),
		cmocka_unit_test(test_one_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
