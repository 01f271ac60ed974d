/* Why: what lies on a worker's link is a promise to programs in any language, and what comes back
 * from it is not to be trusted. SPDX-License-Identifier: ISC */
#include "field.h"

/* Worry: the worker gets another client's socket, or not the addresses that limpet_worker.h
 * promises. */
static void test_a_client_arrives(void **state)
{
	const struct peer peer = field_peer(5, 4242);
	struct limpet_client client;
	struct sockaddr_in local;
	char byte;
	int own;

	(void)state;
	field_begin(1, "");
	field_open(0);
	own = field_client(5, 4242);
	assert_int_equal(field_receive(0, &client), 4242);
	assert_memory_equal(&client.peer, &peer.v4, sizeof peer.v4);
	memcpy(&local, &client.local, sizeof local);
	assert_int_equal(ntohs(local.sin_port), 80);
	assert_int_equal(ntohl(local.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(send(own, "x", 1, 0), 1);
	assert_int_equal(recv(client.fd, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(limpet_worker_accept(field.far[0], client.id), 0);
	field_turn();
	assert_false(recv(own, &byte, 1, MSG_DONTWAIT) == 0); /* the worker's copy lives on */
	assert_int_equal(send(client.fd, "y", 1, 0), 1);
	assert_int_equal(recv(own, &byte, 1, MSG_DONTWAIT), 1);
	fd_close(&client.fd);
	assert_true(field_is_closed(own));
	fd_close(&own);
	field_over();
}

/* Worry: a listener on every address tells workers that the client came to 0.0.0.0. */
static void test_wildcard_listener(void **state)
{
	struct sockaddr_in any = { .sin_family = AF_INET }, actual;
	struct limpet_client client;
	socklen_t size = sizeof any;
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), own, accepted;
	const struct peer peer = field_peer(9, 99);

	(void)state;
	field_begin(1, "");
	field_open(0);
	assert_int_equal(bind(door, (struct sockaddr *)&any, sizeof any), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&any, &size), 0);
	field.listener.local.v4 = any;
	any.sin_addr.s_addr = htonl(0x7f000003);
	own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(own, (struct sockaddr *)&any, sizeof any), 0);
	accepted = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	delivery_take(client_begin(&accepted, &field.listener, &peer), field.delivery);
	assert_int_equal(field_receive(0, &client), 99);
	memcpy(&actual, &client.local, sizeof actual);
	assert_int_equal(ntohl(actual.sin_addr.s_addr), 0x7f000003);
	assert_int_equal(actual.sin_port, any.sin_port);
	fd_close(&client.fd);
	fd_close(&own);
	fd_close(&door);
	field_over();
}

/* Worry: the acceptor dies between reading a worker's one word of readiness and passing it on:
 * nobody would ever hear it again (fault 116). */
static void test_ready_outlives_the_acceptor(void **state)
{
	char byte;

	(void)state;
	field_begin(1, "");
	field_slot_begin(0);
	assert_int_equal(limpet_worker_ready(field.far[0]), 0);
	field_turn();
	assert_int_equal(field.readies, 1);
	assert_true(field.word_is_in_link); /* a successor would find it */
	assert_int_equal(recv(field_seat(0)->link, &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	field_turn();
	assert_int_equal(field.readies, 1);
	field_over();
}

/* Worry: readiness is not told, or told of another generation. */
static void test_ready(void **state)
{
	(void)state;
	field_begin(2, "");
	field_slot_begin(1);
	assert_int_equal(limpet_worker_ready(field.far[1]), 0);
	field_turn();
	assert_int_equal(field.readies, 1);
	assert_int_equal(field_seat(1)->state, SEAT_STARTING); /* the supervisor decides */
	field_over();
}

/* Worry: nonsense from a worker is obeyed, ends the link, or crashes us. */
static void test_bad_records(void **state)
{
	static const size_t lengths[] = { 1, 7, 9, 10, 16, 17, 1000 };
	static const char bytes[1000] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09";
	const uint64_t unknown = 0x1234567812345678;
	int own, gift[2];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		assert_int_equal(send(field.far[0], bytes, lengths[i], 0), (ssize_t)lengths[i]);
	field_turn();
	assert_int_equal(field_counted(COUNTER_BAD_RECORDS), sizeof lengths / sizeof lengths[0]);
	assert_int_equal(limpet_worker_accept(field.far[0], unknown), 0);
	assert_int_equal(limpet_worker_refuse(field.far[0], unknown, LIMPET_BUSY), 0);
	assert_int_equal(limpet_worker_accept(field.far[0], UINT64_MAX), 0);
	/* A descriptor that it sends stays nowhere. */
	assert_int_equal(fd_pair(SOCK_STREAM, gift), 0);
	assert_int_equal(fd_send(field.far[0], &unknown, sizeof unknown, gift[0]), 8);
	field_turn();
	fd_close(&gift[0]);
	assert_true(field_is_closed(gift[1]));
	fd_close(&gift[1]);
	assert_int_equal(field_counted(COUNTER_LATE_ACKS), 4);
	field_until(clock_now_ms() >= field_seat(0)->refusing_until_ms);
	own = field_client(1, 3);
	assert_int_equal(field_serve(0), 3);
	fd_close(&own);
	field_over();
}

/* Worry: more answers than fit one batch are read in part. */
static void test_many_answers_at_once(void **state)
{
	struct limpet_client client;
	static int own[200];

	(void)state;
	field_begin(1, "stall_timeout = 0");
	field_open(0);
	for (uint16_t i = 0; i < 200; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	for (uint16_t i = 1; i <= 200; i++) {
		assert_int_equal(field_receive(0, &client), i);
		assert_int_equal(limpet_worker_accept(field.far[0], client.id), 0);
		fd_close(&client.fd);
	}
	field_slot_end(0, ROUTE_CLOSED); /* none was read yet */
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 200);
	assert_int_equal(field_counted(COUNTER_RESENT), 0);
	for (int i = 0; i < 200; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a worker that closes its link leaves us in a loop at its end of file, or with its
 * descriptor. */
static void test_link_closed(void **state)
{
	(void)state;
	field_begin(1, "");
	field_open(0);
	fd_close(&field.far[0]);
	field_turn();
	assert_int_equal(field_seat(0)->link, -1);
	assert_int_equal(delivery_links(field.delivery), 0);
	field_state(0, ROUTE_CLOSED, true); /* no link to shut down */
	field_slot_end(0, ROUTE_WAIT);
	field_open(0);
	assert_int_equal(delivery_links(field.delivery), 1);
	field_over();
}

/* Worry: a worker behind a PROXY header or a relay's TLS believes the wrong address, or a passport
 * without addresses (a health check of the proxy in front) gives him none. */
static void test_a_passport_is_passed_on(void **state)
{
	const struct peer peer = field_peer(5, 4242);
	struct limpet_client arrived;
	struct client *client;
	struct passport *passport;
	struct sockaddr_in local;
	int pair[2];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (int knows = 0; knows < 2; knows++) {
		assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
		client = client_begin(&pair[0], &field.listener, &peer);
		passport = client_passport(client);
		passport->is_tls = true;
		snprintf(passport->cipher, sizeof passport->cipher, "TLS_AES_128_GCM_SHA256");
		if (knows) {
			passport->from = field_peer(6, 77);
			passport->to = field_peer(7, 443);
		}
		delivery_take(client, field.delivery);
		assert_int_equal(field_receive(0, &arrived), knows ? 77 : 4242);
		memcpy(&local, &arrived.local, sizeof local);
		assert_int_equal(ntohs(local.sin_port), knows ? 443 : 80);
		assert_true(arrived.is_tls);
		assert_string_equal(arrived.cipher, "TLS_AES_128_GCM_SHA256");
		assert_int_equal(limpet_worker_accept(field.far[0], arrived.id), 0);
		fd_close(&arrived.fd);
		field_turn();
		fd_close(&pair[1]);
	}
	field_over();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_client_arrives),
		cmocka_unit_test(test_wildcard_listener),
		cmocka_unit_test(test_ready_outlives_the_acceptor),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_many_answers_at_once),
		cmocka_unit_test(test_link_closed),
		cmocka_unit_test(test_a_passport_is_passed_on),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
