/* Why: a deadline that is lost keeps a connection for ever; one that is early ends a good one.
 * SPDX-License-Identifier: ISC */
#include "../front/loopback.h"

#include "relay/deadlines.h"
#include "wire/role.h"

#define CLIENTS 300

struct scene {
	struct event_base *base;
	struct deadlines *deadlines;
	struct client clients[CLIENTS];
	int64_t due_ms[CLIENTS];
	unsigned fired, early, again;
};

static void on_due(struct client *client, int64_t now_ms, void *arg)
{
	struct scene *s = arg;
	const size_t i = (size_t)(client - s->clients);

	assert_int_equal(client->deadline_ms, 0);
	s->early += now_ms < s->due_ms[i];
	s->fired++;
	if (s->again == 0)
		return;
	s->again--;
	s->due_ms[i] = now_ms + 10;
	deadlines_set(s->deadlines, client, s->due_ms[i]);
}

static bool all_have_fired(void *arg)
{
	const struct scene *s = arg;

	return s->fired == CLIENTS;
}

static void begin(struct scene *s)
{
	*s = (struct scene){ .base = role_base() };
	s->deadlines = deadlines_new(s->base, on_due, s);
}

static void end(struct scene *s)
{
	deadlines_free(&s->deadlines);
	event_base_free(s->base);
}

/* Worry: one is lost among many, comes early, or twice; one that was dropped comes. */
static void test_each_comes_once(void **state)
{
	static struct scene s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < CLIENTS; i++) {
		s.due_ms[i] = clock_now_ms() + (int64_t)(i * 37 % 400) - 20;
		deadlines_set(s.deadlines, &s.clients[i], s.due_ms[i] + 1000000);
		deadlines_set(s.deadlines, &s.clients[i], s.due_ms[i]);
	}
	for (size_t i = 0; i < CLIENTS; i += 3) {
		deadlines_drop(s.deadlines, &s.clients[i]);
		deadlines_drop(s.deadlines, &s.clients[i]);
		s.fired++;
	}
	assert_true(loopback_until(s.base, all_have_fired, &s));
	assert_int_equal(s.early, 0);
	loopback_settle(s.base);
	assert_int_equal(s.fired, CLIENTS);
	end(&s);
}

/* Worry: one that is set anew by its own handler is lost. */
static void test_set_anew(void **state)
{
	static struct scene s;

	(void)state;
	begin(&s);
	deadlines_set(s.deadlines, &s.clients[4], clock_now_ms());
	s.again = 5;
	s.fired = CLIENTS - 6;
	assert_true(loopback_until(s.base, all_have_fired, &s));
	assert_int_equal(s.early, 0);
	end(&s);
}

/* Worry: what lies a whole turn of the wheel ahead comes with the first, or keeps the process
 * awake. */
static void test_far_ahead(void **state)
{
	static struct scene s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < CLIENTS; i++) {
		s.due_ms[i] = clock_now_ms() + (i == 0 ? 50 : (int64_t)(1 + i) * 1024 * 32);
		deadlines_set(s.deadlines, &s.clients[i], s.due_ms[i]);
	}
	s.fired = CLIENTS - 1;
	assert_true(loopback_until(s.base, all_have_fired, &s));
	assert_int_equal(s.early, 0);
	for (size_t i = 1; i < CLIENTS; i++)
		assert_int_equal(s.clients[i].deadline_ms, s.due_ms[i]);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_comes_once),
		cmocka_unit_test(test_set_anew),
		cmocka_unit_test(test_far_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
