/* Why: streams are tested between real sockets: a client, the relay's part of this process, and
 * workers that listen on loopback, all driven by one loop. SPDX-License-Identifier: ISC */
#ifndef TEST_RELAY_FIELD_H
#define TEST_RELAY_FIELD_H

#include "../front/loopback.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "front/door.h"
#include "relay/streams.h"
#include "wire/counter.h"
#include "wire/role.h"

#define FIELD_WORKERS 3

struct field {
	struct event_base *base;
	struct config *config;
	struct upstreams *upstreams;
	struct streams *streams;
	struct door_listener listener;
	int door; /* where clients come in */
	struct address door_at;
	int workers[FIELD_WORKERS];
	struct address worker_at[FIELD_WORKERS];
	struct stream *last; /* of the client that came last; gone when he is */
};

static inline void field_server(struct field *f, uint32_t slot, const struct address *address,
				enum server_state state)
{
	struct message_server word = {
		.slot = slot,
		.state = (uint32_t)state,
		.weight = 1000,
		.address = *address,
	};

	snprintf(word.name, sizeof word.name, "w%u", slot);
	upstream_server(f->upstreams, &word);
}

static inline void field_opened(void *arg)
{
	struct field *f = arg;

	streams_opened(f->streams);
}

/* A pool of FIELD_WORKERS servers with further `lines`; those of `up` (bits) are there. */
static inline void field_begin(struct field *f, const char *lines, unsigned up)
{
	char text[1024];
	struct error e;

	signal(SIGPIPE, SIG_IGN);
	*f = (struct field){ .base = role_base() };
	snprintf(text, sizeof text,
		 "[listen:a]\nbind = 127.0.0.1:9\npool = web\n[pool:web]\ndelivery = proxy\n"
		 "server = 127.0.0.1:1 name=w0\nserver = 127.0.0.1:2 name=w1\n"
		 "server = 127.0.0.1:3 name=w2\n%s",
		 lines);
	f->config = config_parse("test", text, strlen(text), &e);
	if (!f->config)
		fail_msg("%s", e.text);
	f->upstreams = upstreams_new(f->config, 7, field_opened, f);
	f->streams = streams_new(f->base, f->config, f->upstreams, NULL, 5);
	f->listener = (struct door_listener){ .config = &f->config->listens[0],
					      .name = "listen:a",
					      .fd = -1 };
	f->door = loopback_listen("127.0.0.1:0", 64, &f->door_at);
	for (uint32_t i = 0; i < FIELD_WORKERS; i++) {
		f->workers[i] = loopback_listen("127.0.0.1:0", 64, &f->worker_at[i]);
		if (up & 1u << i)
			field_server(f, i, &f->worker_at[i], SERVER_PRESENT);
	}
}

static inline void field_end(struct field *f)
{
	streams_free(&f->streams);
	upstreams_free(&f->upstreams);
	config_free(&f->config);
	fd_close(&f->door);
	for (int i = 0; i < FIELD_WORKERS; i++)
		fd_close(&f->workers[i]);
	event_base_free(f->base);
}

/* A client from 127.0.0.x: his end (non-blocking). The relay has him. */
static inline int field_client(struct field *f, unsigned x)
{
	const int fd = loopback_connect(address_port(&f->door_at), x);
	int accepted = loopback_accept(f->door);
	struct sockaddr_storage from;
	socklen_t length = sizeof from;
	const unsigned before = streams_count(f->streams);
	struct client *client;
	struct peer peer;

	assert_int_equal(getpeername(accepted, (struct sockaddr *)&from, &length), 0);
	peer_set(&peer, (struct sockaddr *)&from, length);
	client = client_begin(&accepted, &f->listener, &peer);
	client->accepted_us = clock_now_us();
	assert_int_equal(fd_set_nonblocking(fd), 0);
	f->last = NULL;
	stream_begin(client, f->streams);
	if (streams_count(f->streams) > before)
		f->last = client->stream;
	return fd;
}

struct field_visit {
	const struct field *f;
	int fd;
	int worker;
};

static inline bool field_has_come(void *arg)
{
	struct field_visit *v = arg;

	for (v->worker = 0; v->worker < FIELD_WORKERS; v->worker++) {
		if (v->f->workers[v->worker] < 0)
			continue;
		v->fd = accept4(v->f->workers[v->worker], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (v->fd >= 0)
			return true;
	}
	return false;
}

/* The worker's end of the next relayed connection, of whichever worker. */
static inline int field_worker(struct field *f)
{
	struct field_visit visit = { .f = f };

	assert_true(loopback_until(f->base, field_has_come, &visit));
	return visit.fd;
}

static inline bool field_is_empty(void *arg)
{
	const struct field *f = arg;

	return streams_count(f->streams) == 0;
}

/* Bytes of a direction; each is known by its place in the stream. */
struct traffic {
	int from, to;
	uint64_t sent, got, size;
	int error;  /* of the receiver, 0: none so far */
	bool fin;   /* the receiver saw the end */
	bool quiet; /* the receiver does not read */
};

static inline uint8_t traffic_byte(uint64_t place)
{
	return (uint8_t)(place * 167 + (place >> 8) * 59 + (place >> 16));
}

static inline void traffic_push(struct traffic *t)
{
	uint8_t bytes[65536];

	while (t->sent < t->size) {
		size_t n = sizeof bytes;
		ssize_t sent;

		if (n > t->size - t->sent)
			n = (size_t)(t->size - t->sent);
		for (size_t i = 0; i < n; i++)
			bytes[i] = traffic_byte(t->sent + i);
		sent = send(t->from, bytes, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		t->sent += (uint64_t)sent;
	}
}

static inline void traffic_pull(struct traffic *t)
{
	uint8_t bytes[65536];
	ssize_t n = 0;

	while (!t->quiet && !t->fin && t->error == 0 &&
	       (n = recv(t->to, bytes, sizeof bytes, 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != traffic_byte(t->got + (uint64_t)i))
				fail_msg("a wrong byte at %llu",
					 (unsigned long long)(t->got + (uint64_t)i));
		t->got += (uint64_t)n;
	}
	if (!t->quiet && !t->fin && n == 0)
		t->fin = true;
	else if (n < 0 && errno != EAGAIN)
		t->error = errno;
}

static inline bool traffic_has_come(void *arg)
{
	struct traffic *t = arg;

	traffic_push(t);
	traffic_pull(t);
	return t->got >= t->size;
}

static inline bool traffic_is_over(void *arg)
{
	struct traffic *t = arg;

	traffic_push(t);
	traffic_pull(t);
	return t->fin || t->error != 0;
}

#endif
