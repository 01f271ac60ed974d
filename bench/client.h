/* Why: one simulated client of the load generator: a connection that asks, reads the answer to its
 * end, and asks again. Times are CLOCK_MONOTONIC nanoseconds. SPDX-License-Identifier: ISC */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "leg.h"

struct crowd;

enum mode {
	MODE_NEW,   /* every request on a connection of its own, which the server closes */
	MODE_KEEP,  /* request after request on one connection */
	MODE_HOLD,  /* one request, then the connection stays open and idle */
	MODE_WATCH, /* like MODE_NEW, and says when the answer of an address changes */
	MODE_BULK,  /* one long answer per connection, of which nothing is looked at */
};

/* What every client does. Lives as long as the load; nobody writes it after the start. */
struct plan {
	enum mode mode;
	enum leg_kind leg;
	char ask[128]; /* the request */
	struct sockaddr_in target;
	unsigned first_address; /* clients come from 127.1.x.y, from this number on */
	unsigned addresses;
	uint64_t count;   /* connections per crowd, 0: until the time is over */
	uint64_t bytes;   /* MODE_BULK: of one answer */
	unsigned opening; /* MODE_HOLD: connections per crowd that may be on their way at a time */
	int64_t pause;    /* between an answer and the next request */
	int64_t settle;   /* nothing is counted before this time has passed and every client has
			   * been answered; 0: all is */
	int64_t patience; /* an unanswered request is given up as hung after this time */
};

enum outcome {
	OUTCOME_ANSWERED,
	OUTCOME_REFUSED,
	OUTCOME_FAILED,
	OUTCOME_HUNG,
	OUTCOMES
};

/* client_begin: IDLE, PAUSED -> CONNECTING; client_shake: CONNECTING -> SHAKING (TLS);
 * client_ask: CONNECTING, SHAKING, WAITING -> WAITING; client_begin_body: WAITING -> RECEIVING
 * (bulk); client_end: all but IDLE, PAUSED -> WAITING (keep) | HELD (hold) | PAUSED | CONNECTING
 * | IDLE (all done).
 *
 *        begin              shake          ask           answered (hold)
 * IDLE ---------> CONNECTING ----> SHAKING ----> WAITING ---------------> HELD
 *   ^                 ^  |                        ^  |  \                   |
 *   |                 |  +--------- ask ----------+  |   +--> RECEIVING      |
 *   |      wake       |                              v end       | end      |
 *   +------------- PAUSED <--------------------------+-----------+----------+
 */
enum client_state {
	CLIENT_IDLE,
	CLIENT_CONNECTING,
	CLIENT_SHAKING,
	CLIENT_WAITING,
	CLIENT_RECEIVING,
	CLIENT_HELD,
	CLIENT_PAUSED
};

/* A longer answer is a failure: the servers of this bench give less. */
#define CLIENT_ANSWER_MAX 1024

struct client {
	struct crowd *crowd;
	enum client_state state;
	struct leg leg;
	unsigned number;   /* in its crowd; in MODE_WATCH its address never changes */
	bool was_answered; /* at least once; by a long answer from its beginning */
	int64_t begun;     /* when the connection, or in MODE_KEEP the request, was begun; of
			    * a long answer when its newest bytes came */
	int64_t wake;      /* end of the pause */
	uint64_t left;     /* bytes of a long answer that are still to come */
	unsigned used;
	char answer[CLIENT_ANSWER_MAX];
	char last[32]; /* MODE_WATCH: body of the last answer */
};

int64_t client_now(void);

/* Opens a connection and asks as soon as it stands; goes idle when the plan's count is reached. */
void client_begin(struct client *client);

/* Word of epoll(7) about the client's socket. */
void client_on_event(struct client *client, uint32_t events);

/* To be called now and then: ends a pause, gives up a request that hangs. */
void client_tick(struct client *client, int64_t now);

#endif
