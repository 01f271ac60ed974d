/* Why: a seat's window and queue hold the clients that nobody else knows of: what falls out of them
 * is a connection that hangs for ever. SPDX-License-Identifier: ISC */
#include "field.h"

/* Worry: ids of two acceptors, or of two generations, are taken for each other. */
static void test_ids(void **state)
{
	struct limpet_client client;
	uint64_t first;
	int own[2];

	(void)state;
	field_begin(1, "");
	assert_string_equal(field_seat(0)->name, "web/0");
	assert_string_equal(field_seat(0)->kind->name, "fd");
	field_open(0);
	first = field_seat(0)->next_id;
	assert_int_equal(first >> 32, 5); /* the incarnation */
	assert_true(first < (uint64_t)1 << 53);
	own[0] = field_client(1, 1);
	own[1] = field_client(1, 2);
	for (uint64_t i = 0; i < 2; i++) {
		field_receive(0, &client);
		assert_true(client.id == first + i);
		fd_close(&client.fd);
	}
	/* In any order; a second time, or of a stranger: counted, nothing else. */
	seat_acknowledged(field_seat(0), first + 1);
	seat_acknowledged(field_seat(0), first + 1);
	seat_acknowledged(field_seat(0), first + SEAT_WINDOW); /* same place in the window */
	assert_int_equal(field_counted(COUNTER_LATE_ACKS), 2);
	assert_int_equal(field_seat(0)->in_flight, 1);
	seat_acknowledged(field_seat(0), first);
	assert_int_equal(field_seat(0)->in_flight, 0);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 2);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: one client that stays unacknowledged blocks the window for ever, or is overwritten in it.
 */
static void test_the_slow_one(void **state)
{
	static int own[600];
	struct limpet_client slow, client;

	(void)state;
	field_begin(1, "stall_timeout = 0\nqueue_timeout = 1h");
	field_open(0);
	for (uint16_t i = 0; i < 600; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	assert_true(seat_is_full(field_seat(0)));
	assert_int_equal(field_receive(0, &slow), 1);
	for (uint16_t i = 2; i <= SEAT_WINDOW; i++)
		assert_int_equal(field_serve(0), i);
	assert_int_equal(field_receive(0, &client), 0); /* its place is not free */
	assert_int_equal(field_seat(0)->in_flight, 1);
	assert_int_equal(limpet_worker_accept(field.far[0], slow.id), 0);
	fd_close(&slow.fd);
	field_turn();
	assert_int_equal(field_serve(0), SEAT_WINDOW + 1);
	assert_false(seat_is_full(field_seat(0)) && field_seat(0)->waiting_count == 0);
	for (int i = 0; i < 600; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: what was sent and not acknowledged comes back in another order, or not at all. */
static void test_orphans(void **state)
{
	struct client_queue orphans = TAILQ_HEAD_INITIALIZER(orphans);
	struct client *client;
	uint16_t expected = 1;
	static int own[100];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (uint16_t i = 0; i < 100; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	assert_int_equal(field_serve(0), 1);
	fd_close(&field.far[0]);
	seat_close(field_seat(0), &orphans);
	assert_int_equal(field_seat(0)->state, SEAT_EMPTY);
	assert_int_equal(field_seat(0)->link, -1);
	while ((client = TAILQ_FIRST(&orphans))) {
		assert_int_equal(ntohs(client->peer.v4.sin_port), ++expected);
		assert_int_equal(client->id, 0);
		assert_true(client->fd >= 0);
		TAILQ_REMOVE(&orphans, client, link);
		client_end(&client, END_SHUTDOWN);
	}
	assert_int_equal(expected, 100);
	for (int i = 0; i < 100; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a socket that the kernel will not pass stops the clients behind it. */
static void test_bad_socket(void **state)
{
	const struct peer peer = field_peer(1, 1);
	int closed, own;

	(void)state;
	field_begin(1, "");
	field_open(0);
	field_state(0, ROUTE_WAIT, false);
	closed = dup(2);
	delivery_take(client_begin(&closed, &field.listener, &peer), field.delivery);
	fd_close(&TAILQ_FIRST(&field_seat(0)->waiting)->fd);
	TAILQ_FIRST(&field_seat(0)->waiting)->fd = 1 << 20; /* nobody's */
	own = field_client(1, 2);
	field_state(0, ROUTE_OPEN, false);
	assert_int_equal(field_counted(COUNTER_ENDED_BAD_SOCKET), 1);
	assert_int_equal(field_serve(0), 2);
	fd_close(&own);
	field_over();
}

/* Worry: the count of slots that are up drifts, and with it what people believe. */
static void test_slots_up(void **state)
{
	(void)state;
	field_begin(3, "");
	field_slot_begin(0);
	assert_int_equal(counter_get(COUNTER_SLOTS_UP), 0);
	field_state(0, ROUTE_OPEN, false);
	field_state(0, ROUTE_OPEN, false);
	assert_int_equal(counter_get(COUNTER_SLOTS_UP), 1);
	field_open(2);
	assert_int_equal(counter_get(COUNTER_SLOTS_UP), 2);
	field_state(0, ROUTE_WAIT, false);
	field_slot_end(2, ROUTE_WAIT);
	assert_int_equal(counter_get(COUNTER_SLOTS_UP), 0);
	field_over();
}

/* Worry: a worker that says it leaves gets clients still, or the supervisor does not learn of it.
 */
static void test_leaving(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(2, "queue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	seat_says_leaving(field_seat(0));
	assert_int_equal(field.leavings, 1);
	assert_int_equal(field_seat(0)->state, SEAT_LEAVING);
	own = field_client(address, 1);
	assert_int_equal(field_serve(1), 1);
	fd_close(&own);
	field_over();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),      cmocka_unit_test(test_the_slow_one),
		cmocka_unit_test(test_orphans),  cmocka_unit_test(test_bad_socket),
		cmocka_unit_test(test_slots_up), cmocka_unit_test(test_leaving),
	};

	field_all_descriptors();
	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
