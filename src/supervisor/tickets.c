/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/tickets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

struct tickets {
	struct supervisor *supervisor;
	struct event *timer;
	bool to_acceptor; /* some TLS ends in workers, who get their keys through it */
	struct message message;
};

static void fill(struct ticket_key *key)
{
	if (getrandom(key, sizeof *key, 0) != (ssize_t)sizeof *key)
		fatal("getrandom: %s", strerror(errno));
}

static void tell(const struct tickets *t, struct role_process *role)
{
	if (role != &t->supervisor->acceptor || t->to_acceptor)
		role_process_tell(role, &t->message, -1);
}

void tickets_rotate(struct tickets *t)
{
	struct ticket_key *keys = t->message.TICKETS.keys;
	struct supervisor *s = t->supervisor;

	memmove(keys + 1, keys, (TICKET_KEYS - 1) * sizeof *keys);
	fill(&keys[0]);
	tell(t, &s->acceptor);
	for (size_t i = 0; i < s->relay_count; i++)
		tell(t, &s->relays[i]);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	tickets_rotate(arg);
}

static bool ends_in_workers(const struct listen_config *listen)
{
	return listen->tls[0] && !listen->relayed;
}

struct tickets *tickets_new(struct supervisor *s)
{
	const struct config *config = s->config;
	struct timeval period = clock_timeval(config->limpet.ticket_rotation);
	bool is_used = false, to_acceptor = false;
	struct tickets *t;

	for (size_t i = 0; i < config->listen_count; i++) {
		is_used = is_used || config->listens[i].tls[0];
		to_acceptor = to_acceptor || ends_in_workers(&config->listens[i]);
	}
	if (!is_used)
		return NULL;
	t = calloc(1, sizeof *t);
	if (!t)
		fatal("out of memory");
	*t = (struct tickets){ .supervisor = s, .to_acceptor = to_acceptor };
	t->message.type = MESSAGE_TICKETS;
	fill(&t->message.TICKETS.keys[0]); /* the others are zeroes: none */
	t->timer = event_new(s->base, -1, EV_PERSIST, on_timer, t);
	if (!t->timer || event_add(t->timer, &period) < 0)
		fatal("no timer");
	return t;
}

void tickets_free(struct tickets **tickets)
{
	struct tickets *t = *tickets;

	*tickets = NULL;
	if (!t)
		return;
	event_free(t->timer);
	explicit_bzero(t, sizeof *t);
	free(t);
}

void tickets_introduce(const struct tickets *t, struct role_process *role)
{
	if (t)
		tell(t, role);
}
