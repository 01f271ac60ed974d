/* Why: the table of states decides whether a pool heals or burns; every cell of it is visited here,
 * with a fake process and a fake clock, so that no cell is seen for the first time on a bad night.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/slot.h"

/* The process and the clock that the slot believes in. */
static struct {
	bool running;
	bool cannot_start;
	unsigned starts, signals;
	int last_signal;
	bool last_group;
	unsigned routes;
	enum slot_route route;
	bool drain;
	int64_t timer; /* absolute; SLOT_NO_TIMER */
	int64_t now;
} fake;

static bool fake_start(struct slot *slot, struct error *e)
{
	(void)slot;
	assert_false(fake.running); /* two processes in one slot */
	fake.starts++;
	if (fake.cannot_start)
		return error_set(e, "no memory for a process");
	fake.running = true;
	return true;
}

static void fake_signal(struct slot *slot, int signal, bool group)
{
	(void)slot;
	assert_true(fake.running); /* a signal to nobody could hit a stranger */
	fake.signals++;
	fake.last_signal = signal;
	fake.last_group = group;
}

static void fake_route(struct slot *slot, enum slot_route route, bool drain)
{
	(void)slot;
	fake.routes++;
	fake.route = route;
	fake.drain = drain;
}

static void fake_timer(struct slot *slot, int64_t ms)
{
	(void)slot;
	fake.timer = ms == SLOT_NO_TIMER ? SLOT_NO_TIMER : fake.now + ms;
}

static int64_t fake_now(void)
{
	return fake.now;
}

static const struct slot_ops ops = { fake_start, fake_signal, fake_route, fake_timer, fake_now };

static struct slot_policy standard = {
	.start_timeout = 30000,
	.stop_timeout = 10000,
	.min_uptime = 10000,
	.restart_delay = 100,
	.restart_delay_max = 30000,
	.stop_signal = SIGTERM,
	.kill_group = true,
};

static void begin(struct slot *slot, const struct slot_policy *policy)
{
	memset(&fake, 0, sizeof fake);
	fake.now = 1000000;
	fake.timer = SLOT_NO_TIMER;
	fake.route = ROUTE_WAIT;
	slot_begin(slot, &ops, policy, "web/3", 42);
}

/* The process ends; its slot hears of it as the supervisor says it. */
static void exits(struct slot *slot, const char *how)
{
	fake.running = false;
	slot_note_end(slot, how);
	slot_handle(slot, SLOT_EXITED);
}

static void ring(struct slot *slot)
{
	assert_int_not_equal(fake.timer, SLOT_NO_TIMER);
	if (fake.timer > fake.now)
		fake.now = fake.timer;
	fake.timer = SLOT_NO_TIMER;
	slot_handle(slot, SLOT_TIMER);
}

/* Brings a fresh slot into a state by lawful ways only. */
static void lead_to(struct slot *slot, enum slot_state state)
{
	static struct slot_policy impatient;

	impatient = standard;
	impatient.max_restarts = 1;
	begin(slot, state == SLOT_FAILED ? &impatient : &standard);
	if (state == SLOT_EMPTY)
		return;
	slot_handle(slot, SLOT_START);
	if (state == SLOT_READY || state == SLOT_DRAINING)
		slot_handle(slot, SLOT_IS_READY);
	if (state == SLOT_DRAINING)
		slot_handle(slot, SLOT_DRAIN);
	else if (state == SLOT_STOPPING)
		slot_handle(slot, SLOT_STOP);
	else if (state == SLOT_KILLED)
		slot_handle(slot, SLOT_HUNG);
	else if (state == SLOT_WAITING || state == SLOT_FAILED)
		exits(slot, "exited with code 1");
	if (state == SLOT_FAILED) {
		ring(slot);
		exits(slot, "exited with code 1");
	}
	assert_int_equal(slot->state, state);
}

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
		cmocka_unit_test(test_every_cell),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_the_way_up),
		cmocka_unit_test(test_late_and_hung_are_killed),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_leaving_at_once_is_a_failure),
		cmocka_unit_test(test_crash_loop_is_slow),
		cmocka_unit_test(test_forgiveness_needs_min_uptime),
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_giving_up),
		cmocka_unit_test(test_unwanted),
		cmocka_unit_test(test_last_end),
		cmocka_unit_test(test_a_million_events),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
