/* Why: see crowd.h. SPDX-License-Identifier: ISC */
#include "crowd.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 256
#define TICK_IDLE      50000000 /* ns: how late a hanging request may be noticed */
#define TICK_PAUSED    300000   /* ns: how late a pause may end */

volatile sig_atomic_t crowd_ending;

struct crowd *crowd_new(const struct plan *plan, unsigned size)
{
	struct crowd *crowd = calloc(1, sizeof *crowd);
	struct client *clients = calloc(size, sizeof *clients);

	if (!crowd || !clients)
		errx(1, "out of memory for %u clients", size);
	crowd->plan = plan;
	crowd->size = size;
	crowd->clients = clients;
	crowd->tls = leg_context_new(plan->leg);
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (crowd->epoll < 0)
		err(1, "epoll_create1");
	for (unsigned i = 0; i < size; i++)
		clients[i] = (struct client){ .crowd = crowd, .leg.fd = -1, .number = i };
	return crowd;
}

void crowd_free(struct crowd **crowd)
{
	if (!*crowd)
		return;
	for (unsigned i = 0; i < (*crowd)->size; i++)
		leg_clear(&(*crowd)->clients[i].leg);
	leg_context_free(&(*crowd)->tls);
	close((*crowd)->epoll);
	free((*crowd)->clients);
	free(*crowd);
	*crowd = NULL;
}

static void crowd_wait(struct crowd *crowd)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	const struct timespec longest = { .tv_nsec = crowd->paused ? TICK_PAUSED : TICK_IDLE };
	const int count = epoll_pwait2(crowd->epoll, events, EVENTS_AT_ONCE, &longest, NULL);

	if (count < 0 && errno != EINTR)
		err(1, "epoll_pwait2");
	for (int i = 0; i < count; i++)
		client_on_event(events[i].data.ptr, events[i].events);
}

static void crowd_tick(struct crowd *crowd, int64_t now)
{
	for (unsigned i = 0; i < crowd->size; i++)
		client_tick(&crowd->clients[i], now);
}

/* All at once, or in MODE_HOLD no more at a time than the server may be asked to open. */
static void crowd_begin(struct crowd *crowd)
{
	const unsigned most =
		crowd->plan->mode == MODE_HOLD ? crowd->held + crowd->plan->opening : crowd->size;

	while (crowd->next < crowd->size && crowd->next < most)
		client_begin(&crowd->clients[crowd->next++]);
}

static void crowd_say_held(const struct crowd *crowd)
{
	printf("{\"held\": %u}\n", crowd->held);
	fflush(stdout);
}

/* The counted time begins: with the connections that stand, and the answers that they wait for. */
static void crowd_settle(struct crowd *crowd, int64_t now)
{
	memset(crowd->outcomes, 0, sizeof crowd->outcomes);
	memset(&crowd->latency, 0, sizeof crowd->latency);
	crowd->shaken = crowd->resumed = crowd->bytes = 0;
	crowd->started = now;
	printf("{\"settled\": %u}\n", crowd->size);
	fflush(stdout);
}

void crowd_run(struct crowd *crowd, int64_t deadline)
{
	int64_t now = client_now();
	const int64_t settle = now + crowd->plan->settle;
	bool is_settled = !crowd->plan->settle;
	int64_t ticked = now;
	bool said = false;

	crowd->started = now;
	crowd->busy = crowd->size;
	while (crowd->busy && now < deadline && !crowd_ending) {
		crowd_begin(crowd);
		crowd_wait(crowd);
		now = client_now();
		if (!is_settled && now >= settle && crowd->answered == crowd->size) {
			crowd_settle(crowd, now);
			is_settled = true;
		}
		if (crowd->paused || now - ticked > TICK_IDLE) {
			crowd_tick(crowd, now);
			ticked = now;
		}
		if (!said && crowd->held == crowd->size) {
			crowd_say_held(crowd);
			said = true;
		}
	}
	crowd->ended = client_now();
}
