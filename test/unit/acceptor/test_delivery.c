/* Why: no client may be with two workers, none may be lost by a worker's death, and none may wait
 * for ever: this is the promise of the program, and here it is tried to be broken.
 * SPDX-License-Identifier: ISC */
#include "field.h"

/* Worry: the same client is sometimes with another worker. */
static void test_pinned(void **state)
{
	unsigned seen[4] = { 0 };

	(void)state;
	field_begin(4, "");
	for (size_t slot = 0; slot < 4; slot++)
		field_open(slot);
	for (unsigned address = 1; address <= 60; address++) {
		size_t home = field_choice(address, 0);

		for (uint16_t i = 1; i <= 3; i++) {
			int own = field_client(address, (uint16_t)(address * 10 + i));

			assert_int_equal(field_serve(home), address * 10 + i);
			assert_true(field_is_closed(
				own)); /* our copy is closed with the acknowledgement */
			fd_close(&own);
		}
		seen[home]++;
	}
	for (size_t slot = 0; slot < 4; slot++)
		assert_true(seen[slot] > 0);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 180);
	assert_int_equal(field_counted(COUNTER_REROUTED), 0);
	assert_int_equal(field_counted(COUNTER_LATE_ACKS), 0);
	field_over();
}

/* Worry: the clients of a dying worker go to another one while it may still serve them. */
static void test_orphans_move_after_the_end_only(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own = field_client(address, 7);
	fd_close(&field.far[0]); /* its link is closed, but it was not reaped */
	field_turn();
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(delivery_unfinished(field.delivery), 1);
	field_slot_end(0, ROUTE_CLOSED);
	assert_int_equal(field_serve(1), 7);
	assert_int_equal(field_counted(COUNTER_RESENT), 1);
	assert_int_equal(field_counted(COUNTER_REROUTED), 1);
	fd_close(&own);
	field_over();
}

/* Worry: a client is served twice because the acknowledgement of a dead worker lay unread in the
 * link. */
static void test_late_acknowledgements_count(void **state)
{
	struct limpet_client first;
	unsigned address;
	int own[3];

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	for (uint16_t i = 0; i < 3; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_int_equal(field_receive(0, &first), 1);
	assert_int_equal(limpet_worker_accept(field.far[0], first.id), 0);
	fd_close(&first.fd);
	/* It dies with two records unread: the kernel says ECONNRESET before it gives out the
	 * answer. */
	field_slot_end(0, ROUTE_CLOSED);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	assert_int_equal(field_serve(1), 2);
	assert_int_equal(field_serve(1), 3);
	assert_int_equal(field_serve(1), 0);
	for (int i = 0; i < 3; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: the same, and a new client came meanwhile: sending to the dead link must not cost its last
 * words. */
static void test_late_acknowledgements_count_after_a_broken_send(void **state)
{
	struct limpet_client first;
	unsigned address;
	int own[3];

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	own[1] = field_client(address, 2);
	assert_int_equal(field_receive(0, &first), 1);
	assert_int_equal(limpet_worker_accept(field.far[0], first.id), 0);
	fd_close(&first.fd);
	fd_close(&field.far[0]);
	own[2] = field_client(address, 3);
	field_slot_end(0, ROUTE_CLOSED);
	field_turn();
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	for (uint16_t seen = 0, i = 0; i < 2; i++) {
		uint16_t port = field_serve(1);

		assert_true((port == 2 || port == 3) && port != seen);
		seen = port;
	}
	assert_int_equal(field_serve(1), 0);
	for (int i = 0; i < 3; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: on_down = hold moves clients, or forgets them, or mixes their order. */
static void test_hold(void **state)
{
	unsigned address;
	int own[4];

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	own[1] = field_client(address, 2);
	field_slot_end(0, ROUTE_WAIT);
	own[2] = field_client(address, 3); /* between two generations */
	field_slot_begin(0);
	own[3] = field_client(address, 4); /* it starts */
	field_turn();
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(field_serve(0), 0);
	assert_int_equal(counter_get(COUNTER_HELD), 4);
	field_state(0, ROUTE_OPEN, false);
	for (uint16_t i = 1; i <= 4; i++)
		assert_int_equal(field_serve(0), i);
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	assert_int_equal(field_counted(COUNTER_REROUTED), 0);
	for (int i = 0; i < 4; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: clients wait for a slot that will not come back. */
static void test_hold_ends_when_the_slot_is_given_up(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	field_slot_end(0, ROUTE_WAIT);
	own = field_client(address, 1);
	assert_int_equal(field_serve(1), 0);
	field_state(0, ROUTE_CLOSED, false);
	assert_int_equal(field_serve(1), 1);
	fd_close(&own);
	field_over();
}

/* Worry: on_down = failover waits, or clients do not return to their slot. */
static void test_failover(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(3, "on_down = failover\nqueue_timeout = 1h");
	for (size_t slot = 0; slot < 3; slot++)
		field_open(slot);
	address = field_address_of(0, 0);
	field_slot_end(0, ROUTE_WAIT);
	own = field_client(address, 1);
	assert_int_equal(field_serve(field_choice(address, 1)), 1);
	fd_close(&own);
	field_slot_begin(0);
	own = field_client(address, 2);
	assert_int_equal(field_serve(field_choice(address, 1)), 2);
	fd_close(&own);
	field_state(0, ROUTE_OPEN, false);
	own = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	fd_close(&own);
	/* With nobody at all he waits for whoever comes first. */
	for (size_t slot = 0; slot < 3; slot++)
		field_slot_end(slot, ROUTE_WAIT);
	own = field_client(address, 4);
	field_open(2);
	assert_int_equal(field_serve(2), 4);
	fd_close(&own);
	field_over();
}

/* Worry: a drained worker gets clients, or loses its voice. */
static void test_drain(void **state)
{
	struct limpet_client client;
	unsigned address;
	int own[2];

	(void)state;
	field_begin(2, "");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	field_state(0, ROUTE_CLOSED, true);
	assert_int_equal(field_seat(0)->state, SEAT_LEAVING);
	own[1] = field_client(address, 2);
	assert_int_equal(field_serve(field_choice(address, 1)), 2);
	assert_int_equal(field_serve(0), 1); /* what was on its way arrives, and is acknowledged */
	assert_int_equal(limpet_worker_receive(field.far[0], &client), 0); /* then the end */
	assert_int_equal(delivery_unfinished(field.delivery), 0);
	field_state(0, ROUTE_OPEN, false); /* no way back for this generation */
	assert_int_equal(field_seat(0)->state, SEAT_LEAVING);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

static void on_idle(void *arg)
{
	*(bool *)arg = true;
}

/* Worry: the stop does not wait for clients in our hands, or waits for ever. */
static void test_stop(void **state)
{
	bool is_idle = false;
	int own;

	(void)state;
	field_begin(1, "");
	field_open(0);
	own = field_client(1, 1);
	delivery_stop(field.delivery, on_idle, &is_idle);
	field_turn();
	assert_false(is_idle);
	assert_int_equal(field_serve(0), 1);
	field_until(is_idle);
	assert_int_equal(delivery_links(field.delivery), 1);
	delivery_drain_all(field.delivery);
	fd_close(&field.far[0]);
	field_turn();
	assert_int_equal(delivery_links(field.delivery), 0);
	fd_close(&own);
	field_over();
}

/* Worry: a refusal that is found only while everything is torn down puts a client into a queue that
 * nobody looks at any more. */
static void test_refusal_at_the_end(void **state)
{
	struct limpet_client client;
	unsigned address;
	int own;

	(void)state;
	field_begin(3, "queue_timeout = 1h");
	for (size_t slot = 0; slot < 3; slot++)
		field_open(slot);
	address = field_address_of(2, 0);
	own = field_client(address, 1);
	assert_int_equal(field_receive(2, &client), 1);
	fd_close(&client.fd);
	assert_int_equal(limpet_worker_refuse(field.far[2], client.id, LIMPET_BUSY), 0);
	field_over(); /* nothing was read before */
	assert_int_equal(field_counted(COUNTER_ENDED_SHUTDOWN), 1);
	fd_close(&own);
}

/* Worry: words about another generation, or about no slot, are obeyed. */
static void test_old_words(void **state)
{
	struct message_slot_state state_word = { .route = ROUTE_CLOSED, .generation = 7 };
	struct message_slot_end end_word = { .generation = 7, .route = ROUTE_CLOSED };

	(void)state;
	field_begin(2, "");
	field_open(0);
	delivery_slot_state(field.delivery, &state_word);
	delivery_slot_end(field.delivery, &end_word);
	assert_int_equal(field_seat(0)->state, SEAT_UP);
	state_word.slot = 2;
	end_word.pool = 9;
	delivery_slot_state(field.delivery, &state_word);
	delivery_slot_end(field.delivery, &end_word);
	assert_null(delivery_seat(field.delivery, 0, 2));
	assert_null(delivery_seat(field.delivery, 1, 0));
	field_over();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_orphans_move_after_the_end_only),
		cmocka_unit_test(test_late_acknowledgements_count),
		cmocka_unit_test(test_late_acknowledgements_count_after_a_broken_send),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_hold_ends_when_the_slot_is_given_up),
		cmocka_unit_test(test_failover),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_refusal_at_the_end),
		cmocka_unit_test(test_old_words),
	};

	field_all_descriptors();
	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
