/* Why: clients wait for a worker that is full, stopped, refusing or away: in order, bounded in
 * number and time, and never in a loop. SPDX-License-Identifier: ISC */
#include "field.h"

/* Worry: the 257th unacknowledged client overwrites the first, is lost, or overtakes. */
static void test_full_window_waits(void **state)
{
	static int own[400];
	unsigned address;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h\nstall_timeout = 0");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	for (uint16_t i = 0; i < 400; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_true(field_seat(0)->in_flight <= SEAT_WINDOW);
	assert_int_equal(field_seat(0)->in_flight + field_seat(0)->waiting_count, 400);
	for (uint16_t i = 1; i <= 400; i++)
		assert_int_equal(field_serve(0), i);
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(delivery_unfinished(field.delivery), 0);
	for (int i = 0; i < 400; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a queue grows without end. */
static void test_max_queue(void **state)
{
	static int own[300];
	unsigned address, held;
	size_t next;
	uint16_t i;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h\nmax_queue = 10");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	field_state(0, ROUTE_WAIT, false);
	for (i = 0; i < 12; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_int_equal(field_seat(0)->waiting_count, 10);
	assert_int_equal(field_serve(next), 11);
	assert_int_equal(field_serve(next), 12);
	/* And when the next one is full too, he is held by the pool, and at last turned away. */
	field_state(next, ROUTE_WAIT, false);
	for (; i < 42; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	held = delivery_unfinished(field.delivery);
	assert_int_equal(held, 30);
	assert_int_equal(field_counted(COUNTER_ENDED_QUEUE_FULL), 10);
	while (i > 0)
		fd_close(&own[--i]);
	field_over();
	assert_int_equal(counter_get(COUNTER_ENDED_SHUTDOWN) > 0, 1);
}

/* Worry: a worker that refuses is asked again at once, for ever, or its client is lost. */
static void test_refusal(void **state)
{
	struct limpet_client client;
	unsigned address;
	size_t next;
	int own[2];

	(void)state;
	field_begin(2, "queue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	own[0] = field_client(address, 1);
	assert_int_equal(field_receive(0, &client), 1);
	fd_close(&client.fd);
	assert_int_equal(limpet_worker_refuse(field.far[0], client.id, LIMPET_BUSY), 0);
	field_turn();
	assert_int_equal(field_counted(COUNTER_REFUSED), 1);
	assert_int_equal(field_serve(next), 1);
	assert_true(field_seat(0)->refusing_until_ms > field_seat(0)->progress_ms);
	own[1] = field_client(address, 2);
	if (clock_now_ms() < field_seat(0)->refusing_until_ms) {
		assert_int_equal(field_serve(next), 2);
		field_until(clock_now_ms() >= field_seat(0)->refusing_until_ms);
	} else {
		assert_int_equal(field_serve(0), 2); /* this machine is slow: the pause was over */
	}
	fd_close(&own[1]);
	own[1] = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: everybody refuses (or lost the descriptor), and the client is thrown from one to the other
 * until the processor is hot; or is given up although a worker recovers. */
static void test_everybody_refuses(void **state)
{
	struct limpet_client client;
	int own;

	(void)state;
	field_begin(2, "queue_timeout = 1h");
	field_open(0);
	field_open(1);
	own = field_client(1, 1);
	for (unsigned rank = 0; rank < 2; rank++) {
		size_t slot = field_choice(1, rank);

		assert_int_equal(field_receive(slot, &client), 1);
		fd_close(&client.fd);
		assert_int_equal(
			limpet_worker_refuse(field.far[slot], client.id, LIMPET_NOT_ARRIVED), 0);
		field_turn();
	}
	assert_int_equal(field_counted(COUNTER_NACKS), 2);
	assert_int_equal(delivery_unfinished(field.delivery), 1);
	field_until(field_serve(0) == 1 || field_serve(1) == 1);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	fd_close(&own);
	field_over();
}

/* Worry: a stopped worker (SIGSTOP) holds its clients though failover was asked for, or never gets
 * any again. */
static void test_stall(void **state)
{
	unsigned address;
	size_t next;
	int own[4];

	(void)state;
	field_begin(2, "on_down = failover\nstall_timeout = 30ms\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	own[0] = field_client(address, 1);
	field_until(field_seat(0)->stalled);
	assert_int_equal(field_counted(COUNTER_STALLS), 1);
	own[1] = field_client(address, 2);
	assert_int_equal(field_serve(next), 2);
	assert_int_equal(field_serve(0), 1); /* it was always his: he was not sent twice */
	assert_false(field_seat(0)->stalled);
	own[2] = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	own[3] = -1;
	for (int i = 0; i < 4; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: with hold the stopped worker's clients wait beyond queue_timeout. */
static void test_stall_with_hold(void **state)
{
	unsigned address;
	int own[2];

	(void)state;
	field_begin(2, "on_down = hold\nstall_timeout = 10ms\nqueue_timeout = 150ms");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	field_until(field_seat(0)->stalled);
	own[1] = field_client(address,
			      2); /* waits, or is sent; never elsewhere before the deadline */
	field_until(field_serve(field_choice(address, 1)) == 2 || field_seat(0)->in_flight == 2);
	if (field_seat(0)->in_flight == 2)
		assert_int_equal(field_serve(0), 1);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: clients of a pool without workers wait for ever. */
static void test_queue_timeout(void **state)
{
	int own[2];

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 20ms");
	own[0] = field_client(1, 1); /* nobody is expected */
	field_state(0, ROUTE_WAIT, false);
	own[1] = field_client(field_address_of(0, 1),
			      2); /* for one that is expected and does not come */
	field_until(client_count() == 0);
	assert_int_equal(field_counted(COUNTER_ENDED_NO_WORKER), 2);
	assert_true(field_is_closed(own[0]) && field_is_closed(own[1]));
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: the queue of a worker whose window is full and that says nothing is never left. */
static void test_queue_timeout_behind_a_full_window(void **state)
{
	static int own[300];
	unsigned address;
	uint16_t i;

	(void)state;
	field_begin(1, "on_down = hold\nqueue_timeout = 40ms\nstall_timeout = 0");
	field_open(0);
	address = field_address_of(0, 0);
	for (i = 0; i < 300; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	field_until(field_seat(0)->waiting_count == 0 && field_counted(COUNTER_HELD) == 0);
	assert_int_equal(field_counted(COUNTER_ENDED_NO_WORKER), 300 - field_seat(0)->in_flight);
	assert_true(field_seat(0)->in_flight > 0);
	for (i = 0; i < 300; i++)
		fd_close(&own[i]);
	field_over();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_window_waits),
		cmocka_unit_test(test_max_queue),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_everybody_refuses),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_stall_with_hold),
		cmocka_unit_test(test_queue_timeout),
		cmocka_unit_test(test_queue_timeout_behind_a_full_window),
	};

	field_all_descriptors();
	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
