/* Why: which worker a client gets when the first does not answer, and how long he waits for one.
 * SPDX-License-Identifier: ISC */
#include "relay_field.h"

static bool is_reached(struct field *f, int client, int worker)
{
	struct traffic up = { .from = client, .to = worker, .size = 1000 };

	return loopback_until(f->base, traffic_has_come, &up);
}

/* Which worker it was; the connection is closed at both ends. */
static int visit(struct field *f, unsigned x)
{
	struct field_visit v = { .f = f };
	int client = field_client(f, x);

	assert_true(loopback_until(f->base, field_has_come, &v));
	assert_true(is_reached(f, client, v.fd));
	fd_close(&client);
	fd_close(&v.fd);
	assert_true(loopback_until(f->base, field_is_empty, f));
	return v.worker;
}

/* Worry: a client changes his worker, or all have the same. */
static void test_clients_are_pinned(void **state)
{
	unsigned seen = 0;
	struct field f;

	(void)state;
	field_begin(&f, "", 7);
	for (unsigned x = 1; x < 30; x++) {
		const int first = visit(&f, x);

		assert_int_equal(visit(&f, x), first);
		seen |= 1u << first;
	}
	assert_int_equal(seen, 7);
	field_end(&f);
}

/* Worry: a worker that refuses turns its clients away; or those of others move; or they do not come
 * back to it. */
static void test_a_refusal_is_retried_elsewhere(void **state)
{
	const uint64_t retries = counter_get(COUNTER_RETRIES);
	const uint64_t errors = counter_get(COUNTER_CONNECT_ERRORS);
	int before[20];
	struct field f;

	(void)state;
	field_begin(&f, "check_fall = 1000\n", 7);
	for (unsigned x = 1; x < 20; x++)
		before[x] = visit(&f, x);
	fd_close(&f.workers[1]);
	for (unsigned x = 1; x < 20; x++) {
		const int now = visit(&f, x);

		assert_int_not_equal(now, 1);
		if (before[x] != 1)
			assert_int_equal(now, before[x]);
	}
	assert_true(counter_get(COUNTER_RETRIES) > retries);
	assert_int_equal(counter_get(COUNTER_CONNECT_ERRORS) - errors,
			 counter_get(COUNTER_RETRIES) - retries);
	f.workers[1] = loopback_listen("127.0.0.1:0", 64, &f.worker_at[1]);
	field_server(&f, 1, &f.worker_at[1], SERVER_PRESENT);
	for (unsigned x = 1; x < 20; x++)
		assert_int_equal(visit(&f, x), before[x]);
	field_end(&f);
}

/* Worry: where nobody answers, a client is tried for ever, or is not told. */
static void test_retries_have_an_end(void **state)
{
	const uint64_t ended = counter_get(COUNTER_ENDED_NO_SERVER);
	const uint64_t connects = counter_get(COUNTER_CONNECTS);
	struct field f;
	int client;

	(void)state;
	field_begin(&f, "retries = 2\ncheck_fall = 1000\nqueue_timeout = 10s\n", 7);
	for (int i = 0; i < FIELD_WORKERS; i++)
		fd_close(&f.workers[i]);
	client = field_client(&f, 1);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_true(loopback_is_closed(client));
	assert_int_equal(counter_get(COUNTER_ENDED_NO_SERVER), ended + 1);
	assert_int_equal(counter_get(COUNTER_CONNECTS), connects + 3);
	fd_close(&client);
	field_end(&f);
}

/* Worry: a client whose server is not there yet is turned away, or is forgotten when it comes; his
 * first words are lost. */
static void test_held_until_opened(void **state)
{
	struct traffic up;
	struct field f;
	int client, worker;

	(void)state;
	field_begin(&f, "queue_timeout = 20s\n", 0);
	client = field_client(&f, 1);
	up = (struct traffic){ .from = client, .size = 5000 };
	traffic_push(&up);
	loopback_settle(f.base);
	assert_int_equal(counter_get(COUNTER_HELD), 1);
	field_server(&f, 2, &f.worker_at[2], SERVER_PRESENT);
	up.to = worker = field_worker(&f);
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	assert_true(loopback_until(f.base, traffic_has_come, &up));
	fd_close(&client);
	fd_close(&worker);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

/* Worry: clients are held for ever, or without number. */
static void test_holding_is_bounded(void **state)
{
	const uint64_t late = counter_get(COUNTER_ENDED_NO_SERVER);
	const uint64_t full = counter_get(COUNTER_ENDED_QUEUE_FULL);
	int clients[5];
	struct field f;

	(void)state;
	field_begin(&f, "queue_timeout = 100ms\nmax_queue = 3\n", 0);
	for (int i = 0; i < 5; i++)
		clients[i] = field_client(&f, 1);
	assert_int_equal(counter_get(COUNTER_ENDED_QUEUE_FULL), full + 2);
	assert_int_equal(counter_get(COUNTER_HELD), 3);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_int_equal(counter_get(COUNTER_ENDED_NO_SERVER), late + 3);
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	for (int i = 0; i < 5; i++)
		fd_close(&clients[i]);
	field_end(&f);
}

/* Worry: a server that does not even refuse keeps a client for the kernel's two minutes. */
static void test_connect_timeout(void **state)
{
	int fillers[8], client, count = 0, worker = -1;
	struct address full_at;
	struct field f;
	int full = loopback_listen("127.0.0.1:0", 0, &full_at);

	(void)state;
	/* With a full backlog the kernel drops further SYNs. */
	for (; count < 8; count++) {
		struct pollfd ready = { .events = POLLOUT };

		fillers[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fillers[count], &full_at.any, full_at.length);
		ready.fd = fillers[count];
		if (poll(&ready, 1, 100) == 0)
			break;
	}
	field_begin(&f, "connect_timeout = 50ms\nretries = 1\n", 0);
	field_server(&f, 0, &full_at, SERVER_PRESENT);
	client = field_client(&f, 1);
	assert_int_equal(f.last->state, STREAM_CONNECTING);
	field_server(&f, 1, &f.worker_at[1], SERVER_PRESENT);
	worker = field_worker(&f);
	assert_true(is_reached(&f, client, worker));
	fd_close(&client);
	fd_close(&worker);
	for (int i = 0; i <= count && i < 8; i++)
		fd_close(&fillers[i]);
	fd_close(&full);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

/* Worry: a UNIX worker whose backlog is full is taken for a dead one, and its clients for lost. */
static void test_a_full_backlog_is_waited_for(void **state)
{
	const uint64_t changes = counter_get(COUNTER_HEALTH_CHANGES);
	struct address at = { .length = sizeof at.local };
	int clients[6], listener, got = 0;
	struct field f;

	(void)state;
	at.local.sun_family = AF_UNIX;
	snprintf(at.local.sun_path + 1, sizeof at.local.sun_path - 1, "limpet-dial-%d", getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, &at.any, at.length), 0);
	assert_int_equal(listen(listener, 1), 0);
	field_begin(&f, "queue_timeout = 20s\ncheck_fall = 1\n", 0);
	field_server(&f, 0, &at, SERVER_PRESENT);
	for (int i = 0; i < 6; i++)
		clients[i] = field_client(&f, 1);
	loopback_settle(f.base);
	assert_true(counter_get(COUNTER_HELD) > 0);
	while (got < 6) {
		int worker;

		event_base_loop(f.base, EVLOOP_ONCE);
		worker = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		got += worker >= 0;
		fd_close(&worker);
	}
	assert_int_equal(counter_get(COUNTER_HEALTH_CHANGES), changes);
	for (int i = 0; i < 6; i++)
		fd_close(&clients[i]);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	fd_close(&listener);
	field_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients_are_pinned),
		cmocka_unit_test(test_a_refusal_is_retried_elsewhere),
		cmocka_unit_test(test_retries_have_an_end),
		cmocka_unit_test(test_held_until_opened),
		cmocka_unit_test(test_holding_is_bounded),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test(test_a_full_backlog_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
