/* Why: see the header. A gift that breaks the rules is a fault of the relay, which is closer to the
 * open network than we are: its link is closed, nothing is guessed. SPDX-License-Identifier: ISC */
#include "acceptor/gifts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/counter.h"
#include "wire/gift.h"

/* Gifts taken per wake-up of a link: workers' answers and other relays are heard in between. */
#define GIFTS_AT_ONCE 64

struct known_listener {
	SLIST_ENTRY(known_listener) link;
	struct door_listener seen;
};

struct gift_link {
	struct gifts *gifts;
	struct event *event;
	int fd; /* -1: none */
	char name[16];
};

struct gifts {
	struct event_base *base;
	const struct config *config;
	door_handler *handler;
	void *arg;
	SLIST_HEAD(, known_listener) listeners;
	struct gift_link links[GIFTS_RELAYS];
};

struct gifts *gifts_new(struct event_base *base, const struct config *config, door_handler *handler,
			void *arg)
{
	struct gifts *gifts = calloc(1, sizeof *gifts);

	if (!gifts)
		fatal("out of memory");
	gifts->base = base;
	gifts->config = config;
	gifts->handler = handler;
	gifts->arg = arg;
	SLIST_INIT(&gifts->listeners);
	for (unsigned i = 0; i < GIFTS_RELAYS; i++) {
		struct gift_link *link = &gifts->links[i];

		*link = (struct gift_link){ .gifts = gifts, .fd = -1 };
		snprintf(link->name, sizeof link->name, "relay/%u", i);
	}
	return gifts;
}

static void close_link(struct gift_link *link)
{
	if (link->event)
		event_free(link->event);
	link->event = NULL;
	fd_close(&link->fd);
}

void gifts_free(struct gifts **gifts)
{
	struct known_listener *listener;

	if (!*gifts)
		return;
	for (unsigned i = 0; i < GIFTS_RELAYS; i++)
		close_link(&(*gifts)->links[i]);
	while ((listener = SLIST_FIRST(&(*gifts)->listeners))) {
		SLIST_REMOVE_HEAD(&(*gifts)->listeners, link);
		free(listener);
	}
	free(*gifts);
	*gifts = NULL;
}

void gifts_listener(struct gifts *gifts, const struct message_listener *what,
		    const struct listen_config *config)
{
	struct known_listener *listener = calloc(1, sizeof *listener);

	if (!listener)
		fatal("out of memory");
	listener->seen = (struct door_listener){
		.config = config, .local = what->local, .id = what->id, .pool = what->pool, .fd = -1
	};
	snprintf(listener->seen.name, sizeof listener->seen.name, "listen:%s", config->name);
	SLIST_INSERT_HEAD(&gifts->listeners, listener, link);
}

static struct door_listener *find_listener(struct gifts *gifts, uint32_t id)
{
	struct known_listener *listener;

	SLIST_FOREACH(listener, &gifts->listeners, link)
	if (listener->seen.id == id)
		return &listener->seen;
	return NULL;
}

/* NULL: a relay cannot have such a client. */
static struct client *client_of(struct gifts *gifts, const struct gift *gift, int *fd)
{
	struct door_listener *listener = find_listener(gifts, gift->listener);
	struct client *client;

	if (!listener || gift->pool >= gifts->config->pool_count ||
	    gifts->config->pools[gift->pool].proxied)
		return NULL;
	client = client_begin(fd, listener, &gift->passport.from);
	counter_sub(COUNTER_ACCEPTED, 1); /* the relay has counted him, and counts him as a gift */
	client->accepted_us = clock_now_us();
	client->pool = gift->pool;
	*client_passport(client) = gift->passport;
	return client;
}

static void lose_link(struct gift_link *link, int error)
{
	if (error != 0)
		log_line(LOG_ERROR, link->name, "its link for decrypted clients is closed: %s",
			 error == EPROTO ? "it gave something that is no client" : strerror(error));
	close_link(link);
}

static void on_gifts(evutil_socket_t socket, short what, void *arg)
{
	struct gift_link *link = arg;
	struct gifts *gifts = link->gifts;
	struct client *client;
	struct gift gift;
	int fd = -1, got = 0;

	(void)socket, (void)what;
	for (int i = 0; i < GIFTS_AT_ONCE; i++) {
		got = gift_receive(link->fd, &gift, &fd);
		if (got <= 0)
			break;
		client = client_of(gifts, &gift, &fd);
		if (!client) {
			fd_close(&fd);
			lose_link(link, EPROTO);
			return;
		}
		gifts->handler(client, gifts->arg);
	}
	/* errno 0 and ECONNRESET: the relay has ended. */
	if (got < 0)
		lose_link(link, errno == ECONNRESET ? 0 : errno);
}

void gifts_link(struct gifts *gifts, uint32_t relay, int *fd)
{
	struct gift_link *link;

	if (relay >= GIFTS_RELAYS)
		fatal("no such relay: %u", relay);
	if (*fd < 0)
		fatal("relay %u came without its link", relay);
	link = &gifts->links[relay];
	/* What a dead relay had given has no other end any more. */
	close_link(link);
	link->fd = fd_take(fd);
	link->event = event_new(gifts->base, link->fd, EV_READ | EV_PERSIST, on_gifts, link);
	if (!link->event || event_add(link->event, NULL) < 0)
		fatal("no event for the link of %s", link->name);
}

unsigned gifts_links(const struct gifts *gifts)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < GIFTS_RELAYS; i++)
		sum += gifts->links[i].fd >= 0;
	return sum;
}
