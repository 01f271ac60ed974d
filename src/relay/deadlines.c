/* Why: see the header. A bucket holds what is due in its step of this turn of the wheel and of the
 * turns after it; the timer sleeps until the next bucket that is not empty.
 * SPDX-License-Identifier: ISC */
#include "relay/deadlines.h"

#include <stdlib.h>

#include "base/log.h"

#define BUCKETS 1024

struct deadlines {
	struct client_queue buckets[BUCKETS];
	struct event *timer;
	deadlines_handler *handler;
	void *arg;
	int64_t seen;  /* steps up to this one have been looked at */
	int64_t armed; /* step that the timer waits for; CLOCK_NEVER: none */
	unsigned count;
};

/* Rounded up: nothing is late when its bucket is looked at, and nothing is early. */
static int64_t step_of(int64_t ms)
{
	return (ms + DEADLINES_STEP_MS - 1) / DEADLINES_STEP_MS;
}

static struct client_queue *bucket_of(struct deadlines *d, int64_t step)
{
	return &d->buckets[(uint64_t)step % BUCKETS];
}

static void arm(struct deadlines *d, int64_t step)
{
	const struct timeval wait = clock_timeval(step * DEADLINES_STEP_MS - clock_now_ms());

	if (step >= d->armed)
		return;
	d->armed = step;
	event_add(d->timer, &wait);
}

static void look_at(struct deadlines *d, struct client_queue *bucket, int64_t now_ms)
{
	struct client *client, *next;

	for (client = TAILQ_FIRST(bucket); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (client->deadline_ms > now_ms)
			continue;
		deadlines_drop(d, client);
		d->handler(client, now_ms, d->arg);
	}
}

static void arm_next(struct deadlines *d)
{
	if (d->count == 0)
		return;
	for (int64_t step = d->seen + 1; step <= d->seen + BUCKETS; step++) {
		if (!TAILQ_EMPTY(bucket_of(d, step))) {
			arm(d, step);
			return;
		}
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct deadlines *d = arg;
	const int64_t now_ms = clock_now_ms(), now = now_ms / DEADLINES_STEP_MS;
	int64_t step = d->seen + 1;

	(void)fd, (void)what;
	d->armed = CLOCK_NEVER;
	if (now - step >= BUCKETS)
		step = now - BUCKETS + 1;
	if (now > d->seen)
		d->seen = now; /* before the handlers, which may set new ones */
	for (; step <= now; step++)
		look_at(d, bucket_of(d, step), now_ms);
	arm_next(d);
}

struct deadlines *deadlines_new(struct event_base *base, deadlines_handler *handler, void *arg)
{
	struct deadlines *d = calloc(1, sizeof *d);

	if (!d)
		fatal("out of memory");
	for (size_t i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&d->buckets[i]);
	d->handler = handler;
	d->arg = arg;
	d->seen = clock_now_ms() / DEADLINES_STEP_MS;
	d->armed = CLOCK_NEVER;
	d->timer = evtimer_new(base, on_timer, d);
	if (!d->timer)
		fatal("no event for deadlines");
	return d;
}

void deadlines_free(struct deadlines **deadlines)
{
	struct deadlines *d = *deadlines;

	*deadlines = NULL;
	if (!d)
		return;
	event_free(d->timer);
	free(d);
}

/* What is past already comes with the next step: its bucket would not be looked at for a turn. */
void deadlines_set(struct deadlines *d, struct client *client, int64_t due_ms)
{
	const int64_t soonest = (d->seen + 1) * DEADLINES_STEP_MS;

	deadlines_drop(d, client);
	if (due_ms == CLOCK_NEVER)
		return;
	client->deadline_ms = due_ms < soonest ? soonest : due_ms;
	TAILQ_INSERT_TAIL(bucket_of(d, step_of(client->deadline_ms)), client, link);
	d->count++;
	arm(d, step_of(client->deadline_ms));
}

void deadlines_drop(struct deadlines *d, struct client *client)
{
	if (client->deadline_ms == 0)
		return;
	TAILQ_REMOVE(bucket_of(d, step_of(client->deadline_ms)), client, link);
	client->deadline_ms = 0;
	d->count--;
}
