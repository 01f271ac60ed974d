/* Why: one look at one server, from connecting to a verdict, with an end that no server can put
 * off. How often it is made and what follows from it is health.c's. SPDX-License-Identifier: ISC */
#ifndef RELAY_CHECK_H
#define RELAY_CHECK_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/probe.h"

enum check_verdict {
	CHECK_GOOD,
	CHECK_BAD,
	CHECK_UNKNOWN /* we ran short of something: says nothing about the server */
};

struct check_question {
	const struct address *address;
	const char *request; /* sent once connected; NULL: to be accepted is enough */
	size_t request_length;
	const struct probe *probe; /* the status codes that are good; kept, with `request` copied */
	int64_t timeout_ms;        /* of the whole */
};

struct check;

/* Called once, from the event loop; `why` is a sentence unless GOOD. The receiver ends the check,
 * at once or later. */
typedef void check_done(enum check_verdict verdict, const char *why, void *arg);

struct check *check_begin(struct event_base *base, const struct check_question *question,
			  check_done *done, void *arg);

/* One without a verdict is given up. */
void check_end(struct check **check);

#endif
