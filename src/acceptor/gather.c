/* Why: see the header: what it saves is wake-ups, what it costs is that an answer is heard at most
 * one period later. SPDX-License-Identifier: ISC */
#include "acceptor/gather.h"

#include <stdlib.h>

#include "acceptor/seat.h"
#include "base/clock.h"
#include "base/log.h"

#define PERIOD_MS    4
#define QUICK_MS     2 /* from one client to the next */
#define QUIET_ROUNDS 8

struct gather {
	struct event *round;
	TAILQ_HEAD(, seat) seats;
	int64_t last_ms; /* a client was sent */
};

static void start_round(struct gather *gather)
{
	struct timeval period = clock_timeval(PERIOD_MS);

	event_add(gather->round, &period);
}

/* The one place that moves a seat. */
static void seat_gathered(struct gather *gather, struct seat *seat, bool gathered)
{
	if (seat->gather.is_gathered == gathered)
		return;
	seat->gather.is_gathered = gathered;
	seat->gather.quiet = 0;
	if (gathered) {
		TAILQ_INSERT_TAIL(&gather->seats, seat, gather.link);
		event_del(seat->readable);
	} else {
		TAILQ_REMOVE(&gather->seats, seat, gather.link);
		event_add(seat->readable, NULL);
	}
}

void gather_round(struct gather *gather)
{
	struct seat *seat, *next;

	/* Reading may end the seat's own link, and with it its place here, but no other's. */
	for (seat = TAILQ_FIRST(&gather->seats); seat; seat = next) {
		next = TAILQ_NEXT(seat, gather.link);
		if (++seat->gather.quiet > QUIET_ROUNDS)
			seat_gathered(gather, seat, false);
		else
			seat_hear(seat);
	}
}

static void on_round(evutil_socket_t fd, short what, void *arg)
{
	struct gather *gather = arg;

	(void)fd, (void)what;
	gather_round(gather);
	if (!TAILQ_EMPTY(&gather->seats))
		start_round(gather);
}

void gather_sent(struct gather *gather, struct seat *seat, int64_t now_ms)
{
	bool is_quick = now_ms - gather->last_ms <= QUICK_MS;

	gather->last_ms = now_ms;
	seat->gather.quiet = 0;
	if (!is_quick || seat->gather.is_gathered)
		return;
	if (TAILQ_EMPTY(&gather->seats))
		start_round(gather);
	seat_gathered(gather, seat, true);
}

void gather_leave(struct gather *gather, struct seat *seat)
{
	seat_gathered(gather, seat, false);
}

struct gather *gather_new(struct event_base *base)
{
	struct gather *gather = calloc(1, sizeof *gather);

	if (!gather)
		fatal("out of memory");
	gather->round = event_new(base, -1, 0, on_round, gather);
	if (!gather->round)
		fatal("no event for the rounds");
	TAILQ_INIT(&gather->seats);
	return gather;
}

void gather_free(struct gather **gather)
{
	if (!*gather)
		return;
	event_free((*gather)->round);
	free(*gather);
	*gather = NULL;
}
