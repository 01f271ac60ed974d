/* Why: delivery is tested with real links and real descriptors, the supervisor's words said by hand
 * and the workers played by limpet_worker.h; the players stand here so that each test tells only
 * its story. SPDX-License-Identifier: ISC */
#ifndef TEST_FIELD_H
#define TEST_FIELD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor/delivery.h"
#include "acceptor/seat.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/config.h"
#include "front/client.h"
#include "front/door.h"
#include "limpet_worker.h"
#include "wire/counter.h"

#define FIELD_SLOTS       8
#define FIELD_PATIENCE_MS 10000

/* One pool of fd workers. `far` is the worker's end of each link, -1: dead. */
static struct {
	struct event_base *base;
	struct config *config;
	struct delivery *delivery;
	struct door_listener listener;
	int far[FIELD_SLOTS];
	uint64_t generation[FIELD_SLOTS];
	unsigned readies, leavings; /* told to the supervisor */
	bool word_is_in_link;       /* when it was told that a worker is ready */
	uint64_t before[COUNTER_COUNT];
} field;

/* A test holds every client's own end too. */
static inline void field_all_descriptors(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static inline uint64_t field_counted(enum counter which)
{
	return counter_get(which) - field.before[which];
}

static inline void field_hear(const struct message *message, void *arg)
{
	assert_ptr_equal(arg, &field);
	if (message->type == MESSAGE_WORKER_READY) {
		const struct message_worker *ready = &message->WORKER_READY;
		const struct seat *seat = delivery_seat(field.delivery, ready->pool, ready->slot);
		char byte;

		field.readies++;
		field.word_is_in_link = recv(seat->link, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	}
	field.leavings += message->type == MESSAGE_WORKER_LEAVES;
}

static inline void field_begin(unsigned slots, const char *options)
{
	struct event_config *settings = event_config_new();
	struct error e = { "" };
	char text[1024];
	int length = snprintf(text, sizeof text,
			      "[pool:web]\ncommand = /bin/true\ndelivery = fd\ninstances = %u\n%s\n"
			      "[listen:web]\nbind = 127.0.0.1:80\n",
			      slots, options);

	memset(&field, 0, sizeof field);
	memset(field.far, 0xff, sizeof field.far);
	event_config_set_flag(settings, EVENT_BASE_FLAG_NO_CACHE_TIME);
	field.base = event_base_new_with_config(settings);
	event_config_free(settings);
	field.config = config_parse("test", text, (size_t)length, &e);
	if (!field.config)
		fail_msg("%s", e.text);
	field.delivery = delivery_new(field.base, field.config, 4711, 5, field_hear, &field);
	field.listener = (struct door_listener){ .config = &field.config->listens[0],
						 .fd = -1,
						 .name = "listen:web" };
	field.listener.local = field.config->listens[0].bind.items[0];
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		field.before[i] = counter_get((enum counter)i);
}

/* Every test ends here: nothing may be left of any client. */
static inline void field_over(void)
{
	delivery_free(&field.delivery);
	assert_null(field.delivery);
	assert_int_equal(client_count(), 0);
	assert_int_equal(field.listener.open, 0);
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	assert_int_equal(counter_get(COUNTER_UNACKNOWLEDGED), 0);
	assert_int_equal(counter_get(COUNTER_SLOTS_UP), 0);
	for (int i = 0; i < FIELD_SLOTS; i++)
		fd_close(&field.far[i]);
	config_free(&field.config);
	event_base_free(field.base);
}

static inline void field_turn(void)
{
	for (int i = 0; i < 4; i++) {
		gather_round(field.delivery->gather); /* what a timer would do in ms */
		event_base_loop(field.base, EVLOOP_NONBLOCK);
	}
}

/* Runs the loop until the condition holds. */
#define field_until(condition)                                                                     \
	do {                                                                                       \
		const int64_t deadline_ = clock_now_ms() + FIELD_PATIENCE_MS;                      \
		while (!(condition)) {                                                             \
			struct timeval pause_ = { .tv_usec = 1000 };                               \
			event_base_loopexit(field.base, &pause_);                                  \
			event_base_dispatch(field.base);                                           \
			if (clock_now_ms() > deadline_)                                            \
				fail_msg("in vain: %s", #condition);                               \
		}                                                                                  \
	} while (0)

static inline struct seat *field_seat(size_t slot)
{
	return delivery_seat(field.delivery, 0, (uint32_t)slot);
}

/* The supervisor's words. */
static inline void field_slot_begin(size_t slot)
{
	struct message_slot word = { .slot = (uint32_t)slot,
				     .generation = ++field.generation[slot],
				     .pid = 1234 };
	int pair[2];

	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(field.far[slot], -1);
	field.far[slot] = pair[1];
	delivery_slot_begin(field.delivery, &word, &pair[0]);
	assert_int_equal(pair[0], -1);
}

static inline void field_state(size_t slot, enum slot_route route, bool drain)
{
	const struct message_slot_state word = { .slot = (uint32_t)slot,
						 .route = route,
						 .drain = drain };

	delivery_slot_state(field.delivery, &word);
}

static inline void field_slot_end(size_t slot, enum slot_route route)
{
	const struct message_slot_end word = { .slot = (uint32_t)slot,
					       .generation = field.generation[slot],
					       .route = route };

	fd_close(&field.far[slot]);
	delivery_slot_end(field.delivery, &word);
}

static inline void field_open(size_t slot)
{
	field_slot_begin(slot);
	field_state(slot, ROUTE_OPEN, false);
}

/* 127.1.x.y, all different keys. */
static inline struct peer field_peer(unsigned address, uint16_t port)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	peer.v4.sin_addr.s_addr = htonl(0x7f010000u + address);
	return peer;
}

/* A client comes. `port` is how the workers will know him. Returns his own end. */
static inline int field_client(unsigned address, uint16_t port)
{
	const struct peer peer = field_peer(address, port);
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	delivery_take(client_begin(&pair[0], &field.listener, &peer), field.delivery);
	return pair[1];
}

static inline bool field_any(size_t slot, void *arg)
{
	unsigned *left = arg;

	(void)slot;
	return (*left)-- == 0;
}

/* The slot that stands at place `rank` in the address's ranking. */
static inline size_t field_choice(unsigned address, unsigned rank)
{
	const struct peer peer = field_peer(address, 0);
	struct route *route = &field.delivery->pools[0].route;
	size_t ignored;

	return route_choose(route, route_key(route, &peer), field_any, &rank, &ignored);
}

/* An address whose first choice is this slot; `nth` of them. */
static inline unsigned field_address_of(size_t slot, unsigned nth)
{
	for (unsigned address = 1;; address++) {
		if (field_choice(address, 0) == slot && nth-- == 0)
			return address;
	}
}

/* The worker of a slot receives one client: his port, or 0 where none came. */
static inline uint16_t field_receive(size_t slot, struct limpet_client *client_r)
{
	int got = limpet_worker_receive(field.far[slot], client_r);
	struct sockaddr_in peer;

	if (got < 0)
		assert_int_equal(errno, EAGAIN);
	if (got <= 0)
		return 0;
	memcpy(&peer, &client_r->peer, sizeof peer);
	return ntohs(peer.sin_port);
}

/* The worker takes one client and acknowledges him: his port, or 0. He is served and gone. */
static inline uint16_t field_serve(size_t slot)
{
	struct limpet_client client;
	uint16_t port = field_receive(slot, &client);

	if (port == 0)
		return 0;
	assert_int_equal(limpet_worker_accept(field.far[slot], client.id), 0);
	fd_close(&client.fd);
	field_turn();
	return port;
}

static inline bool field_is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

#endif
