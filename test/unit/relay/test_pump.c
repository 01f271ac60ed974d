/* Why: fast and slow ways take turns in one direction, and what waits between them must neither
 * grow nor change its order. SPDX-License-Identifier: ISC */
#include "relay_field.h"

static bool is_full(void *arg)
{
	struct traffic *t = arg;
	const uint64_t before = t->sent;

	traffic_push(t);
	return t->sent == before;
}

/* Worry: a peer that does not read makes the relay keep what the other sends; or, when it reads at
 * last, bytes are missing. */
static void slow_reader(const char *lines, size_t most)
{
	struct field f;
	struct traffic down;
	int client, worker;
	const struct hold *hold;

	field_begin(&f, lines, 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	down = (struct traffic){ .from = worker, .to = client, .size = 256 << 20, .quiet = true };
	/* The kernel's own buffers grow for a while. */
	for (int i = 0; i < 8; i++) {
		assert_true(loopback_until(f.base, is_full, &down));
		loopback_settle(f.base);
	}
	assert_true(down.sent < down.size);
	assert_non_null(f.last->luggage);
	hold = &f.last->luggage->holds[SERVER];
	assert_false(hold_is_empty(hold));
	if (hold->bytes)
		assert_in_range(hold->end - hold->start, 1, most);
	else
		assert_in_range(hold->pipe->held, 1, hold->pipe->size);
	down.quiet = false;
	down.size = down.sent;
	assert_true(loopback_until(f.base, traffic_has_come, &down));
	loopback_settle(f.base);
	assert_null(f.last->luggage); /* an idle one is small again */
	fd_close(&client);
	fd_close(&worker);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

static void test_a_slow_reader_is_bounded(void **state)
{
	(void)state;
	slow_reader("relay_buffer = 20000\n", 20000);
	slow_reader("", 65536);
}

struct ways {
	struct traffic *up, *down;
};

static bool both_have_come(void *arg)
{
	const struct ways *w = arg;
	const bool up = traffic_has_come(w->up), down = traffic_has_come(w->down);

	return up && down;
}

/* Worry: where a stream changes from copying to splicing and back, bytes are lost, doubled or out
 * of order; a calm stream keeps its pipe. Both directions at once, bulk and small by turns. */
static void test_bulk_and_small_by_turns(void **state)
{
	const uint64_t spliced = counter_get(COUNTER_SPLICED);
	const uint64_t in = counter_get(COUNTER_BYTES_IN), out = counter_get(COUNTER_BYTES_OUT);
	struct traffic up, down;
	struct ways ways = { &up, &down };
	struct field f;
	int client, worker;

	(void)state;
	field_begin(&f, "", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	up = (struct traffic){ .from = client, .to = worker };
	down = (struct traffic){ .from = worker, .to = client };
	for (unsigned turn = 0; turn < 6; turn++) {
		up.size += turn % 2 ? 8 << 20 : 100;
		down.size += turn % 3 ? 12 << 20 : 3;
		assert_true(loopback_until(f.base, both_have_come, &ways));
		for (unsigned small = 0; small < 12; small++) {
			up.size += 1 + small * 37;
			down.size += 1 + small;
			assert_true(loopback_until(f.base, both_have_come, &ways));
		}
		assert_true(f.last->sides[CLIENT].large < 4);
		assert_null(f.last->luggage);
	}
	assert_true(counter_get(COUNTER_SPLICED) > spliced);
	assert_int_equal(counter_get(COUNTER_BYTES_IN), in + up.size);
	assert_int_equal(counter_get(COUNTER_BYTES_OUT), out + down.size);
	fd_close(&client);
	fd_close(&worker);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

/* Worry: a stream that ends, or is reset, with bytes in its pipe gives the next one these bytes. */
static void test_a_pipe_is_clean(void **state)
{
	struct traffic down;
	struct field f;
	int client, worker;

	(void)state;
	field_begin(&f, "", 1);
	for (int turn = 0; turn < 4; turn++) {
		client = field_client(&f, 1);
		worker = field_worker(&f);
		down = (struct traffic){
			.from = worker, .to = client, .size = 64 << 20, .quiet = true
		};
		for (int i = 0; i < 4; i++)
			assert_true(loopback_until(f.base, is_full, &down));
		loopback_abort(&client);
		assert_true(loopback_until(f.base, field_is_empty, &f));
		fd_close(&worker);

		client = field_client(&f, 1);
		worker = field_worker(&f);
		down = (struct traffic){ .from = worker, .to = client, .size = 6 << 20 };
		assert_true(loopback_until(f.base, traffic_has_come, &down));
		fd_close(&client);
		fd_close(&worker);
		assert_true(loopback_until(f.base, field_is_empty, &f));
	}
	field_end(&f);
}

/* Worry: one stream that always has more keeps all others waiting. */
static void test_bulk_lets_others_in(void **state)
{
	struct traffic bulk, small;
	struct field f;
	int client, worker, other, other_worker;
	unsigned turns = 0;

	(void)state;
	field_begin(&f, "", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	other = field_client(&f, 2);
	other_worker = field_worker(&f);
	bulk = (struct traffic){ .from = worker, .to = client, .size = UINT64_MAX };
	small = (struct traffic){ .from = other, .to = other_worker };
	for (; turns < 200; turns++) {
		small.size += 10;
		for (int i = 0; i < 50 && small.got < small.size; i++) {
			traffic_push(&bulk);
			traffic_push(&small);
			event_base_loop(f.base, EVLOOP_NONBLOCK);
			traffic_pull(&bulk);
			traffic_pull(&small);
		}
		assert_int_equal(small.got, small.size);
	}
	assert_true(bulk.got > (64 << 20));
	loopback_abort(&client);
	fd_close(&worker);
	fd_close(&other);
	fd_close(&other_worker);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slow_reader_is_bounded),
		cmocka_unit_test(test_bulk_and_small_by_turns),
		cmocka_unit_test(test_a_pipe_is_clean),
		cmocka_unit_test(test_bulk_lets_others_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
