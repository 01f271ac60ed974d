/* Why: an acceptor with one pool of Node workers, on real socket pairs; its supervisor, its workers
 * and its clients are played by hand. The players stand here so that each test tells only its
 * story. SPDX-License-Identifier: ISC */
#ifndef TEST_NODE_WORLD_H
#define TEST_NODE_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor/delivery.h"
#include "acceptor/node_primary.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/door.h"
#include "wire/counter.h"

#define WORKERS  3
#define TOLD_MAX 4096

static char pool_name[] = "web", section_name[] = "section", no_text[] = "";

/* One acceptor with one pool of Node workers; we are its supervisor, its workers and its clients.
 */
static struct world {
	struct event_base *base;
	struct delivery *delivery;
	struct door *door;
	struct config config;
	struct pool_config pool;
	struct listen_config sections[4];
	struct door_listener *listeners[16];
	uint32_t last_listener;
	struct message *told; /* to the supervisor */
	size_t told_count;
	int workers[WORKERS]; /* their end of the channel */
	uint64_t generation;
	unsigned long seq;
} w;

static inline void on_told(const struct message *message, void *arg)
{
	(void)arg;
	assert_true(w.told_count < TOLD_MAX);
	memcpy(&w.told[w.told_count++], message, sizeof *message);
}

static inline void begin_acceptor(uint64_t incarnation)
{
	w.delivery = delivery_new(w.base, &w.config, 42, incarnation, on_told, NULL);
	w.door = door_new(w.base, delivery_take, w.delivery);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	log_setup(&(struct log_settings){ .level = LOG_ALERT, .role = "test" });
	w.pool = (struct pool_config){
		.name = pool_name,
		.locals = WORKERS,
		.slots = WORKERS,
		.delivery = DELIVERY_NODE,
		.prefix4 = 32,
		.prefix6 = 64,
		.max_queue = 1000,
		.queue_timeout = 60000,
	};
	for (size_t i = 0; i < 4; i++)
		w.sections[i] = (struct listen_config){ .name = section_name,
							.pool = pool_name,
							.tls = no_text,
							.tls_index = SIZE_MAX,
							.backlog = 16 };
	w.config.pools = &w.pool;
	w.config.pool_count = 1;
	w.base = event_base_new();
	w.told = calloc(TOLD_MAX, sizeof *w.told);
	begin_acceptor(1);
	for (int i = 0; i < WORKERS; i++)
		w.workers[i] = -1;
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	delivery_free(&w.delivery);
	door_free(&w.door);
	for (int i = 0; i < WORKERS; i++)
		fd_close(&w.workers[i]);
	event_base_free(w.base);
	free(w.told);
	return 0;
}

static inline void turn(void)
{
	for (int i = 0; i < 8; i++) {
		gather_round(w.delivery->gather); /* what a timer would do in ms */
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	}
}

static inline struct node_primary *primary(void)
{
	return w.delivery->pools[0].node;
}

static inline struct seat *seat(int worker)
{
	return delivery_seat(w.delivery, 0, (uint32_t)worker);
}

static inline void open_seat(int worker, int *link)
{
	struct message_slot slot = { .slot = (uint32_t)worker,
				     .generation = w.generation,
				     .pid = 1 };
	struct message_slot_state up = { .slot = slot.slot,
					 .generation = slot.generation,
					 .route = ROUTE_OPEN };

	delivery_slot_begin(w.delivery, &slot, link);
	delivery_slot_state(w.delivery, &up);
}

static inline void start_worker(int worker)
{
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	w.generation = 1;
	w.workers[worker] = pair[1];
	open_seat(worker, &pair[0]);
}

static inline void end_worker(int worker)
{
	struct message_slot_end end = { .slot = (uint32_t)worker,
					.generation = 1,
					.route = ROUTE_WAIT };

	fd_close(&w.workers[worker]);
	turn();
	delivery_slot_end(w.delivery, &end);
}

/* A listening socket as the supervisor makes it; `text` with port 0 gets a free one. Its id. */
static inline uint32_t give_listener(const char *text, uint32_t section, uint32_t request,
				     enum listener_use use, int type)
{
	struct message_listener l = { .id = ++w.last_listener,
				      .listen = section,
				      .request = request };
	bool is_adopted = section == MESSAGE_ADOPTED;
	struct address address;
	struct error e;
	int fd;

	assert_true(address_parse(text, &address, &e));
	fd = socket(address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (address.any.sa_family == AF_UNIX)
		unlink(address.local.sun_path);
	assert_int_equal(bind(fd, &address.any, address.length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	l.use = use;
	l.type = (uint32_t)type;
	l.local.length = sizeof(struct sockaddr_un);
	assert_int_equal(getsockname(fd, &l.local.any, &l.local.length), 0);
	if (use == LISTENER_ACCEPT)
		w.listeners[l.id] = door_add(w.door, &fd, l.id, 0,
					     &w.sections[is_adopted ? 3 : section], &l.local);
	node_primary_listener(primary(), &l, is_adopted ? NULL : &w.sections[section], &fd);
	fd_close(&fd);
	return l.id;
}

static inline unsigned port_of(uint32_t listener)
{
	return address_port(&w.listeners[listener]->local);
}

/* What the acceptor told of this type, from the last one back; NULL: nothing. */
static inline const struct message *told(enum message_type type)
{
	for (size_t i = w.told_count; i > 0; i--) {
		if (w.told[i - 1].type == type)
			return &w.told[i - 1];
	}
	return NULL;
}

static inline unsigned times_told(enum message_type type)
{
	unsigned count = 0;

	for (size_t i = 0; i < w.told_count; i++)
		count += w.told[i].type == type;
	return count;
}

static inline void __attribute__((format(printf, 2, 3))) say(int worker, const char *format, ...)
{
	char line[8192];
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(line, sizeof line, format, ap);
	va_end(ap);
	assert_true(length > 0 && (size_t)length < sizeof line);
	assert_int_equal(send(w.workers[worker], line, (size_t)length, MSG_NOSIGNAL), length);
	turn();
}

/* The next line that the worker gets, and its handle (or -1); NULL: nothing came. Reads like Node:
 * the bytes up to the end of one line. */
static inline json_t *hear(int worker, int *fd_r)
{
	char line[NODE_OUT_MAX];
	size_t length = 0;
	json_t *value;

	*fd_r = -1;
	while (length < sizeof line) {
		bool is_truncated;
		int fd;

		if (fd_receive(w.workers[worker], line + length, 1, &fd, &is_truncated) <= 0)
			break;
		assert_false(is_truncated);
		if (fd >= 0) {
			assert_int_equal(
				length,
				0); /* with the first byte of its own line, or Node loses it */
			*fd_r = fd;
		}
		if (line[length++] == '\n')
			break;
	}
	if (length == 0)
		return NULL;
	assert_int_equal(line[length - 1], '\n');
	value = json_loadb(line, length, 0, NULL);
	assert_non_null(value);
	return value;
}

/* What a worker was answered. */
struct answer {
	int error;
	char key[64], data[128], address[64];
	int port;
	int fd;
};

static inline void copy_text(char *out, size_t size, const json_t *value)
{
	snprintf(out, size, "%s", json_is_string(value) ? json_string_value(value) : "");
}

static inline bool hear_answer(int worker, struct answer *answer_r)
{
	json_t *line = hear(worker, &answer_r->fd), *value = line, *name;
	char *data;

	if (!line)
		return false;
	if (answer_r->fd >= 0)
		value = json_object_get(line, "msg");
	assert_int_equal(json_integer_value(json_object_get(value, "ack")), (json_int_t)w.seq);
	answer_r->error = (int)json_integer_value(json_object_get(value, "errno"));
	copy_text(answer_r->key, sizeof answer_r->key, json_object_get(value, "key"));
	data = json_dumps(json_object_get(value, "data"), JSON_ENCODE_ANY | JSON_COMPACT);
	snprintf(answer_r->data, sizeof answer_r->data, "%s", data);
	free(data);
	name = json_object_get(value, "sockname");
	copy_text(answer_r->address, sizeof answer_r->address, json_object_get(name, "address"));
	answer_r->port = (int)json_integer_value(json_object_get(name, "port"));
	json_decref(line);
	return true;
}

/* listen(port[, address]) in a worker. */
static inline void ask(int worker, int index, const char *address, int port, const char *data)
{
	char quoted[160] = "null";

	if (address)
		snprintf(quoted, sizeof quoted, "\"%s\"", address);
	say(worker,
	    "{\"act\":\"queryServer\",\"index\":%d,\"data\":%s,\"address\":%s,\"port\":%d,"
	    "\"addressType\":4,"
	    "\"backlog\":0,\"seq\":%lu,\"cmd\":\"NODE_CLUSTER\"}\n",
	    index, data ? data : "null", quoted, port, ++w.seq);
}

static inline struct answer answer_to(int worker)
{
	struct answer a;

	assert_true(hear_answer(worker, &a));
	return a;
}

static inline bool is_served(int worker, uint32_t listener)
{
	struct client client = { .listener = w.listeners[listener], .fd = -1 };

	return seat(worker)->node && seat_kind_node.serves(seat(worker), &client);
}

/* A client that the acceptor has accepted; the other end is closed. */
static inline struct client *come(uint32_t listener, int *peer_r)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(0x7f000002) } };
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	*peer_r = pair[1];
	return client_begin(&pair[0], w.listeners[listener], &peer);
}

/* One newconn: its seq; the handle is closed. 0: nothing came. */
static inline uint64_t take_client(int worker, const char *key)
{
	int fd;
	json_t *line = hear(worker, &fd), *msg = json_object_get(line, "msg");
	uint64_t seq;

	if (!line)
		return 0;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK); /* else the worker's event loop would block */
	fd_close(&fd);
	assert_string_equal(json_string_value(json_object_get(msg, "act")), "newconn");
	assert_string_equal(json_string_value(json_object_get(msg, "key")), key);
	seq = (uint64_t)json_integer_value(json_object_get(msg, "seq"));
	json_decref(line);
	return seq;
}

static inline void acknowledge(int worker, uint64_t seq, bool accepted)
{
	say(worker,
	    "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"ack\":%llu,\"accepted\":%s,\"seq\":9,\"cmd\":\"NODE_"
	    "CLUSTER\"}\n",
	    (unsigned long long)seq, accepted ? "true" : "false");
}

/* Starts worker 0 with its server open; the key. */
static inline const char *open_one(uint32_t *listener_r)
{
	static char key[64];

	*listener_r = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	say(0, "{\"act\":\"online\",\"seq\":0,\"cmd\":\"NODE_CLUSTER\"}\n");
	ask(0, 0, NULL, 3000, NULL);
	snprintf(key, sizeof key, "%s", answer_to(0).key);
	return key;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
