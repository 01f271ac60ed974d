/* Why: limpet_worker.h is a promise to programs that we never see: both directions are held against
 * it. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "limpet_worker.h"
#include "wire/worker_link.h"

/* Worry: an answer is taken for another one. */
static void test_answers(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		enum worker_word word;
		uint64_t id;
	} rows[] = {
		{ "\0\0\0\0\0\0\0\0", 8, WORKER_READY, 0 },
		{ "\1\0\0\0\0\0\0\0", 8, WORKER_ACKNOWLEDGES, 1 },
		{ "\1\2\0\0\0\0\0\0\1", 9, WORKER_LOST, 0x201 },
		{ "\1\2\0\0\0\0\0\0\2", 9, WORKER_REFUSES, 0x201 },
		{ "\1\2\0\0\0\0\0\0\0", 9, WORKER_BAD, 0 },
		{ "\1\2\0\0\0\0\0\0\3", 9, WORKER_BAD, 0 },
		{ "\1\2\0\0\0\0\0\0\xff", 9, WORKER_BAD, 0 },
		{ "\1\2\0\0\0\0\0\0\1\0", 10, WORKER_BAD, 0 },
		{ "\1\0\0\0\0\0\0", 7, WORKER_BAD, 0 },
		{ "\1", 1, WORKER_BAD, 0 },
		{ "", 0, WORKER_BAD, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t id = 77;

		assert_int_equal(worker_link_parse(rows[i].bytes, rows[i].length, &id),
				 rows[i].word);
		if (rows[i].word != WORKER_BAD)
			assert_memory_equal(&id, rows[i].bytes, 8);
	}
}

/* Worry: what we write is not what the workers' own header reads. */
static void test_a_worker_understands(void **state)
{
	struct peer from = { .v4 = { .sin_family = AF_INET, .sin_port = htons(40000) } };
	struct peer to = { .v4 = { .sin_family = AF_INET, .sin_port = htons(80) } };
	struct limpet_client client = { .fd = -1 };
	char record[WORKER_LINK_RECORD];
	size_t length;

	(void)state;
	from.v4.sin_addr.s_addr = htonl(0xc0000201);
	to.v4.sin_addr.s_addr = htonl(0x7f000001);
	length = worker_link_write(record, 0x123456789abcdef0, &from, &to);
	assert_in_range(length, 28, LIMPET_RECORD_MAX);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, length, &client), 0);
	assert_true(client.id == 0x123456789abcdef0);
	assert_int_equal(client.peer_length, sizeof from.v4);
	assert_memory_equal(&client.peer, &from.v4, sizeof from.v4);
	assert_memory_equal(&client.local, &to.v4, sizeof to.v4);
	from.any.sa_family = AF_UNIX;
	length = worker_link_write(record, 5, &from, &from);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, length, &client), 0);
	assert_true(client.id == 5);
	assert_int_equal(client.peer_length, 0);
}

/* Worry: the workers' own header says one thing and we hear another. */
static void test_we_understand_a_worker(void **state)
{
	char record[16];
	uint64_t id;
	int pair[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(limpet_worker_ready(pair[1]), 0);
	assert_int_equal(limpet_worker_accept(pair[1], 99), 0);
	assert_int_equal(limpet_worker_refuse(pair[1], 98, LIMPET_NOT_ARRIVED), 0);
	assert_int_equal(limpet_worker_refuse(pair[1], 97, LIMPET_BUSY), 0);
	static const enum worker_word words[] = { WORKER_READY, WORKER_ACKNOWLEDGES, WORKER_LOST,
						  WORKER_REFUSES };
	for (size_t i = 0; i < 4; i++) {
		ssize_t length = recv(pair[0], record, sizeof record, 0);

		assert_true(length > 0);
		assert_int_equal(worker_link_parse(record, (size_t)length, &id), words[i]);
		assert_int_equal(id, i == 0 ? 0 : 100 - i);
	}
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

/* Worry: the gentle end loses clients that are on their way, or takes the worker's voice. */
static void test_finish(void **state)
{
	char record[WORKER_LINK_RECORD];
	struct peer nobody = { .any = { .sa_family = AF_UNSPEC } };
	struct limpet_client client = { .fd = -1 };
	int pair[2], gift[2];
	size_t length;

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(fd_pair(SOCK_STREAM, gift), 0);
	length = worker_link_write(record, 7, &nobody, &nobody);
	assert_int_equal(fd_send(pair[0], record, length, gift[0]), (ssize_t)length);
	worker_link_finish(pair[0]);
	assert_int_equal(limpet_worker_receive(pair[1], &client), 1);
	assert_true(client.id == 7);
	fd_close(&client.fd);
	assert_int_equal(limpet_worker_receive(pair[1], &client), 0);
	assert_int_equal(limpet_worker_accept(pair[1], 7), 0);
	assert_int_equal(recv(pair[0], record, sizeof record, 0), 8);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&gift[0]);
	fd_close(&gift[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_a_worker_understands),
		cmocka_unit_test(test_we_understand_a_worker),
		cmocka_unit_test(test_finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
