/* Why: what an application asks for must reach the supervisor as it was meant, its errors must be
 * Node's, and a server must come back from its record as it was. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "acceptor/node_server.h"

static struct node_asked asked_for(const char *address, int64_t port, enum node_address_type type,
				   int64_t flags)
{
	struct node_message m = { .port = port, .fd = -1, .address_type = type, .flags = flags };
	struct node_asked asked;

	snprintf(m.address, sizeof m.address, "%s", address);
	node_asked_from(&asked, &m);
	return asked;
}

/* Worry: an application that asks for 127.0.0.1 is opened to the world, or one family is forgotten.
 */
static void test_what_is_opened(void **state)
{
	char text[ADDRESS_TEXT];
	struct message_open open;
	struct node_asked asked;

	(void)state;
	asked = asked_for("", 3000, NODE_TCP4, 0);
	assert_int_equal(node_asked_open(&asked, &open), 0);
	assert_true(open.local.any.sa_family == AF_INET6 && open.dual_fallback && !open.v6only);
	asked = asked_for("127.0.0.1", 3000, NODE_TCP4, 0);
	assert_int_equal(node_asked_open(&asked, &open), 0);
	assert_string_equal(address_print(&open.local, text), "127.0.0.1:3000");
	assert_false(open.dual_fallback);
	asked = asked_for("::", 3000, NODE_TCP6, 1);
	assert_int_equal(node_asked_open(&asked, &open), 0);
	assert_true(open.local.any.sa_family == AF_INET6 && open.v6only && !open.dual_fallback);
	asked = asked_for("", -1, NODE_UDP4, 0); /* bind() without a port */
	assert_int_equal(node_asked_open(&asked, &open), 0);
	assert_true(open.local.any.sa_family == AF_INET && address_port(&open.local) == 0 &&
		    !open.reuse);
	asked = asked_for("", 53, NODE_UDP6, 5);
	assert_int_equal(node_asked_open(&asked, &open), 0);
	assert_true(open.local.any.sa_family == AF_INET6 && open.v6only && open.reuse);
}

static void test_what_nobody_could_open(void **state)
{
	const struct node_asked bad[] = {
		asked_for("localhost", 1, NODE_TCP4, 0),
		asked_for("::1", 1, NODE_TCP4, 0),
		asked_for("1.2.3", 65536, NODE_TCP4, 0),
		asked_for("", -1, NODE_TCP4, 0),
		asked_for("", -1, NODE_PATH, 0),
		asked_for("", 1, NODE_ADDRESS_INVALID, 0),
		asked_for("", 1, NODE_ADDRESS_NONE, 0),
		asked_for("/01234567890123456789012345678901234567890123456789012345678901234567890"
			  "12345678901234567890"
			  "12345678901234567",
			  -1, NODE_PATH, 0),
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct message_open open;

		assert_int_equal(node_asked_open(&bad[i], &open), -EINVAL);
	}
}

static void test_errors_are_nodes(void **state)
{
	struct node_asked path = asked_for("/x", -1, NODE_PATH, 0),
			  port = asked_for("", 1, NODE_TCP4, 0), fd = port;

	(void)state;
	fd.fd = 9;
	assert_int_equal(node_asked_error(&path, ENOENT), -EACCES);
	assert_int_equal(node_asked_error(&path, EADDRINUSE), -EADDRINUSE);
	assert_int_equal(node_asked_error(&fd, EBADF), -EINVAL);
	assert_int_equal(node_asked_error(&port, EADDRNOTAVAIL), -EADDRNOTAVAIL);
}

static void test_which_servers_collide(void **state)
{
	struct node_asked a = asked_for("", 3000, NODE_TCP4, 0), b = a,
			  zero = asked_for("", 0, NODE_TCP4, 0);
	struct node_asked udp = asked_for("", 53, NODE_UDP4, 4);

	(void)state;
	b.index = 1;
	assert_false(node_asked_equal(&a, &b));
	assert_true(node_asked_collides(&a, &b));
	assert_false(node_asked_collides(&zero, &zero)); /* two ports of the kernel's choice */
	assert_false(node_asked_collides(&udp, &udp));   /* both said reuseAddr */
	udp.flags = 0;
	assert_true(node_asked_collides(&udp, &udp));
}

static struct message_keep *record_of(const struct node_server *server, const uint32_t *feeds,
				      size_t count)
{
	struct message_keep *keep = calloc(1, sizeof *keep);

	keep->id = server->number;
	node_server_pack(server, feeds, count, keep);
	return keep;
}

static void test_record_brings_it_back(void **state)
{
	struct node_asked asked = asked_for("127.0.0.1", 3000, NODE_TCP4, 0);
	struct node_server *server = node_server_new(7, 3, &asked), *again;
	uint32_t feeds[NODE_FEEDS_MAX], feeds_again[NODE_FEEDS_MAX];
	struct address local = { .length = sizeof local.v4,
				 .v4 = { .sin_family = AF_INET, .sin_port = htons(80) } };
	struct message_keep *keep;
	size_t count;

	(void)state;
	for (uint32_t i = 0; i < NODE_FEEDS_MAX; i++)
		feeds[i] = i * 3 + 1;
	node_server_name(server, &local);
	assert_int_equal(server->sockname.port, 3000);
	server->is_guess = true;
	server->data = calloc(1, NODE_DATA_MAX + 1);
	memset(server->data, '7', NODE_DATA_MAX);
	keep = record_of(server, feeds, NODE_FEEDS_MAX); /* the largest that there is */
	again = node_server_unpack(keep, feeds_again, &count);
	assert_non_null(again);
	assert_int_equal(count, NODE_FEEDS_MAX);
	assert_memory_equal(feeds, feeds_again, sizeof feeds);
	assert_string_equal(again->key, server->key);
	assert_string_equal(again->data, server->data);
	assert_true(again->is_guess && again->state == NODE_SERVER_OPEN && again->number == 7);
	assert_true(node_asked_equal(&again->asked, &asked));
	assert_memory_equal(&again->sockname, &server->sockname, sizeof again->sockname);
	node_server_free(&again);
	node_server_free(&server);
	free(keep);
}

/* Worry: a record of another release of us, or a damaged one, is read beyond its end. */
static void test_unsound_records_are_refused(void **state)
{
	struct node_asked asked = asked_for("", 1, NODE_TCP4, 0);
	struct node_server *server = node_server_new(1, 1, &asked);
	uint32_t feeds[NODE_FEEDS_MAX] = { 4 };
	struct message_keep *keep = record_of(server, feeds, 1);
	const uint32_t whole = keep->length;
	size_t count;

	(void)state;
	for (keep->length = 0; keep->length < whole; keep->length++)
		assert_null(node_server_unpack(keep, feeds, &count));
	keep->length = whole + 1;
	assert_null(node_server_unpack(keep, feeds, &count));
	keep->length = whole;
	memset(keep->bytes, 0xff, whole);
	assert_null(node_server_unpack(keep, feeds, &count));
	node_server_free(&server);
	free(keep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_opened),
		cmocka_unit_test(test_what_nobody_could_open),
		cmocka_unit_test(test_errors_are_nodes),
		cmocka_unit_test(test_which_servers_collide),
		cmocka_unit_test(test_record_brings_it_back),
		cmocka_unit_test(test_unsound_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
