/* Why: who may take clients now has four sources, and the wrong one of them must not win.
 * SPDX-License-Identifier: ISC */
#include "../front/loopback.h"

#include "base/log.h"
#include "config/config.h"
#include "relay/upstream.h"
#include "wire/counter.h"

#define LOCALS  3
#define SERVERS 3

static unsigned opened;

static void on_opened(void *arg)
{
	(void)arg;
	opened++;
}

struct scene {
	struct config *config;
	struct upstreams *all;
	struct upstream *pool;
};

static void begin(struct scene *s, const char *lines)
{
	char text[1024];
	struct error e;

	snprintf(text, sizeof text,
		 "[listen:a]\nbind = 127.0.0.1:9\n[pool:web]\ncommand = /bin/true\n"
		 "delivery = proxy\nport = 4000\ninstances = 3\n"
		 "server = 127.0.0.1:1 name=a\nserver = 127.0.0.1:2 name=b\n"
		 "server = 127.0.0.1:3 name=c\n%s",
		 lines);
	s->config = config_parse("test", text, strlen(text), &e);
	if (!s->config)
		fail_msg("%s", e.text);
	s->all = upstreams_new(s->config, 7, on_opened, NULL);
	s->pool = upstream_of(s->all, 0);
	assert_non_null(s->pool);
	assert_null(upstream_of(s->all, 1));
}

static void end(struct scene *s)
{
	upstreams_free(&s->all);
	config_free(&s->config);
}

static void serve(struct scene *s, uint32_t slot, enum server_state state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct message_server word = { .slot = slot, .state = (uint32_t)state, .weight = 1000 };
	struct error e;

	assert_true(address_parse("127.0.0.1:4000", &word.address, &e));
	if (slot >= LOCALS)
		snprintf(word.name, sizeof word.name, "%s", names[slot - LOCALS]);
	else
		word.weight = 0;
	upstream_server(s->all, &word);
}

static void set_route(struct scene *s, uint32_t slot, enum slot_route route)
{
	const struct message_slot_state word = { .slot = slot, .route = (uint32_t)route };

	upstream_state(s->all, &word);
}

static void set_health(struct scene *s, uint32_t slot, uint32_t good)
{
	const struct message_health word = { .slot = slot, .good = good };

	upstream_health(s->all, &word);
}

static void open_all(struct scene *s)
{
	for (uint32_t i = 0; i < LOCALS + SERVERS; i++) {
		serve(s, i, SERVER_PRESENT);
		if (i < LOCALS)
			set_route(s, i, ROUTE_OPEN);
	}
}

static enum upstream_verdict choose(struct scene *s, uint64_t key, bool failover, size_t *slot_r)
{
	size_t rank;

	return upstream_choose(s->pool, key, NULL, failover, slot_r, &rank);
}

static size_t slot_for(struct scene *s, uint64_t key)
{
	size_t slot;

	assert_int_equal(choose(s, key, true, &slot), UPSTREAM_SLOT);
	return slot;
}

/* Worry: a slot that is closed by one source gets clients all the same; it takes others' clients
 * with it, or does not get its own back. */
static void test_each_source_closes(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, "");
	open_all(&s);
	for (uint32_t closed = 0; closed < LOCALS + SERVERS; closed++) {
		for (int source = 0; source < 3; source++) {
			size_t before[200];

			for (uint64_t key = 0; key < 200; key++)
				before[key] = slot_for(&s, key << 40);
			if (source == 0)
				set_health(&s, closed, 0);
			else if (source == 1 && closed < LOCALS)
				set_route(&s, closed, ROUTE_CLOSED);
			else if (source == 1)
				serve(&s, closed, SERVER_LEAVING);
			else if (closed >= LOCALS)
				serve(&s, closed, SERVER_ABSENT);
			else
				set_route(&s, closed, ROUTE_WAIT);
			for (uint64_t key = 0; key < 200; key++) {
				const size_t now = slot_for(&s, key << 40);

				assert_int_not_equal(now, closed);
				if (before[key] != closed)
					assert_int_equal(now, before[key]);
			}
			opened = 0;
			set_health(&s, closed, 1);
			serve(&s, closed, SERVER_PRESENT);
			if (closed < LOCALS)
				set_route(&s, closed, ROUTE_OPEN);
			assert_true(opened > 0);
			for (uint64_t key = 0; key < 200; key++)
				assert_int_equal(slot_for(&s, key << 40), before[key]);
		}
	}
	end(&s);
}

/* Worry: a client whose worker starts goes elsewhere (hold), waits for ever (failover), or waits
 * for a server that nobody has found yet. */
static void test_starting_ones_are_waited_for(void **state)
{
	struct scene s;
	size_t slot, first;

	(void)state;
	begin(&s, "max_queue = 2\n");
	assert_int_equal(choose(&s, 1, true, &slot), UPSTREAM_NONE);
	assert_int_equal(choose(&s, 1, false, &first), UPSTREAM_HOLD);
	assert_true(first < LOCALS);
	open_all(&s);
	first = slot_for(&s, 1);
	for (uint64_t key = 1; first >= LOCALS; key++)
		first = slot_for(&s, key << 40 | 1);
	set_route(&s, (uint32_t)first, ROUTE_WAIT);
	for (uint64_t key = 0; key < 200; key++) {
		const enum upstream_verdict verdict = choose(&s, key << 40 | 1, false, &slot);

		assert_int_equal(verdict, slot == first ? UPSTREAM_HOLD : UPSTREAM_SLOT);
	}
	s.pool->slots[first].held = 2;
	for (uint64_t key = 0; key < 200; key++)
		assert_int_equal(choose(&s, key << 40 | 1, false, &slot), UPSTREAM_SLOT);
	end(&s);
}

/* Worry: what was tried already is tried again at once. */
static void test_tried_ones_are_passed_over(void **state)
{
	uint64_t tried = 0;
	struct scene s;
	size_t slot, rank;

	(void)state;
	begin(&s, "");
	open_all(&s);
	for (size_t i = 0; i < LOCALS + SERVERS; i++) {
		assert_int_equal(upstream_choose(s.pool, 5, &tried, true, &slot, &rank),
				 UPSTREAM_SLOT);
		assert_int_equal(tried & UINT64_C(1) << slot, 0);
		assert_int_equal(rank, i);
		tried |= UINT64_C(1) << slot;
	}
	assert_int_equal(upstream_choose(s.pool, 5, &tried, true, &slot, &rank), UPSTREAM_NONE);
	end(&s);
}

/* Worry: one bad moment closes a slot; a dead one is asked by every client; one that works again
 * stays closed. */
static void test_failures_of_clients(void **state)
{
	const uint64_t changes = counter_get(COUNTER_HEALTH_CHANGES);
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	struct scene s;
	size_t slot;

	(void)state;
	log_setup(&quiet);
	begin(&s, "check_fall = 3\n");
	open_all(&s);
	slot = slot_for(&s, 9);
	upstream_failed(s.all, s.pool, slot, "refused");
	upstream_failed(s.all, s.pool, slot, "refused");
	assert_int_equal(slot_for(&s, 9), slot);
	upstream_worked(s.all, s.pool, slot);
	upstream_failed(s.all, s.pool, slot, "refused");
	upstream_failed(s.all, s.pool, slot, "refused");
	assert_int_equal(slot_for(&s, 9), slot);
	upstream_failed(s.all, s.pool, slot, "refused");
	assert_int_not_equal(slot_for(&s, 9), slot);
	assert_int_equal(counter_get(COUNTER_HEALTH_CHANGES), changes + 1);

	/* Its delay is over: one client tries. */
	s.pool->slots[slot].down_until_ms = clock_now_ms();
	assert_int_equal(slot_for(&s, 9), slot);
	upstream_failed(s.all, s.pool, slot, "refused");
	assert_in_range(s.pool->slots[slot].down_until_ms - clock_now_ms(), 150, 200);
	assert_int_not_equal(slot_for(&s, 9), slot);
	for (int i = 0; i < 40; i++) {
		s.pool->slots[slot].down_until_ms = clock_now_ms();
		upstream_failed(s.all, s.pool, slot, "refused");
	}
	assert_in_range(s.pool->slots[slot].down_until_ms - clock_now_ms(), 29000, 30000);
	opened = 0;
	upstream_worked(s.all, s.pool, slot);
	assert_int_equal(opened, 1);
	assert_int_equal(slot_for(&s, 9), slot);
	assert_int_equal(counter_get(COUNTER_HEALTH_CHANGES), changes + 2);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_source_closes),
		cmocka_unit_test(test_starting_ones_are_waited_for),
		cmocka_unit_test(test_tried_ones_are_passed_over),
		cmocka_unit_test(test_failures_of_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
