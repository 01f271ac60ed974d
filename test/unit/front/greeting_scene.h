/* Why: a desk with a listener in front and a handler behind, and clients over real sockets: what
 * every test of the greeting begins with. SPDX-License-Identifier: ISC */
#ifndef TEST_GREETING_SCENE_H
#define TEST_GREETING_SCENE_H

#include "loopback.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "front/door.h"
#include "front/greeting.h"
#include "wire/counter.h"

#define V2_SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define V1_HEADER    "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n"
#define V2_HEADER    V2_SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"
#define V2_LOCAL     V2_SIGNATURE "\x20\x00\x00\x00"

enum scene_socket {
	SCENE_TCP,
	SCENE_UNIX
};

struct scene {
	struct event_base *base;
	struct greeting_desk *desk;
	struct listen_config config;
	struct door_listener listener;
	struct cidr trusted;
	struct client_queue passed;
	unsigned passed_count;
	int last_lowat; /* SO_RCVLOWAT of the last that passed */
	int events_left;
};

/* The desk calls this one: how often it asks the kernel is part of what is tested. */
static unsigned recv_calls;

ssize_t recv(int fd, void *out, size_t size, int flags)
{
	recv_calls++;
	return syscall(SYS_recvfrom, fd, out, size, flags, NULL, NULL);
}

static inline void on_passed(struct client *client, void *arg)
{
	struct scene *scene = arg;
	socklen_t length = sizeof scene->last_lowat;

	getsockopt(client->fd, SOL_SOCKET, SO_RCVLOWAT, &scene->last_lowat, &length);
	scene->events_left = event_base_get_num_events(scene->base, EVENT_BASE_COUNT_ADDED);
	TAILQ_INSERT_TAIL(&scene->passed, client, link);
	scene->passed_count++;
}

static inline void scene_begin(struct scene *scene, int proxy_protocol)
{
	struct error e;

	memset(scene, 0, sizeof *scene);
	scene->base = event_base_new();
	scene->desk = greeting_desk_new(scene->base, on_passed, scene);
	assert_true(cidr_parse("127.0.0.0/8", &scene->trusted, &e));
	scene->config.proxy_protocol = proxy_protocol;
	scene->config.header_timeout = 3600000;
	scene->config.trusted = (struct cidr_list){ &scene->trusted, 1 };
	scene->listener = (struct door_listener){
		.config = &scene->config, .name = "listen:test", .fd = -1, .pool = 7
	};
	TAILQ_INIT(&scene->passed);
}

/* Ends the first client that passed. */
static inline void scene_forget(struct scene *scene)
{
	struct client *client = TAILQ_FIRST(&scene->passed);

	assert_non_null(client);
	TAILQ_REMOVE(&scene->passed, client, link);
	client_end(&client, END_HANDED_OVER);
}

static inline void scene_end(struct scene *scene)
{
	while (!TAILQ_EMPTY(&scene->passed))
		scene_forget(scene);
	greeting_desk_free(&scene->desk);
	assert_null(scene->desk);
	assert_int_equal(event_base_get_num_events(scene->base, EVENT_BASE_COUNT_ADDED), 0);
	event_base_free(scene->base);
	assert_int_equal(client_count(), 0);
	assert_int_equal(scene->listener.open, 0);
	assert_int_equal(counter_get(COUNTER_GREETING), 0);
}

/* A connected client that nobody has looked at; *other_r is his end. */
static inline struct client *scene_client(struct scene *scene, enum scene_socket kind, int *other_r)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET, .sin_port = 0x3930 } };
	struct client *client;
	int fd;

	peer.v4.sin_addr.s_addr = htonl(0x7f010101);
	if (kind == SCENE_TCP) {
		struct address local;
		int listener = loopback_listen("127.0.0.1:0", 1, &local);

		*other_r = loopback_connect(address_port(&local), 0);
		fd = loopback_accept(listener);
		fd_close(&listener);
	} else {
		int pair[2];

		assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
		peer = (struct peer){ .any.sa_family = AF_UNIX };
		*other_r = pair[0];
		fd = pair[1];
	}
	client = client_begin(&fd, &scene->listener, &peer);
	client->accepted_us = clock_now_us();
	return client;
}

static inline void scene_say(int other, const void *bytes, size_t length)
{
	assert_int_equal(send(other, bytes, length, MSG_NOSIGNAL), length);
}

/* Waits until the kernel has these bytes at the other end, without the desk's knowledge. poll(2) is
 * of no use: it keeps to SO_RCVLOWAT. */
static inline void scene_arrived(const struct client *client, size_t length)
{
	const int64_t deadline_ms = clock_now_ms() + LOOPBACK_PATIENCE_MS;
	int arrived = 0;

	do {
		assert_int_equal(ioctl(client->fd, FIONREAD, &arrived), 0);
		assert_true(clock_now_ms() < deadline_ms);
	} while (arrived < (int)length && sched_yield() == 0);
}

/* A client who has said all this when the desk gets him. */
static inline void scene_greet(struct scene *scene, enum scene_socket kind, const void *bytes,
			       size_t length, int *other_r)
{
	struct client *client = scene_client(scene, kind, other_r);

	scene_say(*other_r, bytes, length);
	scene_arrived(client, length);
	greeting_take(client, scene->desk);
}

/* The worker's view: exactly these bytes are in the socket of the last that passed. */
static inline void scene_expect_left(struct scene *scene, const void *bytes, size_t length)
{
	const struct client *client = TAILQ_LAST(&scene->passed, client_queue);
	char left[8000];

	assert_non_null(client);
	memset(left, 0, sizeof left);
	assert_int_equal(syscall(SYS_recvfrom, client->fd, left, sizeof left, MSG_PEEK, NULL, NULL),
			 length > 0 ? (long)length : -1);
	assert_memory_equal(left, bytes, length);
}

#endif
