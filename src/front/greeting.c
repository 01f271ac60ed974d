/* Why: see the header. Everything is looked at with MSG_PEEK, and only a whole header is taken, in
 * one read of exactly its length: no client needs a buffer while it waits, and no byte that belongs
 * to the worker ever leaves the socket. Most headers are there when their client is accepted; those
 * clients cost two system calls and are never seen by epoll.
 *
 * The others wait edge-triggered, so that bytes which were looked at already cannot wake us again;
 * SO_RCVLOWAT keeps TCP quiet until as many are there as can make a difference.
 * Source: recv(2), socket(7), tcp_set_rcvlowat() in net/ipv4/tcp.c, unix_poll() in net/unix.
 * SPDX-License-Identifier: ISC */
#include "front/greeting.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "front/client_hello.h"
#include "front/limits.h"
#include "front/sni.h"
#include "wire/counter.h"
#include "wire/proxy_header.h"

#define PEEK_FIRST  2048 /* most headers and hellos are shorter */
#define PEEK_MOST   (PROXY_V2_MAX + CLIENT_HELLO_MAX)
#define GUEST_CHUNK 64

/*	HEADER --none to come--> HELLO, DONE
 *	HEADER --whole--> HELLO        tls_passthrough
 *	HEADER --whole--> DONE
 *	HELLO --whole--> DONE
 *	HEADER, HELLO --> LEAVING      wrong, gone, not allowed
 *	greeting_move makes them all. */
enum greeting_state {
	GREETING_HEADER,
	GREETING_HELLO,
	GREETING_DONE,
	GREETING_LEAVING
};

/* A client whose words are not all there. */
struct greeting {
	struct client *client;
	enum greeting_state state;
	enum end_reason reason; /* of LEAVING */
	size_t skip;            /* bytes of a header that stays in the socket */
	size_t seen;            /* bytes in the socket at the last look */
	size_t awaited;         /* bytes in the socket that can make a difference */
	size_t lowat;           /* SO_RCVLOWAT; 1 as accepted */
	const char *why;        /* of LEAVING; NULL: the reason says all */
};

/* One that has to wait. */
struct guest {
	TAILQ_ENTRY(guest) link;
	struct greeting_desk *desk;
	struct event readable, late;
	struct greeting greeting;
};
TAILQ_HEAD(guest_queue, guest);

struct greeting_desk {
	struct event_base *base;
	door_handler *handler;
	void *arg;
	struct guest_queue waiting;
	unsigned count;
	char why[160];             /* of the client that leaves now */
	uint8_t peeked[PEEK_MOST]; /* of the client that is looked at now */
};

/* Like clients: their number is that of the most that ever waited at once. */
static struct guest_queue spare = TAILQ_HEAD_INITIALIZER(spare);

static bool is_open(const struct greeting *greeting)
{
	return greeting->state == GREETING_HEADER || greeting->state == GREETING_HELLO;
}

static void greeting_move(struct greeting *greeting, enum greeting_state state)
{
	greeting->state = state;
}

static void leave(struct greeting *greeting, enum end_reason reason)
{
	greeting->reason = reason;
	greeting_move(greeting, GREETING_LEAVING);
}

/* With what it said instead: an operator who reads "GET / HTTP/1.1" knows what to change. */
static void leave_because(struct greeting_desk *desk, struct greeting *greeting,
			  enum end_reason reason, const char *why, const uint8_t *said, size_t have)
{
	const int shown = have < 40 ? (int)have : 40;

	snprintf(desk->why, sizeof desk->why, "%s (it said \"%.*s\")", why, shown,
		 (const char *)said);
	greeting->why = desk->why;
	leave(greeting, reason);
}

static bool is_trusted(const struct client *client)
{
	/* A UNIX client has no address: who may connect is decided by the permissions of the file.
	 */
	return client->peer.any.sa_family == AF_UNIX ||
	       cidr_match(&client->listener->config->trusted, &client->peer);
}

static void begin(struct greeting *greeting, struct client *client)
{
	const struct listen_config *config = client->listener->config;

	*greeting = (struct greeting){ .client = client, .lowat = 1 };
	if (config->proxy_protocol == PROXY_PROTOCOL_OFF)
		greeting_move(greeting, config->tls_passthrough ? GREETING_HELLO : GREETING_DONE);
	else if (!is_trusted(client))
		leave(greeting, END_NOT_TRUSTED);
}

/* Takes exactly the header, all of which is there. */
static bool consume(struct greeting_desk *desk, struct greeting *greeting, size_t length)
{
	return recv(greeting->client->fd, desk->peeked, length, 0) == (ssize_t)length;
}

/* From here on the client is who the header says. A header that stays in the socket is the worker's
 * to read: then only the choice of the slot goes by it. */
static void introduce(struct client *client, const struct proxy_header *header, bool stays)
{
	if (header->is_local)
		return;
	peer_set(&client->peer, &header->from.any, sizeof header->from);
	if (stays)
		return;
	*client_passport(client) = header->passport;
	client->passport->from = header->from;
	client->passport->to = header->to;
}

static void header_whole(struct greeting_desk *desk, struct greeting *greeting,
			 const struct proxy_header *header, size_t length)
{
	struct client *client = greeting->client;
	const struct listen_config *config = client->listener->config;
	const bool stays = config->proxy_protocol == PROXY_PROTOCOL_PASS;

	if (!stays && !consume(desk, greeting, length)) {
		leave(greeting, END_BAD_SOCKET);
		return;
	}
	introduce(client, header, stays);
	greeting->skip = stays ? length : 0;
	/* LOCAL is the balancer asking for himself; trusted has let him in. */
	if (!header->is_local && limits_check(config, NULL, &client->peer) == END_DENIED)
		leave(greeting, END_DENIED);
	else
		greeting_move(greeting, config->tls_passthrough ? GREETING_HELLO : GREETING_DONE);
}

static void hello_whole(struct greeting *greeting, const char *name)
{
	struct client *client = greeting->client;
	const struct sni_route *route = sni_find(&client->listener->config->sni, name);

	if (route)
		client->pool = (uint32_t)route->pool_index;
	greeting_move(greeting, GREETING_DONE);
}

/* The bytes that are still needed at least; 0: the greeting has moved. */
static size_t look_for_header(struct greeting_desk *desk, struct greeting *greeting, size_t have)
{
	struct proxy_header header;
	size_t length, needed;
	const char *why;

	switch (proxy_header_read(desk->peeked, have, &header, &length, &needed, &why)) {
	case PROXY_MORE:
		return needed;
	case PROXY_DONE:
		header_whole(desk, greeting, &header, length);
		return 0;
	case PROXY_BAD:
		break;
	}
	leave_because(desk, greeting, END_BAD_HEADER, why, desk->peeked, have);
	return 0;
}

static size_t look_for_hello(struct greeting_desk *desk, struct greeting *greeting, size_t have)
{
	const uint8_t *hello = desk->peeked + greeting->skip;
	char name[CLIENT_HELLO_NAME];
	const char *why;
	size_t needed;

	if (have < greeting->skip) /* cannot be: they were there before */
		return greeting->skip - have;
	have -= greeting->skip;
	switch (client_hello_read(hello, have, name, &needed, &why)) {
	case CLIENT_HELLO_MORE:
		return needed;
	case CLIENT_HELLO_DONE:
		hello_whole(greeting, name);
		return 0;
	case CLIENT_HELLO_BAD:
		break;
	}
	leave_because(desk, greeting, END_BAD_HELLO, why, hello, have);
	return 0;
}

static size_t look(struct greeting_desk *desk, struct greeting *greeting, size_t have)
{
	return greeting->state == GREETING_HEADER ? look_for_header(desk, greeting, have)
						  : look_for_hello(desk, greeting, have);
}

/* Looks at what is there until the greeting has moved to its end, or more must come first. */
static void attend(struct greeting_desk *desk, struct greeting *greeting)
{
	size_t size = greeting->awaited > PEEK_FIRST ? greeting->awaited : PEEK_FIRST;

	while (is_open(greeting)) {
		ssize_t have = recv(greeting->client->fd, desk->peeked, size, MSG_PEEK);
		size_t needed;

		if (have < 0 && errno == EAGAIN) {
			have = 0;
		} else if (have <= 0) {
			leave(greeting, END_BAD_SOCKET);
			return;
		}
		needed = look(desk, greeting, (size_t)have);
		if (needed == 0)
			continue;
		greeting->seen = (size_t)have;
		greeting->awaited = (size_t)have + needed;
		if ((size_t)have < size)
			return;
		size = greeting->awaited; /* we looked at less than there may be */
	}
}

/* The one way out: nothing of ours is left on the socket. */
static void finish(struct greeting_desk *desk, struct greeting *greeting)
{
	if (greeting->state == GREETING_DONE)
		desk->handler(greeting->client, desk->arg);
	else
		client_end_because(&greeting->client, greeting->reason, greeting->why);
}

static void set_lowat(struct greeting *greeting, size_t bytes)
{
	const int number = (int)bytes;

	if (greeting->lowat == bytes)
		return;
	greeting->lowat = bytes;
	/* Where it fails we are woken more often, that is all. */
	setsockopt(greeting->client->fd, SOL_SOCKET, SO_RCVLOWAT, &number, sizeof number);
}

static void guest_end(struct guest *guest)
{
	struct greeting_desk *desk = guest->desk;
	struct greeting greeting = guest->greeting;

	event_del(&guest->readable);
	event_del(&guest->late);
	TAILQ_REMOVE(&desk->waiting, guest, link);
	TAILQ_INSERT_HEAD(&spare, guest, link);
	desk->count--;
	counter_sub(COUNTER_GREETING, 1);
	if (greeting.state == GREETING_DONE)
		set_lowat(&greeting, 1);
	finish(desk, &greeting);
}

/* After a reset the bytes before it can still be looked at, for ever. */
static bool has_failed(const struct greeting *greeting)
{
	int error = 0;
	socklen_t length = sizeof error;

	return getsockopt(greeting->client->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ||
	       error != 0;
}

static void on_words(evutil_socket_t fd, short what, void *arg)
{
	struct guest *guest = arg;
	struct greeting *greeting = &guest->greeting;
	const size_t seen = greeting->seen;

	(void)fd;
	attend(guest->desk, greeting);
	if (is_open(greeting) &&
	    ((what & EV_CLOSED) || (greeting->seen == seen && has_failed(greeting))))
		leave(greeting, END_BAD_SOCKET); /* what is missing will not come */
	if (is_open(greeting))
		set_lowat(greeting, greeting->awaited);
	else
		guest_end(guest);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct guest *guest = arg;

	(void)fd;
	(void)what;
	leave(&guest->greeting, END_LATE_HEADER);
	guest_end(guest);
}

static void grow_spare(void)
{
	struct guest *chunk = calloc(GUEST_CHUNK, sizeof *chunk);

	if (!chunk)
		fatal("out of memory");
	for (size_t i = 0; i < GUEST_CHUNK; i++)
		TAILQ_INSERT_TAIL(&spare, &chunk[i], link);
}

/* It has until header_timeout after it was accepted, whatever it says meanwhile. */
static void guest_begin(struct greeting_desk *desk, const struct greeting *greeting)
{
	const struct client *client = greeting->client;
	const int64_t deadline_ms =
		client->accepted_us / 1000 + client->listener->config->header_timeout;
	const struct timeval left = clock_timeval(deadline_ms - clock_now_ms());
	struct guest *guest;

	if (TAILQ_EMPTY(&spare))
		grow_spare();
	guest = TAILQ_FIRST(&spare);
	TAILQ_REMOVE(&spare, guest, link);
	TAILQ_INSERT_TAIL(&desk->waiting, guest, link);
	guest->desk = desk;
	guest->greeting = *greeting;
	set_lowat(&guest->greeting, greeting->awaited);
	event_assign(&guest->readable, desk->base, client->fd,
		     EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_words, guest);
	event_assign(&guest->late, desk->base, -1, 0, on_late, guest);
	event_add(&guest->readable, NULL);
	event_add(&guest->late, &left);
	desk->count++;
	counter_add(COUNTER_GREETING, 1);
}

void greeting_take(struct client *client, void *arg)
{
	struct greeting_desk *desk = arg;
	struct greeting greeting;

	begin(&greeting, client);
	attend(desk, &greeting);
	if (is_open(&greeting))
		guest_begin(desk, &greeting);
	else
		finish(desk, &greeting);
}

struct greeting_desk *greeting_desk_new(struct event_base *base, door_handler *handler, void *arg)
{
	struct greeting_desk *desk = calloc(1, sizeof *desk);

	if (!desk)
		fatal("out of memory");
	desk->base = base;
	desk->handler = handler;
	desk->arg = arg;
	TAILQ_INIT(&desk->waiting);
	return desk;
}

void greeting_desk_free(struct greeting_desk **desk)
{
	struct guest *guest;

	if (!*desk)
		return;
	while ((guest = TAILQ_FIRST(&(*desk)->waiting)) != NULL) {
		leave(&guest->greeting, END_SHUTDOWN);
		guest_end(guest);
	}
	free(*desk);
	*desk = NULL;
}

unsigned greeting_count(const struct greeting_desk *desk)
{
	return desk->count;
}
