/* Why: a slot with a fake process and a fake clock, for the tests of the table of states.
 * SPDX-License-Identifier: ISC */
#ifndef TEST_FAKE_SLOT_H
#define TEST_FAKE_SLOT_H

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

#endif
