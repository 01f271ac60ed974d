/* Why: one line that JSON.parse does not take kills a worker, and half a line makes two lines into
 * one. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "wire/node_ipc.h"

/* What JSON.parse will make of our line: exactly one value, one '\n' at the end. */
static json_t *read_back(const char *line, size_t length)
{
	json_t *value;

	assert_true(length > 1);
	assert_int_equal(strlen(line), length);
	assert_ptr_equal(strchr(line, '\n'), line + length - 1);
	value = json_loadb(line, length, 0, NULL);
	assert_non_null(value);
	return value;
}

static void test_newconn(void **state)
{
	char line[256];
	json_t *value = read_back(line,
				  node_ipc_newconn(line, sizeof line, "3x7", 9007199254740991u)),
	       *inner;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(value, "cmd")), "NODE_HANDLE");
	assert_string_equal(json_string_value(json_object_get(value, "type")), "net.Native");
	inner = json_object_get(value, "msg");
	assert_string_equal(json_string_value(json_object_get(inner, "cmd")), "NODE_CLUSTER");
	assert_string_equal(json_string_value(json_object_get(inner, "act")), "newconn");
	assert_string_equal(json_string_value(json_object_get(inner, "key")), "3x7");
	assert_true(json_integer_value(json_object_get(inner, "seq")) == 9007199254740991);
	assert_null(json_object_get(inner, "ack"));
	json_decref(value);
}

static void test_reply(void **state)
{
	char line[NODE_OUT_MAX];
	json_t *value, *name;

	(void)state;
	value = read_back(line, node_ipc_reply(line, sizeof line, "1x1", 1, 0, 0,
					       "{\"ticketKeys\":\"00\"}", "fe80::1%et\"h0", "IPv6",
					       3000));
	assert_true(json_is_null(json_object_get(value, "errno")));
	assert_int_equal(json_integer_value(json_object_get(value, "ack")), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(value, "data"), "ticketKeys")),
		"00");
	name = json_object_get(value, "sockname");
	assert_string_equal(json_string_value(json_object_get(name, "address")), "fe80::1%et\"h0");
	assert_string_equal(json_string_value(json_object_get(name, "family")), "IPv6");
	assert_int_equal(json_integer_value(json_object_get(name, "port")), 3000);
	json_decref(value);

	value = read_back(line, node_ipc_reply(line, sizeof line, "1x1", 2, 1, -EADDRINUSE, NULL,
					       NULL, NULL, 0));
	assert_int_equal(json_integer_value(json_object_get(value, "errno")), -EADDRINUSE);
	assert_true(json_is_null(json_object_get(value, "data")));
	assert_null(json_object_get(value, "sockname"));
	json_decref(value);
}

static void test_other_lines(void **state)
{
	char line[512];
	json_t *value;

	(void)state;
	value = read_back(line, node_ipc_shared_reply(line, sizeof line, "1x2", 5, 6, true, NULL));
	assert_string_equal(json_string_value(json_object_get(value, "type")), "dgram.Native");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "msg"), "ack")),
			 5);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(value, "msg"), "errno")), 0);
	json_decref(value);
	value = read_back(line, node_ipc_shared_reply(line, sizeof line, "1x2", 5, 6, false, "7"));
	assert_string_equal(json_string_value(json_object_get(value, "type")), "net.Native");
	json_decref(value);
	value = read_back(line, node_ipc_plain_ack(line, sizeof line, 8, 9));
	assert_int_equal(json_integer_value(json_object_get(value, "ack")), 8);
	json_decref(value);
	value = read_back(line, node_ipc_disconnect(line, sizeof line, 9));
	assert_string_equal(json_string_value(json_object_get(value, "act")), "disconnect");
	json_decref(value);
	value = read_back(line, node_ipc_handle_ack(line, sizeof line));
	assert_string_equal(json_string_value(json_object_get(value, "cmd")), "NODE_HANDLE_ACK");
	json_decref(value);
}

/* Worry: a line that does not fit goes out cut, or a strange key breaks it. */
static void test_never_half_a_line(void **state)
{
	char line[NODE_OUT_MAX], data[NODE_OUT_MAX];
	const size_t whole = node_ipc_newconn(line, sizeof line, "1x1", 12345);

	(void)state;
	for (size_t size = 1; size <= whole; size++)
		assert_int_equal(node_ipc_newconn(line, size, "1x1", 12345), 0);
	assert_int_equal(node_ipc_newconn(line, whole + 1, "1x1", 12345), whole);
	memset(data, '1', sizeof data - 1);
	data[sizeof data - 1] = '\0';
	assert_int_equal(node_ipc_reply(line, sizeof line, "1x1", 1, 1, 0, data, NULL, NULL, 0), 0);
	assert_int_equal(node_ipc_newconn(line, sizeof line, "a\"b", 1), 0);
	assert_int_equal(node_ipc_newconn(line, sizeof line, "", 1), 0);
	assert_int_equal(
		node_ipc_reply(line, sizeof line, "1x1", 1, 1, 0, NULL, "\xff\xfe", "IPv4", 1), 0);
}

static json_t *member_of(const char *line, size_t length)
{
	json_t *value = json_loadb(line, length - 1, 0, NULL), *member;

	assert_non_null(value);
	assert_int_equal(line[length - 1], '\n');
	assert_int_equal(strlen(line), length);
	member = json_incref(json_object_get(json_object_get(value, "msg"), "limpet"));
	json_decref(value);
	return member;
}

/* Worry: a host name or a section's name ends our line early, and the worker with it. */
static void test_newconn_with_a_passport(void **state)
{
	struct passport passport = { .is_tls = true };
	struct node_client client = { .passport = &passport, .section = "a\"}\n\\" };
	char line[2048];
	json_t *member;
	size_t length;

	(void)state;
	passport.from.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = 0x5634 };
	passport.from.v6.sin6_addr.s6_addr[15] = 1;
	snprintf(passport.server_name, sizeof passport.server_name, "x\"},\n\x01\xc3\xa4");
	snprintf(passport.alpn, sizeof passport.alpn, "\xff\xfe"); /* no UTF-8 */
	length = node_ipc_newconn_client(line, sizeof line, "1x1", 5, &client);
	member = member_of(line, length);
	assert_string_equal(json_string_value(json_object_get(member, "servername")),
			    passport.server_name);
	assert_string_equal(json_string_value(json_object_get(member, "section")), client.section);
	assert_null(json_object_get(member, "alpn"));
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(member, "peer"), "address")),
		"::1");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(member, "peer"), "port")),
		0x3456);
	json_decref(member);
	client = (struct node_client){ .section = "site" };
	length = node_ipc_newconn_client(line, sizeof line, "1x1", 5, &client);
	member = member_of(line, length);
	assert_int_equal(json_object_size(member), 2);
	json_decref(member);
	assert_int_equal(node_ipc_newconn_client(line, sizeof line, "1 x", 5, &client), 0);
}

/* Worry: a line that does not fit is cut. */
static void test_newconn_fits_or_is_none(void **state)
{
	struct passport passport = { .is_tls = true };
	const struct node_client client = { .passport = &passport };
	char line[4096], whole[4096];
	size_t length;

	(void)state;
	memset(passport.server_name, 1, sizeof passport.server_name - 1); /* \u0001 each */
	length = node_ipc_newconn_client(whole, sizeof whole, "1x1", 5, &client);
	assert_true(length > 6 * 255);
	for (size_t size = 1; size < length + 4; size++) {
		memset(line, 'Z', sizeof line);
		const size_t got = node_ipc_newconn_client(line, size, "1x1", 5, &client);

		assert_true(got == 0 || got == length);
		if (got > 0)
			assert_string_equal(line, whole);
		assert_int_equal(line[size], 'Z');
	}
	assert_true(node_ipc_newconn_client(line, length + 1, "1x1", 5, &client) == length);
}

static void test_tickets(void **state)
{
	struct ticket_key key = { .name = { 1 }, .aes = { 2 }, .hmac = { 3 } };
	static const struct ticket_key none;
	char line[256];

	(void)state;
	assert_true(node_ipc_tickets(line, sizeof line, &key) > 0);
	assert_string_equal(line, "{\"cmd\":\"NODE_LIMPET\",\"ticketKeys\":"
				  "\"01000000000000000000000000000000"
				  "03000000000000000000000000000000"
				  "02000000000000000000000000000000\"}\n");
	assert_int_equal(node_ipc_tickets(line, sizeof line, &none), 0);
	assert_int_equal(node_ipc_tickets(line, 100, &key), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_newconn),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_other_lines),
		cmocka_unit_test(test_never_half_a_line),
		cmocka_unit_test(test_newconn_with_a_passport),
		cmocka_unit_test(test_newconn_fits_or_is_none),
		cmocka_unit_test(test_tickets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
