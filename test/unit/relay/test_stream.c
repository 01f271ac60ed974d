/* Why: a relay that loses the last bytes, turns a reset into an end, or keeps half a connection for
 * ever, is found out by its users only. SPDX-License-Identifier: ISC */
#include "relay_field.h"

#define BIG 3000000

struct order {
	struct field *f;
	struct traffic up, down; /* client to worker, worker to client */
	int client, worker;
	bool client_first; /* says FIN first */
	bool glued;        /* FIN right behind the bytes, else when they have come */
	bool told_first, told_second;
};

static bool both_are_over(void *arg)
{
	struct order *o = arg;
	struct traffic *first = o->client_first ? &o->up : &o->down;
	struct traffic *second = o->client_first ? &o->down : &o->up;

	traffic_push(first);
	traffic_push(second);
	if (!o->told_first && first->sent == first->size &&
	    (o->glued || first->got == first->size)) {
		shutdown(first->from, SHUT_WR);
		o->told_first = true;
	}
	/* Its FIN is an answer to the other's: half a connection is in between. */
	if (first->fin && !o->told_second && second->sent == second->size) {
		shutdown(second->from, SHUT_WR);
		o->told_second = true;
	}
	traffic_pull(first);
	traffic_pull(second);
	return first->fin && second->fin;
}

/* Worry: 16 orders of bytes and ends; in one of them bytes are lost, an end is not forwarded, comes
 * before the bytes, or closes the other direction too. */
static void test_sixteen_orders(void **state)
{
	struct field f;

	(void)state;
	field_begin(&f, "", 1);
	for (unsigned bits = 0; bits < 16; bits++) {
		const uint64_t relayed = counter_get(COUNTER_ENDED_RELAYED);
		struct order o = { .f = &f, .client_first = bits & 1, .glued = bits & 2 };

		o.client = field_client(&f, 1);
		o.worker = field_worker(&f);
		o.up = (struct traffic){ .from = o.client,
					 .to = o.worker,
					 .size = bits & 4 ? BIG : 10 };
		o.down = (struct traffic){ .from = o.worker,
					   .to = o.client,
					   .size = bits & 8 ? BIG : 0 };
		assert_true(loopback_until(f.base, both_are_over, &o));
		assert_int_equal(o.up.error, 0);
		assert_int_equal(o.down.error, 0);
		assert_int_equal(o.up.got, o.up.size);
		assert_int_equal(o.down.got, o.down.size);
		assert_true(loopback_until(f.base, field_is_empty, &f));
		assert_int_equal(counter_get(COUNTER_ENDED_RELAYED), relayed + 1);
		fd_close(&o.client);
		fd_close(&o.worker);
	}
	assert_int_equal(counter_get(COUNTER_RELAYED), 0);
	field_end(&f);
}

/* Worry: a reset arrives as an end, so that half a message is taken for a whole one; or it swallows
 * what came before it. Also where both are there before the relay looks (`glued`). */
static void test_a_reset_stays_a_reset(void **state)
{
	struct field f;

	(void)state;
	field_begin(&f, "", 1);
	for (unsigned bits = 0; bits < 8; bits++) {
		const bool by_client = bits & 1;
		const bool glued = bits & 2;
		const enum counter reason =
			by_client ? COUNTER_ENDED_CLIENT_RESET : COUNTER_ENDED_SERVER_RESET;
		const uint64_t ended = counter_get(reason);
		int client = field_client(&f, 1), worker = field_worker(&f);
		int *first = by_client ? &client : &worker, *second = by_client ? &worker : &client;
		struct traffic t = { .from = *first, .to = *second, .size = bits & 4 ? 30000 : 0 };

		loopback_settle(f.base);
		traffic_push(&t);
		assert_int_equal(t.sent, t.size);
		if (!glued)
			assert_true(loopback_until(f.base, traffic_has_come, &t));
		loopback_abort(first);
		assert_true(loopback_until(f.base, traffic_is_over, &t));
		assert_int_equal(t.got, t.size);
		assert_false(t.fin);
		assert_int_equal(t.error, ECONNRESET);
		assert_true(loopback_until(f.base, field_is_empty, &f));
		assert_int_equal(counter_get(reason), ended + 1);
		fd_close(second);
	}
	field_end(&f);
}

/* Worry: the reset overtakes what the kernel still has for a client who reads slowly. */
static void test_a_reset_waits_for_the_bytes(void **state)
{
	struct traffic down;
	struct field f;
	int client, worker;

	(void)state;
	field_begin(&f, "", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	down = (struct traffic){ .from = worker, .to = client, .size = 400000, .quiet = true };
	while (down.sent < down.size) {
		traffic_push(&down);
		event_base_loop(f.base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 100; i++)
		loopback_settle(f.base);
	loopback_abort(&worker);
	for (int i = 0; i < 100; i++)
		loopback_settle(f.base);
	assert_int_equal(f.last->state, STREAM_BREAKING);
	down.quiet = false;
	assert_true(loopback_until(f.base, traffic_is_over, &down));
	assert_int_equal(down.got, down.size);
	assert_int_equal(down.error, ECONNRESET);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	fd_close(&client);
	field_end(&f);
}

/* Worry: a worker answers "too large" and closes before it has read all: the client never sees the
 * answer. */
static void test_an_early_answer_comes_through(void **state)
{
	struct field f;
	struct traffic up, down;
	int client, worker;

	(void)state;
	field_begin(&f, "", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	up = (struct traffic){ .from = client, .to = worker, .size = 100000 };
	down = (struct traffic){ .from = worker, .to = client, .size = 5000 };
	traffic_push(&up);
	loopback_settle(f.base);
	traffic_push(&down);
	fd_close(&worker); /* with bytes unread: the kernel resets */
	assert_true(loopback_until(f.base, traffic_is_over, &down));
	assert_int_equal(down.got, down.size);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	fd_close(&client);
	field_end(&f);
}

/* Worry: streams that are still there when the relay ends leak, or are not counted. */
static void test_the_end_of_all(void **state)
{
	const uint64_t ended = counter_get(COUNTER_ENDED_SHUTDOWN);
	int clients[3], worker;
	struct field f;

	(void)state;
	field_begin(&f, "", 1);
	for (int i = 0; i < 3; i++)
		clients[i] = field_client(&f, 1);
	worker = field_worker(&f);
	assert_int_equal(streams_count(f.streams), 3);
	streams_free(&f.streams);
	assert_int_equal(counter_get(COUNTER_ENDED_SHUTDOWN), ended + 3);
	assert_int_equal(counter_get(COUNTER_RELAYED), 0);
	assert_int_equal(client_count(), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(loopback_is_closed(clients[i]));
		fd_close(&clients[i]);
	}
	fd_close(&worker);
	field_end(&f);
}

static void on_idle(void *arg)
{
	++*(int *)arg;
}

/* Worry: a relay that drains waits for ever, or leaves before the last one. */
static void test_stopping(void **state)
{
	struct field f;
	int client, worker, idle = 0;

	(void)state;
	field_begin(&f, "", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	streams_stop(f.streams, on_idle, &idle);
	loopback_settle(f.base);
	assert_int_equal(idle, 0);
	fd_close(&client);
	fd_close(&worker);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_int_equal(idle, 1);
	field_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixteen_orders),
		cmocka_unit_test(test_a_reset_stays_a_reset),
		cmocka_unit_test(test_a_reset_waits_for_the_bytes),
		cmocka_unit_test(test_an_early_answer_comes_through),
		cmocka_unit_test(test_the_end_of_all),
		cmocka_unit_test(test_stopping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
