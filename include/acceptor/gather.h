/* Why: a worker answers every client with a line or two, and each answer that wakes us costs more
 * than the answer: a sleep and a wake-up are half of a hand-over. While clients come in quick
 * succession, the links that they went to are not listened to but read together, once per period;
 * when they come singly, each answer is heard at once.
 *
 *   HEARD ──clients in quick succession──► GATHERED ──QUIET_ROUNDS without any──► HEARD
 *
 * SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_GATHER_H
#define ACCEPTOR_GATHER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct seat;

/* How a link's answers reach us; a member of struct seat. */
struct gather_place {
	TAILQ_ENTRY(seat) link;
	bool is_gathered;
	unsigned quiet; /* rounds since a client went there */
};

struct gather;

struct gather *gather_new(struct event_base *base);
void gather_free(struct gather **gather); /* every seat has left */

/* A client was sent to the seat at now_ms (monotonic). */
void gather_sent(struct gather *gather, struct seat *seat, int64_t now_ms);

/* Hears every gathered link now. */
void gather_round(struct gather *gather);

/* The seat's link is about to close, or its events to be freed. */
void gather_leave(struct gather *gather, struct seat *seat);

#endif
