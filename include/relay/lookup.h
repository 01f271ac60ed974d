/* Why: one question to the name servers about one server line, from its start to its one answer,
 * without ever blocking. The foreign library (c-ares) is met here and nowhere else. Each question
 * has a channel of its own: new source ports, and a resolv.conf or hosts file that was changed
 * counts at once. Source: RFC 1035, RFC 2782, ares_getaddrinfo(3). SPDX-License-Identifier: ISC */
#ifndef RELAY_LOOKUP_H
#define RELAY_LOOKUP_H

#include <event2/event.h>

#include "config/config.h"
#include "relay/places.h"

enum lookup_result {
	LOOKUP_WHOLE,   /* all that there is, at least one address */
	LOOKUP_PARTIAL, /* some, but a part of the question stayed without an answer */
	LOOKUP_EMPTY,   /* answered: there is none */
	LOOKUP_FAILED   /* no answer, or that there is no such name */
};

struct lookup_answer {
	enum lookup_result result;
	struct place_found *found; /* in the order of the answer; the lookup's own */
	size_t count;
	size_t left_out; /* SRV targets beyond CONFIG_PLACES */
	const char *why; /* a sentence, unless WHOLE */
};

/* Called once, from the event loop; the receiver ends the lookup, at once or later. */
typedef void lookup_done(const struct lookup_answer *answer, void *arg);

struct lookup_question {
	const struct server *server; /* by its kind; the addresses get its port and weight */
	const struct address_list *name_servers; /* none: those of resolv.conf */
	bool expects_v4, expects_v6; /* known now: is asked again where an answer has none */
};

struct lookup;

struct lookup *lookup_begin(struct event_base *base, const struct lookup_question *question,
			    lookup_done *done, void *arg);

/* An unanswered one is given up silently. */
void lookup_end(struct lookup **lookup);

/* True where a server line needs no name server: a path, or a number. */
bool lookup_is_numeric(const struct server *server, struct address *address_r);

#endif
