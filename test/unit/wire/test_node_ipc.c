/* Why: Node's own lines must be understood as they are, in every version's spelling, and what we
 * write must be what JSON.parse takes: one bad line from us kills a worker.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/node_ipc.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Every allocation of this program and of jansson is counted. */
static unsigned long allocations;

#if SANITIZED
void __sanitizer_malloc_hook(const volatile void *bytes, size_t size);

void __sanitizer_malloc_hook(const volatile void *bytes, size_t size)
{
	(void)bytes, (void)size;
	allocations++;
}
#else
void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}
#endif

static struct node_message parse(const char *line)
{
	struct node_message m;

	node_ipc_parse(line, strlen(line), &m);
	return m;
}

static enum node_act act_of(const char *line)
{
	struct node_message m = parse(line);
	enum node_act act = m.act;

	node_message_clear(&m);
	return act;
}

/* Worry: a worker of Node 12 leaves out what a worker of Node 22 writes, and either is misread. */
static void test_query_in_every_version(void **state)
{
	static const char *const lines[] = {
		/* 12, 14 */
		"{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,\"port\":3000,"
		"\"addressType\":4,"
		"\"seq\":1,\"cmd\":\"NODE_CLUSTER\"}",
		/* 16, 18, 20 */
		"{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,\"port\":3000,"
		"\"addressType\":4,"
		"\"backlog\":0,\"seq\":1,\"cmd\":\"NODE_CLUSTER\"}",
		/* 16 and later, with a host */
		"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
		"\"address\":null,"
		"\"port\":3000,\"addressType\":4,\"flags\":0,\"backlog\":false,\"seq\":1}",
		/* 22, 24 */
		"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
		"\"backlog\":0,"
		"\"address\":null,\"port\":3000,\"addressType\":4,\"flags\":0,\"seq\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct node_message m = parse(lines[i]);

		assert_int_equal(m.act, NODE_QUERY_SERVER);
		assert_int_equal(m.seq, 1);
		assert_string_equal(m.address, "");
		assert_int_equal(m.address_type, NODE_TCP4);
		assert_int_equal(m.port, 3000);
		assert_int_equal(m.fd, -1);
		assert_int_equal(m.index, 0);
		assert_int_equal(m.flags, 0);
		assert_int_equal(m.backlog, 0);
		assert_null(m.data);
	}
}

/* Worry: one of the forms of listen() is taken for another. */
static void test_every_form_of_listen(void **state)
{
	struct node_message m;

	(void)state;
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":1,\"data\":null,"
		  "\"address\":\"::\","
		  "\"port\":0,\"addressType\":6,\"flags\":1,\"backlog\":128,\"seq\":7}");
	assert_int_equal(m.address_type, NODE_TCP6);
	assert_string_equal(m.address, "::");
	assert_int_equal(m.port, 0);
	assert_int_equal(m.index, 1);
	assert_int_equal(m.flags, 1);
	assert_int_equal(m.backlog, 128);

	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
		  "\"address\":\"/run/\\u00e4 "
		  "\\\"x\\\".sock\",\"port\":-1,\"addressType\":-1,\"readableAll\":true,"
		  "\"writableAll\":true,\"seq\":8}");
	assert_int_equal(m.address_type, NODE_PATH);
	assert_string_equal(m.address, "/run/\xc3\xa4 \"x\".sock");
	assert_int_equal(m.port, -1);
	assert_true(m.readable_all && m.writable_all);

	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
		  "\"address\":null,"
		  "\"port\":null,\"addressType\":null,\"fd\":3,\"seq\":9}");
	assert_int_equal(m.address_type, NODE_ADDRESS_NONE);
	assert_int_equal(m.fd, 3);
	assert_int_equal(m.port, -1);

	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"index\":0,\"data\":null,"
		  "\"address\":\"0.0.0.0\",\"port\":\"3206\",\"addressType\":\"udp4\",\"fd\":-1,"
		  "\"flags\":4,\"seq\":10}");
	assert_int_equal(m.address_type, NODE_UDP4);
	assert_int_equal(m.port, 3206);
	assert_int_equal(m.fd, -1);
	assert_int_equal(m.flags, 4);

	assert_int_equal(parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"addressType\":"
			       "\"udp6\",\"seq\":1}")
				 .address_type,
			 NODE_UDP6);
}

/* Worry: an address that we cannot hold leaves the application without an answer, hanging for ever.
 */
static void test_impossible_address_is_still_a_question(void **state)
{
	char line[512], path[200];
	struct node_message m;

	(void)state;
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	snprintf(line, sizeof line,
		 "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":\"/"
		 "%s\",\"port\":-1,\"addressType\":-1,"
		 "\"seq\":4}",
		 path);
	m = parse(line);
	assert_int_equal(m.act, NODE_QUERY_SERVER);
	assert_int_equal(m.seq, 4);
	assert_int_equal(m.address_type, NODE_ADDRESS_INVALID);
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"address\":"
		  "\"\\u0000abstract\",\"port\":-1,"
		  "\"addressType\":-1,\"seq\":4}");
	assert_int_equal(m.address_type, NODE_ADDRESS_INVALID);
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"addressType\":1e300,\"seq\":"
		  "4}");
	assert_int_equal(m.address_type, NODE_ADDRESS_INVALID);
}

/* Worry: the TLS ticket keys of the first worker do not reach the others as they were. */
static void test_data_survives(void **state)
{
	struct node_message m =
		parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"port\":443,"
		      "\"addressType\":4,\"seq\":1,\"data\":{\"ticketKeys\":\"00ff\",\"n\":[1,2.5,"
		      "\"\\u2028\\n\"]}}");
	json_t *data;

	(void)state;
	assert_non_null(m.data);
	assert_null(strchr(m.data, '\n'));
	data = json_loads(m.data, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(data, "ticketKeys")), "00ff");
	assert_int_equal((int)json_number_value(json_array_get(json_object_get(data, "n"), 0)), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(data, "n"), 2)),
			    "\xe2\x80\xa8\n");
	json_decref(data);
	node_message_clear(&m);
	assert_null(m.data);
}

/* Worry: data larger than the parser's arena is cut, or leaks. */
static void test_huge_data(void **state)
{
	const size_t size = 3u << 20;
	char *line = malloc(size + 256);
	struct node_message m;
	int head = snprintf(line, 256,
			    "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"addressType\":4,"
			    "\"port\":1,\"seq\":1,\"data\":\"");

	(void)state;
	memset(line + head, 'k', size);
	memcpy(line + head + size, "\"}", 3);
	m = parse(line);
	assert_int_equal(m.act, NODE_QUERY_SERVER);
	assert_int_equal(strlen(m.data), size + 2);
	node_message_clear(&m);
	free(line);
}

/* Worry: one of the short messages is taken for another, or the application's own message for
 * Node's. */
static void test_acts(void **state)
{
	struct node_message m;

	(void)state;
	assert_int_equal(act_of("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}"),
			 NODE_ONLINE);
	assert_int_equal(
		act_of("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"listening\",\"index\":0,\"data\":null,"
		       "\"address\":null,\"port\":3000,\"addressType\":4,\"backlog\":0,\"seq\":2}"),
		NODE_LISTENING);
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":\"7x1\",\"seq\":5}");
	assert_int_equal(m.act, NODE_CLOSE);
	assert_string_equal(m.key, "7x1");
	m = parse(
		"{\"ack\":9007199254740991,\"accepted\":true,\"seq\":3,\"cmd\":\"NODE_CLUSTER\"}");
	assert_int_equal(m.act, NODE_ACK);
	assert_true(m.ack == 9007199254740991u && m.accepted);
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"ack\":17,\"accepted\":false,\"seq\":3}");
	assert_true(m.act == NODE_ACK && m.ack == 17 && !m.accepted);
	m = parse("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"exitedAfterDisconnect\",\"seq\":12}");
	assert_true(m.act == NODE_EXITED_AFTER_DISCONNECT && m.seq == 12);
	assert_int_equal(act_of("{\"cmd\":\"NODE_HANDLE_ACK\"}"), NODE_HANDLE_ACK);
	assert_int_equal(act_of("{\"cmd\":\"NODE_HANDLE_NACK\"}"), NODE_HANDLE_NACK);
	assert_int_equal(act_of("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"a\":1}"
				",\"key\":\"x\"}"),
			 NODE_HANDLE);
	assert_int_equal(act_of("{\"cmd\":\"NODE_SOMETHING\"}"), NODE_INTERNAL_OTHER);
	assert_int_equal(act_of("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"fromTheFuture\"}"),
			 NODE_INTERNAL_OTHER);
}

static void test_what_is_the_applications(void **state)
{
	static const char *const lines[] = {
		"\"ready\"",
		"17",
		"null",
		"true",
		"[]",
		"{}",
		"{\"hello\":1}",
		"{\"cmd\":\"user-cmd\"}",
		"{\"cmd\":\"NODE_\"}",
		"{\"cmd\":7}",
		"{\"cmd\":\"node_cluster\",\"act\":\"online\"}",
		"{\"message\":{\"cmd\":\"NODE_CLUSTER\"}}",
		"100000000000000000000000",
		"-1.5e-300",
		"\"\\u0000\"",
		"\"\\ud83d\\ude00\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_int_equal(act_of(lines[i]), NODE_USER);
}

/* Worry: garbage is believed. Half of a line is what a successor of a dead acceptor reads first. */
static void test_garbage(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"{",
		"}",
		"seq\":3}",
		"\"accepted\":true,\"seq\":3,\"cmd\":\"NODE_CLUSTER\"}",
		"{\"cmd\":\"NODE_CLUSTER\"",
		"{\"cmd\":\"NODE_CLUSTER\"}}",
		"{\"a\":1}{\"b\":2}",
		"nul",
		"\xff\xfe",
		"{\"a\":\"\x01\"}",
		"{\"cmd\":\"NODE_CLUSTER\",\"ack\":-1}",
		"{\"cmd\":\"NODE_CLUSTER\",\"ack\":\"1\"}",
		"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"queryServer\",\"addressType\":4}",
		"{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\",\"key\":{}}",
		("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"close\","
		 "\"key\":\"0123456789012345678901234567890123456789012345678901234567890123\"}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_int_equal(act_of(lines[i]), NODE_BAD);
}

/* Worry: the short way for the usual lines takes something else for one, or reads it otherwise. */
static void test_usual_lines_read_alike(void **state)
{
	static const char *const usual[] = {
		"{\"cmd\":\"NODE_HANDLE_ACK\"}",
		"{\"cmd\":\"NODE_CLUSTER\",\"ack\":7,\"accepted\":true,\"seq\":12}",
		"{\"cmd\":\"NODE_CLUSTER\",\"ack\":9007199254740991,\"accepted\":true,\"seq\":1}",
	};
	char line[128], spaced[130];

	(void)state;
	for (size_t u = 0; u < sizeof usual / sizeof *usual; u++) {
		for (size_t place = 0; place <= strlen(usual[u]); place++) {
			for (int byte = 0; byte < 256; byte++) {
				struct node_message here, there;
				size_t length = strlen(usual[u]);

				memcpy(line, usual[u], length);
				line[place] = (char)byte; /* past the end: one byte more */
				length += place == length;
				spaced[0] = ' ';
				memcpy(spaced + 1, line, length);
				node_ipc_parse(line, length, &here);
				node_ipc_parse(spaced, length + 1, &there);
				assert_int_equal(here.act, there.act);
				assert_int_equal(here.ack, there.ack);
				assert_int_equal(here.seq, there.seq);
				assert_int_equal(here.accepted, there.accepted);
				node_message_clear(&here);
				node_message_clear(&there);
			}
		}
	}
}

/* Worry: the hand-over path allocates, and 50,000 connections a second fragment the heap. */
static void test_acknowledgement_does_not_allocate(void **state)
{
	static const char line[] = "{\"ack\":9007199254740991,\"accepted\":true,\"seq\":123456,"
				   "\"cmd\":\"NODE_CLUSTER\"}";
	unsigned long before;

	(void)state;
	assert_int_equal(act_of("{\"cmd\":\"NODE_HANDLE_ACK\"}"), NODE_HANDLE_ACK);
	assert_true(allocations > 0); /* the counter does count */
	before = allocations;
	for (int i = 0; i < 1000; i++) {
		struct node_message m;

		node_ipc_parse(line, sizeof line - 1, &m);
		if (m.act != NODE_ACK)
			fail();
		node_ipc_parse("{\"cmd\":\"NODE_HANDLE_ACK\"}", 25, &m);
	}
	assert_int_equal(allocations, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query_in_every_version),
		cmocka_unit_test(test_every_form_of_listen),
		cmocka_unit_test(test_impossible_address_is_still_a_question),
		cmocka_unit_test(test_data_survives),
		cmocka_unit_test(test_huge_data),
		cmocka_unit_test(test_acts),
		cmocka_unit_test(test_what_is_the_applications),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_usual_lines_read_alike),
		cmocka_unit_test(test_acknowledgement_does_not_allocate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
