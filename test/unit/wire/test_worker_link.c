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

/* Worry: the largest passport does not fit, or a worker reads something else in it. */
static void test_a_worker_understands_a_passport(void **state)
{
	struct passport passport = { .is_tls = true, .is_verified = true };
	struct limpet_client client = { .fd = -1 };
	char record[WORKER_LINK_RECORD];
	size_t length;

	(void)state;
	passport.from.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						  .sin6_port = htons(4242),
						  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	passport.to = passport.from;
	memset(passport.tls_version, 'v', sizeof passport.tls_version - 1);
	memset(passport.cipher, 'c', sizeof passport.cipher - 1);
	memset(passport.alpn, 'a', sizeof passport.alpn - 1);
	memset(passport.server_name, 's', sizeof passport.server_name - 1);
	memset(passport.client_name, 'n', sizeof passport.client_name - 1);
	length = worker_link_write_passport(record, 99, &passport);
	assert_in_range(length, 500, WORKER_LINK_RECORD);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, length, &client), 0);
	assert_true(client.id == 99 && client.is_tls && client.is_verified);
	assert_memory_equal(&client.peer, &passport.from.v6, sizeof passport.from.v6);
	assert_string_equal(client.tls_version, passport.tls_version);
	assert_string_equal(client.cipher, passport.cipher);
	assert_string_equal(client.alpn, passport.alpn);
	assert_string_equal(client.server_name, passport.server_name);
	assert_string_equal(client.client_name, passport.client_name);
	passport = (struct passport){ .from = passport.from, .to = passport.to };
	length = worker_link_write_passport(record, 5, &passport);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, length, &client), 0);
	assert_true(client.id == 5 && !client.is_tls && !client.is_verified);
	assert_string_equal(client.cipher, "");
	passport.from.any.sa_family = AF_UNIX;
	length = worker_link_write_passport(record, 6, &passport);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, length, &client), 0);
	assert_int_equal(client.peer_length, 0);
}

/* A record of a client without an address, with one TLV more, as a program of another make might
 * write it. */
static void parse_with(const void *tlv, size_t length, struct limpet_client *client_r)
{
	const struct peer nobody = { .any = { .sa_family = AF_UNSPEC } };
	char record[WORKER_LINK_RECORD];
	size_t used = worker_link_write(record, 7, &nobody, &nobody);

	memcpy(record + used, tlv, length);
	used += length;
	record[14] = (char)((used - 16) >> 8);
	record[15] = (char)(used - 16);
	assert_int_equal(limpet_worker_parse((unsigned char *)record, used, client_r), 0);
	assert_true(client_r->id == 7);
}

/* Worry: text without its NUL, or with one within, is read beyond its end or cut to another name.
 */
static void test_a_worker_believes_no_damaged_text(void **state)
{
	struct limpet_client client = { .fd = -1 };
	char name[3 + 300] = "\x02\x01\x2c";

	(void)state;
	parse_with("\x20\0\x0f\x03\0\0\0\0\x21\0\x07TLSv1.3", 18, &client);
	assert_true(client.is_tls && client.is_verified);
	assert_string_equal(client.tls_version, "TLSv1.3");
	parse_with("\x20\0\x0b\x05\0\0\0\1\x21\0\x09TLS", 14, &client); /* ends too soon */
	assert_true(client.is_tls && !client.is_verified);
	assert_string_equal(client.tls_version, "");
	parse_with("\x20\0\x02\x01\0", 5, &client);
	assert_false(client.is_tls);
	parse_with("\x01\0\x03"
		   "a\0b",
		   6, &client);
	assert_string_equal(client.alpn, "");
	memset(name + 3, 'x', 300);
	parse_with(name, sizeof name, &client);
	assert_string_equal(client.server_name, "");
	name[1] = 0;
	name[2] = (char)255;
	parse_with(name, 3 + 255, &client);
	assert_int_equal(strlen(client.server_name), 255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_a_worker_understands),
		cmocka_unit_test(test_we_understand_a_worker),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_a_worker_understands_a_passport),
		cmocka_unit_test(test_a_worker_believes_no_damaged_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
