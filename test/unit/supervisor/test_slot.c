/* Why: the table of states decides whether a pool heals or burns; every cell of it is visited here,
 * with a fake process and a fake clock, so that no cell is seen for the first time on a bad night.
 * SPDX-License-Identifier: ISC */
#include "fake_slot.h"

/* The drawing of slot.h in numbers. */
/* clang-format off */
static const enum slot_state drawing[SLOT_STATES][SLOT_EVENTS] = {
	[SLOT_EMPTY] = {
		[SLOT_START] = SLOT_STARTING, [SLOT_IS_READY] = SLOT_EMPTY,
		[SLOT_EXITED] = SLOT_EMPTY, [SLOT_TIMER] = SLOT_EMPTY,
		[SLOT_DRAIN] = SLOT_EMPTY, [SLOT_STOP] = SLOT_EMPTY,
		[SLOT_LEAVES] = SLOT_EMPTY, [SLOT_HUNG] = SLOT_EMPTY },
	[SLOT_STARTING] = {
		[SLOT_START] = SLOT_STARTING, [SLOT_IS_READY] = SLOT_READY,
		[SLOT_EXITED] = SLOT_WAITING, [SLOT_TIMER] = SLOT_KILLED,
		[SLOT_DRAIN] = SLOT_STOPPING, [SLOT_STOP] = SLOT_STOPPING,
		[SLOT_LEAVES] = SLOT_DRAINING, [SLOT_HUNG] = SLOT_KILLED },
	[SLOT_READY] = {
		[SLOT_START] = SLOT_READY, [SLOT_IS_READY] = SLOT_READY,
		[SLOT_EXITED] = SLOT_WAITING, [SLOT_TIMER] = SLOT_READY,
		[SLOT_DRAIN] = SLOT_DRAINING, [SLOT_STOP] = SLOT_STOPPING,
		[SLOT_LEAVES] = SLOT_DRAINING, [SLOT_HUNG] = SLOT_KILLED },
	[SLOT_DRAINING] = {
		[SLOT_START] = SLOT_DRAINING, [SLOT_IS_READY] = SLOT_DRAINING,
		[SLOT_EXITED] = SLOT_EMPTY, [SLOT_TIMER] = SLOT_STOPPING,
		[SLOT_DRAIN] = SLOT_DRAINING, [SLOT_STOP] = SLOT_STOPPING,
		[SLOT_LEAVES] = SLOT_DRAINING, [SLOT_HUNG] = SLOT_KILLED },
	[SLOT_STOPPING] = {
		[SLOT_START] = SLOT_STOPPING, [SLOT_IS_READY] = SLOT_STOPPING,
		[SLOT_EXITED] = SLOT_EMPTY, [SLOT_TIMER] = SLOT_KILLED,
		[SLOT_DRAIN] = SLOT_STOPPING, [SLOT_STOP] = SLOT_KILLED,
		[SLOT_LEAVES] = SLOT_STOPPING, [SLOT_HUNG] = SLOT_STOPPING },
	[SLOT_KILLED] = {
		[SLOT_START] = SLOT_KILLED, [SLOT_IS_READY] = SLOT_KILLED,
		[SLOT_EXITED] = SLOT_WAITING, [SLOT_TIMER] = SLOT_KILLED,
		[SLOT_DRAIN] = SLOT_KILLED, [SLOT_STOP] = SLOT_KILLED,
		[SLOT_LEAVES] = SLOT_KILLED, [SLOT_HUNG] = SLOT_KILLED },
	[SLOT_WAITING] = {
		[SLOT_START] = SLOT_STARTING, [SLOT_IS_READY] = SLOT_WAITING,
		[SLOT_EXITED] = SLOT_WAITING, [SLOT_TIMER] = SLOT_STARTING,
		[SLOT_DRAIN] = SLOT_EMPTY, [SLOT_STOP] = SLOT_EMPTY,
		[SLOT_LEAVES] = SLOT_WAITING, [SLOT_HUNG] = SLOT_WAITING },
	[SLOT_FAILED] = {
		[SLOT_START] = SLOT_STARTING, [SLOT_IS_READY] = SLOT_FAILED,
		[SLOT_EXITED] = SLOT_FAILED, [SLOT_TIMER] = SLOT_FAILED,
		[SLOT_DRAIN] = SLOT_EMPTY, [SLOT_STOP] = SLOT_EMPTY,
		[SLOT_LEAVES] = SLOT_FAILED, [SLOT_HUNG] = SLOT_FAILED },
};
/* clang-format on */

/* Worry: a cell is missing (a crash at the worst moment), or leads elsewhere than the drawing says.
 */
static void test_every_cell(void **state)
{
	(void)state;
	for (int from = 0; from < SLOT_STATES; from++) {
		for (int event = 0; event < SLOT_EVENTS; event++) {
			struct slot slot;

			lead_to(&slot, (enum slot_state)from);
			if (event == SLOT_EXITED && fake.running)
				fake.running = false;
			slot_handle(&slot, (enum slot_event)event);
			if (slot.state != drawing[from][event])
				fail_msg("event %d in %s leads to %s", event,
					 slot_state_name((enum slot_state)from),
					 slot_state_name(slot.state));
			assert_int_equal(slot_is_running(&slot), fake.running);
		}
	}
}

/* Worry: a state has the name of another in the log. */
static void test_names(void **state)
{
	(void)state;
	for (int a = 0; a < SLOT_STATES; a++) {
		assert_non_null(slot_state_name((enum slot_state)a));
		for (int b = 0; b < a; b++)
			assert_string_not_equal(slot_state_name((enum slot_state)a),
						slot_state_name((enum slot_state)b));
	}
}

/* Worry: clients are sent to a worker that is not ready, or kept from one that is. */
static void test_the_way_up(void **state)
{
	struct slot slot;

	(void)state;
	begin(&slot, &standard);
	slot_handle(&slot, SLOT_START);
	assert_true(slot.wanted);
	assert_int_equal(slot.generation, 1);
	assert_int_equal(slot.restarts, 0);
	assert_int_equal(fake.timer, fake.now + standard.start_timeout);
	assert_int_equal(fake.routes, 0);
	fake.now += 1234;
	slot_handle(&slot, SLOT_IS_READY);
	assert_int_equal(fake.route, ROUTE_OPEN);
	assert_int_equal(slot.ready_ms, fake.now);
	assert_int_equal(fake.timer, fake.now + standard.min_uptime);
	ring(&slot);
	assert_int_equal(fake.timer, SLOT_NO_TIMER);
	assert_int_equal(fake.signals, 0);
}

/* Worry: a worker that never becomes ready, or falls silent, stays for ever. */
static void test_late_and_hung_are_killed(void **state)
{
	struct slot slot;

	(void)state;
	lead_to(&slot, SLOT_STARTING);
	ring(&slot);
	assert_int_equal(slot.state, SLOT_KILLED);
	assert_int_equal(fake.last_signal, SIGKILL);
	assert_true(fake.last_group);
	assert_int_equal(fake.route, ROUTE_WAIT);

	lead_to(&slot, SLOT_READY);
	slot_handle(&slot, SLOT_HUNG);
	assert_int_equal(fake.last_signal, SIGKILL);
	assert_int_not_equal(fake.route, ROUTE_OPEN);
	assert_true(slot.wanted);

	/* One that hangs in the kernel is asked again and again. */
	for (unsigned i = 2; i < 6; i++) {
		ring(&slot);
		assert_int_equal(slot.state, SLOT_KILLED);
		assert_int_equal(fake.signals, i);
		assert_int_not_equal(fake.timer, SLOT_NO_TIMER);
	}
	exits(&slot, "killed by SIGKILL");
	assert_int_equal(slot.state, SLOT_WAITING);
}

/* Worry: a stop is not followed by force, or the person at the keyboard cannot hurry it. */
static void test_stop(void **state)
{
	struct slot_policy policy = standard;
	struct slot slot;

	(void)state;
	policy.stop_signal = SIGQUIT;
	policy.kill_group = false;
	begin(&slot, &policy);
	slot_handle(&slot, SLOT_START);
	slot_handle(&slot, SLOT_IS_READY);
	slot_handle(&slot, SLOT_STOP);
	assert_int_equal(fake.last_signal, SIGQUIT);
	assert_false(fake.last_group);
	assert_int_equal(fake.route, ROUTE_CLOSED);
	assert_int_equal(fake.timer, fake.now + policy.stop_timeout);
	ring(&slot);
	assert_int_equal(fake.last_signal, SIGKILL);
	exits(&slot, "killed by SIGKILL");
	assert_int_equal(slot.state, SLOT_EMPTY);
	assert_false(slot.wanted);
	assert_int_equal(fake.starts, 1);
	assert_int_equal(fake.timer, SLOT_NO_TIMER);

	lead_to(&slot, SLOT_READY);
	slot.stop_ms = 77; /* a shutdown that is in a hurry */
	slot_handle(&slot, SLOT_STOP);
	assert_int_equal(fake.timer, fake.now + 77);
	slot_handle(&slot, SLOT_STOP);
	assert_int_equal(slot.state, SLOT_KILLED);
	assert_int_equal(fake.last_signal, SIGKILL);
}

/* Worry: a drained worker gets new clients, is hurried, or is forgotten. */
static void test_drain(void **state)
{
	struct slot slot;

	(void)state;
	lead_to(&slot, SLOT_READY);
	slot.drain_ms = 5000;
	slot_handle(&slot, SLOT_DRAIN);
	assert_int_equal(fake.route, ROUTE_CLOSED);
	assert_true(fake.drain);
	assert_int_equal(fake.signals, 0);
	assert_int_equal(fake.timer, fake.now + 5000);
	slot.drain_ms = 100; /* a new deadline */
	slot_handle(&slot, SLOT_DRAIN);
	assert_int_equal(fake.timer, fake.now + 100);
	ring(&slot);
	assert_int_equal(slot.state, SLOT_STOPPING);
	assert_int_equal(fake.last_signal, SIGTERM);
	exits(&slot, "exited with code 0");
	assert_int_equal(slot.state, SLOT_EMPTY);

	lead_to(&slot, SLOT_READY);
	slot_handle(&slot, SLOT_DRAIN); /* without a deadline */
	assert_int_equal(fake.timer, SLOT_NO_TIMER);
}

/* Worry: a worker that goes by its own will is hurried, gets clients still, or has no successor. */
static void test_leaves(void **state)
{
	struct slot slot;

	(void)state;
	lead_to(&slot, SLOT_READY);
	slot_handle(&slot, SLOT_LEAVES);
	assert_true(slot.voluntary);
	assert_true(slot.wanted);
	assert_int_equal(fake.route, ROUTE_CLOSED);
	assert_false(fake.drain); /* it knows already */
	assert_int_equal(fake.timer, SLOT_NO_TIMER);
	assert_int_equal(fake.signals, 0);
	fake.now += standard.min_uptime;
	exits(&slot, "exited with code 0");
	assert_int_equal(slot.state, SLOT_WAITING);
	assert_int_equal(slot.pace.failures, 0);
	assert_int_equal(fake.route, ROUTE_WAIT);
	assert_int_equal(fake.timer, fake.now);
	ring(&slot);
	assert_int_equal(slot.state, SLOT_STARTING);
	assert_false(slot.voluntary);
	assert_int_equal(slot.generation, 2);
}

/* Worry: a slot that shall not run any more starts again, or one that waits cannot be told so. */
static void test_unwanted(void **state)
{
	static const enum slot_event words[] = { SLOT_DRAIN, SLOT_STOP };

	(void)state;
	for (int from = SLOT_STARTING; from < SLOT_STATES; from++) {
		for (size_t i = 0; i < 2; i++) {
			struct slot slot;
			unsigned starts;

			lead_to(&slot, (enum slot_state)from);
			starts = fake.starts;
			slot_handle(&slot, words[i]);
			assert_false(slot.wanted);
			if (fake.running)
				exits(&slot, "exited with code 0");
			assert_int_equal(slot.state, SLOT_EMPTY);
			assert_int_equal(fake.route, ROUTE_CLOSED);
			assert_int_equal(fake.timer, SLOT_NO_TIMER);
			assert_int_equal(fake.starts, starts);
		}
	}
}

/* Worry: the log does not say why a worker went. */
static void test_last_end(void **state)
{
	char *how = malloc(1000);
	struct slot slot;

	(void)state;
	lead_to(&slot, SLOT_READY);
	fake.now += 3210;
	exits(&slot, "killed by SIGSEGV");
	assert_string_equal(slot.last_end, "killed by SIGSEGV after 3.2 s");
	memset(how, 'x', 999);
	how[999] = '\0';
	slot_note_end(&slot, how); /* cut, not written beyond */
	assert_int_equal(strlen(slot.last_end), sizeof slot.last_end - 1);
	free(how);
}

static void check(const struct slot *slot, enum slot_event event)
{
	bool needs_timer = slot->state == SLOT_STARTING || slot->state == SLOT_STOPPING ||
			   slot->state == SLOT_KILLED || slot->state == SLOT_WAITING;
	bool has_none = slot->state == SLOT_EMPTY || slot->state == SLOT_FAILED;
	bool is_good = slot_is_running(slot) == fake.running &&
		       (fake.timer != SLOT_NO_TIMER || !needs_timer) &&
		       (fake.timer == SLOT_NO_TIMER || !has_none) &&
		       (fake.route == ROUTE_OPEN) == (slot->state == SLOT_READY) &&
		       (slot->wanted || slot->state == SLOT_EMPTY || fake.running) &&
		       !(slot->wanted && slot->state == SLOT_EMPTY) &&
		       slot->generation == fake.starts;

	if (!is_good)
		fail_msg("after event %u: %s, running %d, timer %lld, route %d, wanted %d", event,
			 slot_state_name(slot->state), fake.running, (long long)fake.timer,
			 (int)fake.route, slot->wanted);
}

/* Worry: some order of events that nobody thought of leaves a slot without process and without
 * timer, or with two processes. */
static void test_a_million_events(void **state)
{
	struct slot_policy policy = standard;
	struct slot slot;
	unsigned seen[SLOT_STATES] = { 0 };

	(void)state;
	srandom(7);
	policy.max_restarts = 6;
	begin(&slot, &policy);
	for (int i = 0; i < 1000000; i++) {
		enum slot_event event = (enum slot_event)(random() % SLOT_EVENTS);

		fake.now += random() % 300;
		fake.cannot_start = random() % 8 == 0;
		if (event == SLOT_TIMER && fake.timer == SLOT_NO_TIMER)
			continue;
		if (event == SLOT_TIMER)
			ring(&slot);
		else if (event == SLOT_EXITED && fake.running)
			exits(&slot, "exited with code 1");
		else
			slot_handle(&slot, event);
		check(&slot, event);
		seen[slot.state]++;
	}
	for (int s = 0; s < SLOT_STATES; s++)
		assert_true(seen[s] > 0);
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell), cmocka_unit_test(test_names),
		cmocka_unit_test(test_the_way_up), cmocka_unit_test(test_late_and_hung_are_killed),
		cmocka_unit_test(test_stop),       cmocka_unit_test(test_drain),
		cmocka_unit_test(test_leaves),     cmocka_unit_test(test_unwanted),
		cmocka_unit_test(test_last_end),   cmocka_unit_test(test_a_million_events),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
