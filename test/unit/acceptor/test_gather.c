/* Why: answers of workers may be heard late to save wake-ups, but each must be heard, and a link
 * must never be left without anybody who reads it. SPDX-License-Identifier: ISC */
#include "field.h"

#define QUICK_CLIENTS 20

static bool is_gathered(size_t slot)
{
	return delivery_seat(field.delivery, 0, (uint32_t)slot)->gather.is_gathered;
}

/* Worry: the answers to a burst are never read. */
static void test_quick_clients_are_answered_together(void **state)
{
	int own[QUICK_CLIENTS];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (uint16_t i = 0; i < QUICK_CLIENTS; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	assert_true(is_gathered(0));
	for (uint16_t i = 0; i < QUICK_CLIENTS; i++)
		assert_int_equal(field_serve(0), i + 1);
	/* The loop alone, without a round by hand. */
	while (delivery_unfinished(field.delivery) > 0)
		event_base_loop(field.base, EVLOOP_ONCE);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), QUICK_CLIENTS);
	for (size_t i = 0; i < QUICK_CLIENTS; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: when the rush is over nobody listens, and the next word of the worker is lost. */
static void test_a_quiet_link_is_heard_again(void **state)
{
	int own[2];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (uint16_t i = 0; i < 2; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	assert_true(is_gathered(0));
	for (uint16_t i = 0; i < 2; i++)
		field_serve(0);
	while (is_gathered(0))
		event_base_loop(field.base, EVLOOP_ONCE);
	assert_true(event_pending(delivery_seat(field.delivery, 0, 0)->readable, EV_READ, NULL));
	for (size_t i = 0; i < 2; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a worker dies while its link is gathered, and the next round reads a closed descriptor. */
static void test_a_gathered_link_closes(void **state)
{
	int own[2];

	(void)state;
	field_begin(1, "");
	field_open(0);
	for (uint16_t i = 0; i < 2; i++)
		own[i] = field_client(1, (uint16_t)(i + 1));
	assert_true(is_gathered(0));
	fd_close(&field.far[0]);
	for (int i = 0; i < 2; i++) /* the first reads ECONNRESET: unread clients died with it */
		gather_round(field.delivery->gather);
	assert_int_equal(delivery_seat(field.delivery, 0, 0)->link, -1);
	assert_false(is_gathered(0));
	for (size_t i = 0; i < 2; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a single client's answer, which no other will follow, waits for a round. */
static void test_a_single_client_is_heard_at_once(void **state)
{
	struct limpet_client client;
	int own;

	(void)state;
	field_begin(1, "");
	field_open(0);
	own = field_client(1, 1);
	assert_false(is_gathered(0));
	assert_int_equal(field_receive(0, &client), 1);
	assert_int_equal(limpet_worker_accept(field.far[0], client.id), 0);
	fd_close(&client.fd);
	event_base_loop(field.base, EVLOOP_NONBLOCK);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	fd_close(&own);
	field_over();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quick_clients_are_answered_together),
		cmocka_unit_test(test_a_quiet_link_is_heard_again),
		cmocka_unit_test(test_a_gathered_link_closes),
		cmocka_unit_test(test_a_single_client_is_heard_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
