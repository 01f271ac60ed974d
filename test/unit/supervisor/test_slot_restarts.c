/* Why: how soon a worker that died is started again decides whether one bad night heals or burns
 * the machine; here the delays are counted, with a fake process and a fake clock.
 * SPDX-License-Identifier: ISC */
#include "fake_slot.h"

/* Worry: a worker that leaves as soon as it came is a loop without back-off. */
static void test_leaving_at_once_is_a_failure(void **state)
{
	struct slot slot;

	(void)state;
	lead_to(&slot, SLOT_READY);
	for (unsigned i = 1; i < 5; i++) {
		slot_handle(&slot, SLOT_LEAVES);
		exits(&slot, "exited with code 0");
		assert_int_equal(slot.pace.failures, i);
		ring(&slot);
		slot_handle(&slot, SLOT_IS_READY);
	}
}

/* Plays `ms` of a worker that becomes ready (or not) and dies `uptime` later; returns the starts.
 */
static unsigned crash_loop(struct slot *slot, int64_t ms, bool gets_ready, int64_t uptime)
{
	int64_t end = fake.now + ms;

	slot_handle(slot, SLOT_START);
	while (fake.now < end) {
		if (gets_ready)
			slot_handle(slot, SLOT_IS_READY);
		fake.now += uptime;
		if (fake.timer != SLOT_NO_TIMER && fake.timer <= fake.now)
			ring(slot);
		exits(slot, "exited with code 1");
		assert_int_equal(slot->state, SLOT_WAITING);
		if (fake.timer > end)
			break;
		ring(slot);
	}
	return fake.starts;
}

/* Worry: a worker that dies at once eats the machine. */
static void test_crash_loop_is_slow(void **state)
{
	struct slot slot;

	(void)state;
	begin(&slot, &standard);
	assert_in_range(crash_loop(&slot, 60000, false, 0), 5, 15);
	assert_int_equal(fake.route, ROUTE_CLOSED); /* nobody is held for it */
	begin(&slot, &standard);
	assert_in_range(crash_loop(&slot, 60000, true, 1), 5, 15);
	begin(&slot, &standard);
	fake.cannot_start = true;
	slot_handle(&slot, SLOT_START);
	while (fake.timer <= 1060000) {
		assert_int_equal(slot.state, SLOT_WAITING);
		ring(&slot);
	}
	assert_in_range(fake.starts, 5, 15);
	assert_non_null(strstr(slot.last_end, "no memory for a process"));
}

/* Worry: the first crash after weeks costs a delay; or one good second forgives a crash loop. */
static void test_forgiveness_needs_min_uptime(void **state)
{
	struct slot slot;

	(void)state;
	begin(&slot, &standard);
	crash_loop(&slot, 60000, true, standard.min_uptime - 1);
	assert_true(slot.pace.failures >= 3);
	if (slot.state == SLOT_WAITING)
		ring(&slot);
	slot_handle(&slot, SLOT_IS_READY);
	ring(&slot); /* min_uptime is over */
	assert_int_equal(slot.pace.failures, 0);
	exits(&slot, "exited with code 1");
	assert_int_equal(fake.timer, fake.now); /* at once */
	assert_int_equal(fake.route, ROUTE_WAIT);
}

/* Worry: the order of the delays: at once, about restart_delay, then doubling to the maximum. */
static void test_delays(void **state)
{
	struct slot slot;
	int64_t most = standard.restart_delay;

	(void)state;
	lead_to(&slot, SLOT_STARTING);
	exits(&slot, "exited with code 1");
	assert_int_equal(fake.timer, fake.now);
	for (int i = 0; i < 20; i++) {
		ring(&slot);
		exits(&slot, "exited with code 1");
		assert_in_range(fake.timer - fake.now, most * 3 / 4, most);
		most = most * 2 < standard.restart_delay_max ? most * 2
							     : standard.restart_delay_max;
	}
}

/* Worry: max_restarts gives up one too early, never, or for ever against a person's will. */
static void test_giving_up(void **state)
{
	struct slot_policy policy = standard;
	struct slot slot;

	(void)state;
	policy.max_restarts = 3;
	begin(&slot, &policy);
	slot_handle(&slot, SLOT_START);
	for (unsigned i = 0; i < 3; i++) {
		exits(&slot, "exited with code 1");
		assert_int_equal(slot.state, SLOT_WAITING);
		ring(&slot);
	}
	assert_int_equal(slot.restarts, 3);
	exits(&slot, "exited with code 1");
	assert_int_equal(slot.state, SLOT_FAILED);
	assert_int_equal(fake.route, ROUTE_CLOSED);
	assert_int_equal(fake.timer, SLOT_NO_TIMER);
	slot_handle(&slot, SLOT_START);
	assert_int_equal(slot.state, SLOT_STARTING);
	assert_int_equal(slot.generation, 5);
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaving_at_once_is_a_failure),
		cmocka_unit_test(test_crash_loop_is_slow),
		cmocka_unit_test(test_forgiveness_needs_min_uptime),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_giving_up),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
