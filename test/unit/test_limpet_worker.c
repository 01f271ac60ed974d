/* Why: workers copy limpet_worker.h, so a fault in it cannot be recalled. The worries: a record
 * that is not what it says is believed; a lost descriptor loses the client; a surplus one leaks;
 * the ways the link can end. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "limpet_worker.h"

static const unsigned char id[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static int limpet_end, worker_end;

/* A header under construction. */
struct record {
	unsigned char bytes[8192];
	size_t length;
};

static void put(struct record *record, const void *bytes, size_t length)
{
	memcpy(record->bytes + record->length, bytes, length);
	record->length += length;
}

static void put_tlv(struct record *record, unsigned char type, const void *value, size_t length)
{
	const unsigned char head[3] = { type, (unsigned char)(length >> 8), (unsigned char)length };

	put(record, head, sizeof head);
	put(record, value, length);
}

static void begin(struct record *record, unsigned char command, unsigned char family)
{
	static const unsigned char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	const unsigned char rest[4] = { command, family, 0, 0 };

	record->length = 0;
	put(record, signature, 12);
	put(record, rest, sizeof rest);
}

static void finish(struct record *record)
{
	record->bytes[14] = (unsigned char)((record->length - 16) >> 8);
	record->bytes[15] = (unsigned char)(record->length - 16);
}

/* 192.0.2.7:5555 -> 127.0.0.1:3000 with the id. */
static void make_v4(struct record *record)
{
	begin(record, 0x21, 0x11);
	put(record, "\xc0\x00\x02\x07\x7f\x00\x00\x01\x15\xb3\x0b\xb8", 12);
	put_tlv(record, 0x05, id, sizeof id);
	finish(record);
}

/* Sends the record with one end of a pipe; returns nothing of it: the test counts descriptors. */
static void give(const struct record *record)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fd_send(limpet_end, record->bytes, record->length, ends[0]),
			 record->length);
	close(ends[0]);
	close(ends[1]);
}

static int open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void expect_refusal(unsigned char reason)
{
	unsigned char answer[16];

	assert_int_equal(recv(limpet_end, answer, sizeof answer, 0), 9);
	assert_memory_equal(answer, id, sizeof id);
	assert_int_equal(answer[8], reason);
}

static void expect_silence(void)
{
	char answer[16];

	assert_int_equal(recv(limpet_end, answer, sizeof answer, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static int open_link(void **state)
{
	int pair[2];
	char number[16];

	(void)state;
	if (fd_pair(SOCK_SEQPACKET, pair) < 0)
		return -1;
	limpet_end = pair[0];
	worker_end = pair[1];
	snprintf(number, sizeof number, "%d", worker_end);
	return setenv("LIMPET_LINK_FD", number, 1);
}

static int close_link(void **state)
{
	(void)state;
	fd_close(&limpet_end);
	fd_close(&worker_end);
	return 0;
}

static void the_link_is_found_and_not_inherited(void **state)
{
	(void)state;
	fcntl(worker_end, F_SETFD, 0);
	assert_int_equal(limpet_worker_link(), worker_end);
	assert_true(fcntl(worker_end, F_GETFD) & FD_CLOEXEC);
}

static void without_limpet_there_is_no_link(void **state)
{
	static const char *const wrong[] = {
		"", "x", "3x", "-1", "99999999999999999999", "1000000"
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		setenv("LIMPET_LINK_FD", wrong[i], 1);
		assert_int_equal(limpet_worker_link(), -1);
	}
	unsetenv("LIMPET_LINK_FD");
	assert_int_equal(limpet_worker_link(), -1);
	assert_int_equal(errno, ENOTCONN);
}

static void another_kind_of_socket_is_no_link(void **state)
{
	int pair[2];
	char number[16];

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	snprintf(number, sizeof number, "%d", pair[0]);
	setenv("LIMPET_LINK_FD", number, 1);
	assert_int_equal(limpet_worker_link(), -1);
	assert_int_equal(errno, EPROTOTYPE);
	close(pair[0]);
	close(pair[1]);
}

static void a_client_arrives_with_both_addresses(void **state)
{
	struct record record;
	struct limpet_client client;
	const struct sockaddr_in *peer = (const struct sockaddr_in *)&client.peer;
	const struct sockaddr_in *local = (const struct sockaddr_in *)&client.local;
	unsigned char answer[16];

	(void)state;
	make_v4(&record);
	give(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	assert_int_equal(client.peer_length, sizeof *peer);
	assert_int_equal(peer->sin_family, AF_INET);
	assert_string_equal(inet_ntoa(peer->sin_addr), "192.0.2.7");
	assert_int_equal(ntohs(peer->sin_port), 5555);
	assert_string_equal(inet_ntoa(local->sin_addr), "127.0.0.1");
	assert_int_equal(ntohs(local->sin_port), 3000);
	assert_memory_equal(&client.id, id, sizeof id);
	assert_true(fcntl(client.fd, F_GETFD) & FD_CLOEXEC);
	expect_silence(); /* the acknowledgement is the worker's own word */
	assert_int_equal(limpet_worker_accept(worker_end, client.id), 0);
	assert_int_equal(recv(limpet_end, answer, sizeof answer, 0), 8);
	assert_memory_equal(answer, id, sizeof id);
	close(client.fd);
}

static void an_ipv6_client_keeps_his_address(void **state)
{
	static const unsigned char addresses[36] = {
		0x20, 0x01, 0x0d, 0xb8, [15] = 5, [31] = 1, 0x15, 0xb3, 0x0b, 0xb8
	};
	struct record record;
	struct limpet_client client;
	const struct sockaddr_in6 *peer = (const struct sockaddr_in6 *)&client.peer;
	char text[INET6_ADDRSTRLEN];

	(void)state;
	begin(&record, 0x21, 0x21);
	put(&record, addresses, sizeof addresses);
	put_tlv(&record, 0x05, id, sizeof id);
	finish(&record);
	give(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	assert_string_equal(inet_ntop(AF_INET6, &peer->sin6_addr, text, sizeof text),
			    "2001:db8::5");
	assert_int_equal(ntohs(peer->sin6_port), 5555);
	assert_int_equal(client.local_length, sizeof *peer);
	close(client.fd);
}

static void a_client_of_a_unix_socket_has_no_address(void **state)
{
	struct record record;
	struct limpet_client client;

	(void)state;
	begin(&record, 0x20, 0x00);
	put_tlv(&record, 0x05, id, sizeof id);
	finish(&record);
	give(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	assert_int_equal(client.peer_length, 0);
	assert_int_equal(client.peer.ss_family, AF_UNSPEC);
	close(client.fd);
}

static void unknown_tlvs_are_skipped(void **state)
{
	unsigned char value[3000] = {
		0x05, 0, 8, 9, 9, 9
	}; /* looks like an id, but is within another TLV */
	struct record record;
	struct limpet_client client;

	(void)state;
	begin(&record, 0x20, 0x00);
	put_tlv(&record, 0x01, "h2", 2);
	put_tlv(&record, 0x20, value, sizeof value);
	put_tlv(&record, 0x05, id, sizeof id);
	put_tlv(&record, 0xee, "", 0);
	finish(&record);
	give(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	assert_memory_equal(&client.id, id, sizeof id);
	close(client.fd);
}

/* Gives the record and expects it refused as damaged, and its descriptor closed. */
static void expect_damaged(const struct record *record)
{
	struct limpet_client client;
	const int before = open_descriptors();

	give(record);
	errno = 0;
	assert_int_equal(limpet_worker_receive(worker_end, &client), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(client.fd, -1);
	assert_int_equal(open_descriptors(), before);
}

static void no_prefix_of_a_record_is_a_record(void **state)
{
	struct record record;
	const size_t lengths[] = { 1, 11, 12, 15, 16, 27, 28, 30, 31, 38 };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		make_v4(&record);
		assert_true(lengths[i] < record.length);
		record.length = lengths[i];
		expect_damaged(&record);
		if (record.length >= 16) { /* the same, with a length field that agrees */
			finish(&record);
			expect_damaged(&record);
		}
	}
}

static void no_byte_of_the_fixed_part_may_differ(void **state)
{
	struct record record;

	(void)state;
	for (size_t i = 0; i < 16; i++) {
		make_v4(&record);
		record.bytes[i] ^= 0x40;
		expect_damaged(&record);
	}
}

static void a_record_without_a_proper_id_is_damaged(void **state)
{
	static const unsigned char zero[8];
	struct record record;

	(void)state;
	begin(&record, 0x20, 0x00);
	finish(&record);
	expect_damaged(&record);
	begin(&record, 0x20, 0x00);
	put_tlv(&record, 0x05, id, 7);
	finish(&record);
	expect_damaged(&record);
	begin(&record, 0x20, 0x00);
	put_tlv(&record, 0x05, zero, sizeof zero);
	finish(&record);
	expect_damaged(&record);
	make_v4(&record);
	put(&record, "\x01\x00\x09", 3); /* a TLV that reaches beyond the end */
	finish(&record);
	expect_damaged(&record);
}

static void a_record_over_4096_bytes_is_damaged(void **state)
{
	static const unsigned char value[4096];
	struct record record;

	(void)state;
	begin(&record, 0x20, 0x00);
	put_tlv(&record, 0x05, id, sizeof id);
	put_tlv(&record, 0x20, value, sizeof value);
	finish(&record);
	expect_damaged(&record);
}

static void a_lost_descriptor_refuses_the_client(void **state)
{
	struct record record;
	struct limpet_client client;
	struct rlimit limit, tight;
	int result, lowest_free;

	(void)state;
	make_v4(&record);
	give(&record);
	lowest_free = dup(worker_end);
	close(lowest_free);
	getrlimit(RLIMIT_NOFILE, &limit);
	tight = limit;
	tight.rlim_cur = (rlim_t)lowest_free;
	setrlimit(RLIMIT_NOFILE, &tight);
	result = limpet_worker_receive(worker_end, &client);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(result, -1);
	assert_int_equal(errno, EAGAIN); /* refused, and the link is empty */
	expect_refusal(LIMPET_NOT_ARRIVED);
}

static void after_a_lost_descriptor_the_next_client_is_received(void **state)
{
	struct record record;
	struct limpet_client client;

	(void)state;
	make_v4(&record);
	assert_int_equal(fd_send(limpet_end, record.bytes, record.length, -1), record.length);
	give(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	expect_refusal(LIMPET_NOT_ARRIVED);
	expect_silence();
	close(client.fd);
}

/* Two descriptors at once, by hand, since our own fd_send has no way to do wrong. */
static void give_two(const struct record *record)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)record->bytes, record->length };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof ends);
	memcpy(CMSG_DATA(rights), ends, sizeof ends);
	assert_int_equal(sendmsg(limpet_end, &message, 0), record->length);
	close(ends[0]);
	close(ends[1]);
}

static void a_surplus_descriptor_does_not_leak(void **state)
{
	struct record record;
	struct limpet_client client;
	const int before = open_descriptors();

	(void)state;
	make_v4(&record);
	give_two(&record);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	close(client.fd);
	assert_int_equal(open_descriptors(), before);
}

static void the_end_of_the_link_is_told_from_an_empty_one(void **state)
{
	struct limpet_client client;

	(void)state;
	assert_int_equal(limpet_worker_receive(worker_end, &client), -1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&limpet_end);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 0);
	assert_int_equal(limpet_worker_ready(worker_end), -1);
	assert_int_equal(errno, EPIPE);
}

/* Limpet was killed with our answers unread: the kernel says ECONNRESET once, in front of what is
 * queued. */
static void clients_behind_a_reset_are_received(void **state)
{
	struct record record;
	struct limpet_client client;

	(void)state;
	make_v4(&record);
	give(&record);
	assert_int_equal(limpet_worker_ready(worker_end), 0);
	fd_close(&limpet_end);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 1);
	close(client.fd);
	assert_int_equal(limpet_worker_receive(worker_end, &client), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_link, close_link)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_link_is_found_and_not_inherited),
		CASE(without_limpet_there_is_no_link),
		CASE(another_kind_of_socket_is_no_link),
		CASE(a_client_arrives_with_both_addresses),
		CASE(an_ipv6_client_keeps_his_address),
		CASE(a_client_of_a_unix_socket_has_no_address),
		CASE(unknown_tlvs_are_skipped),
		CASE(no_prefix_of_a_record_is_a_record),
		CASE(no_byte_of_the_fixed_part_may_differ),
		CASE(a_record_without_a_proper_id_is_damaged),
		CASE(a_record_over_4096_bytes_is_damaged),
		CASE(a_lost_descriptor_refuses_the_client),
		CASE(after_a_lost_descriptor_the_next_client_is_received),
		CASE(a_surplus_descriptor_does_not_leak),
		CASE(the_end_of_the_link_is_told_from_an_empty_one),
		CASE(clients_behind_a_reset_are_received),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
