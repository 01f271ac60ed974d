/* Why: the rules by which a Node application gets its listeners, and the conversation with its
 * workers, on a real socket pair with the supervisor played by the test. SPDX-License-Identifier:
 * ISC */
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

static char pool_name[] = "web", section_name[] = "section";

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

static void on_told(const struct message *message, void *arg)
{
	(void)arg;
	assert_true(w.told_count < TOLD_MAX);
	memcpy(&w.told[w.told_count++], message, sizeof *message);
}

static void begin_acceptor(uint64_t incarnation)
{
	w.delivery = delivery_new(w.base, &w.config, 42, incarnation, on_told, NULL);
	w.door = door_new(w.base, delivery_take, w.delivery);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	log_setup(&(struct log_settings){ .level = LOG_ALERT, .role = "test" });
	w.pool = (struct pool_config){
		.name = pool_name,
		.instances = WORKERS,
		.delivery = DELIVERY_NODE,
		.prefix4 = 32,
		.prefix6 = 64,
		.max_queue = 1000,
		.queue_timeout = 60000,
	};
	for (size_t i = 0; i < 4; i++)
		w.sections[i] = (struct listen_config){ .name = section_name,
							.pool = pool_name,
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

static int teardown(void **state)
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

static void turn(void)
{
	for (int i = 0; i < 8; i++) {
		gather_round(w.delivery->gather); /* what a timer would do in ms */
		event_base_loop(w.base, EVLOOP_NONBLOCK);
	}
}

static struct node_primary *primary(void)
{
	return w.delivery->pools[0].node;
}

static struct seat *seat(int worker)
{
	return delivery_seat(w.delivery, 0, (uint32_t)worker);
}

static void open_seat(int worker, int *link)
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

static void start_worker(int worker)
{
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	w.generation = 1;
	w.workers[worker] = pair[1];
	open_seat(worker, &pair[0]);
}

static void end_worker(int worker)
{
	struct message_slot_end end = { .slot = (uint32_t)worker,
					.generation = 1,
					.route = ROUTE_WAIT };

	fd_close(&w.workers[worker]);
	turn();
	delivery_slot_end(w.delivery, &end);
}

/* A listening socket as the supervisor makes it; `text` with port 0 gets a free one. Its id. */
static uint32_t give_listener(const char *text, uint32_t section, uint32_t request,
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

static unsigned port_of(uint32_t listener)
{
	return address_port(&w.listeners[listener]->local);
}

/* What the acceptor told of this type, from the last one back; NULL: nothing. */
static const struct message *told(enum message_type type)
{
	for (size_t i = w.told_count; i > 0; i--) {
		if (w.told[i - 1].type == type)
			return &w.told[i - 1];
	}
	return NULL;
}

static unsigned times_told(enum message_type type)
{
	unsigned count = 0;

	for (size_t i = 0; i < w.told_count; i++)
		count += w.told[i].type == type;
	return count;
}

static void __attribute__((format(printf, 2, 3))) say(int worker, const char *format, ...)
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
static json_t *hear(int worker, int *fd_r)
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

static void copy_text(char *out, size_t size, const json_t *value)
{
	snprintf(out, size, "%s", json_is_string(value) ? json_string_value(value) : "");
}

static bool hear_answer(int worker, struct answer *answer_r)
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
static void ask(int worker, int index, const char *address, int port, const char *data)
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

static struct answer answer_to(int worker)
{
	struct answer a;

	assert_true(hear_answer(worker, &a));
	return a;
}

static bool is_served(int worker, uint32_t listener)
{
	struct client client = { .listener = w.listeners[listener], .fd = -1 };

	return seat(worker)->node && seat_kind_node.serves(seat(worker), &client);
}

/* A client that the acceptor has accepted; the other end is closed. */
static struct client *come(uint32_t listener, int *peer_r)
{
	struct peer peer = { .v4 = { .sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(0x7f000002) } };
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	*peer_r = pair[1];
	return client_begin(&pair[0], w.listeners[listener], &peer);
}

/* Worry: the port that the application asks for is opened twice, or wrongly, or each worker gets
 * another one. */
static void test_adopted_port_is_opened_once(void **state)
{
	const struct message_open *open;
	struct answer first, second;
	uint32_t id;

	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	start_worker(1);
	ask(0, 0, NULL, 0, NULL);
	assert_int_equal(times_told(MESSAGE_OPEN), 1);
	open = &told(MESSAGE_OPEN)->OPEN;
	assert_true(open->request != 0);
	assert_int_equal(open->use, LISTENER_ACCEPT);
	assert_int_equal(open->type, SOCK_STREAM);
	assert_int_equal(open->inherited, -1);
	assert_int_equal(open->local.any.sa_family, AF_INET6);
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&open->local.v6.sin6_addr));
	assert_int_equal(open->dual_fallback, 1);
	assert_false(hear_answer(0, &first)); /* waits */
	w.seq--;
	ask(1, 0, NULL, 0, NULL);
	assert_int_equal(times_told(MESSAGE_OPEN), 1);
	id = give_listener("127.0.0.1:0", MESSAGE_ADOPTED, open->request, LISTENER_ACCEPT,
			   SOCK_STREAM);
	first = answer_to(0);
	second = answer_to(1);
	assert_int_equal(first.error, 0);
	assert_int_equal(first.port, (int)port_of(id));
	assert_string_equal(first.address, "127.0.0.1");
	assert_string_equal(first.key, second.key);
	assert_true(is_served(0, id) && is_served(1, id) && !is_served(2, id));
}

static void test_failed_open_is_told_and_forgotten(void **state)
{
	struct message_open_failed failed = { .error = EADDRINUSE };

	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	for (unsigned round = 1; round <= 2; round++) {
		ask(0, 0, NULL, 3000, "{\"ticketKeys\":\"00\"}");
		assert_int_equal(times_told(MESSAGE_OPEN), round);
		failed.request = told(MESSAGE_OPEN)->OPEN.request;
		node_primary_open_failed(primary(), &failed);
		{
			struct answer a = answer_to(0);

			assert_int_equal(a.error, -EADDRINUSE);
			/* an https server reads the keys before it looks at the error */
			assert_string_equal(a.data, "{\"ticketKeys\":\"00\"}");
		}
	}
}

/* Worry: without adopt_ports an application opens what it likes, or hangs without an answer. */
static void test_refused_port(void **state)
{
	(void)state;
	start_worker(0);
	ask(0, 0, NULL, 3000, NULL);
	assert_int_equal(answer_to(0).error, -EACCES);
	assert_int_equal(times_told(MESSAGE_OPEN), 0);
	ask(0, 0, "not an address", 3000, NULL);
	assert_int_equal(answer_to(0).error, -EINVAL);
	ask(0, 0, NULL, 70000, NULL);
	assert_int_equal(answer_to(0).error, -EINVAL);
}

/* Worry: the application says 3000, the listener is another: Node calls any other port EADDRINUSE.
 */
static void test_virtual_port(void **state)
{
	uint32_t plain, path;
	struct answer a;

	(void)state;
	plain = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	path = give_listener("unix:/tmp/limpet-test-front.sock", 0, 0, LISTENER_ACCEPT,
			     SOCK_STREAM);
	start_worker(0);
	ask(0, 0, NULL, 3000, NULL);
	a = answer_to(0);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.port, 3000);
	assert_true(is_served(0, plain) && is_served(0, path));
	ask(0, 1, NULL, 3000, NULL);
	assert_int_equal(answer_to(0).error, -EADDRINUSE);
	ask(0, 0, NULL, 4000, NULL);
	assert_int_equal(answer_to(0).error, -EACCES); /* nothing is left */
	unlink("/tmp/limpet-test-front.sock");
}

/* Worry: port 0 behind a listener is told as 0, and the application prints nonsense. */
static void test_virtual_port_zero_is_told_the_real_one(void **state)
{
	uint32_t id = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);

	(void)state;
	start_worker(0);
	ask(0, 0, NULL, 0, NULL);
	assert_int_equal(answer_to(0).port, (int)port_of(id));
}

static void test_app_port_decides(void **state)
{
	uint32_t web, admin;

	(void)state;
	w.sections[1].app_port = 9000;
	web = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	admin = give_listener("127.0.0.1:0", 1, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	ask(0, 0, NULL, 3000, NULL);
	assert_int_equal(answer_to(0).error, 0);
	assert_true(is_served(0, web) && !is_served(0, admin));
	ask(0, 0, NULL, 9000, NULL);
	assert_int_equal(answer_to(0).port, 9000);
	assert_true(is_served(0, admin));
}

/* Worry: the first server takes all listeners by guess, and the one that asks for a real port finds
 * it gone. */
static void test_exact_port_beats_a_guess(void **state)
{
	uint32_t first, second;

	(void)state;
	first = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	second = give_listener("127.0.0.1:0", 1, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	start_worker(1);
	ask(0, 0, NULL, 1, NULL);
	assert_int_equal(answer_to(0).error, 0);
	assert_true(is_served(0, first) && is_served(0, second));
	ask(1, 0, NULL, (int)port_of(second), NULL);
	assert_int_equal(answer_to(1).error, 0);
	assert_true(is_served(0, first) && !is_served(0, second));
	assert_true(is_served(1, second) && !is_served(1, first));
}

/* Worry: a new release of the application listens elsewhere, and the listeners stay with the old
 * port for ever. */
static void test_unused_server_gives_its_listeners_up(void **state)
{
	uint32_t id = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);

	(void)state;
	start_worker(0);
	ask(0, 0, NULL, 3000, NULL);
	answer_to(0);
	end_worker(0);
	start_worker(0);
	ask(0, 0, NULL, 4000, NULL);
	assert_int_equal(answer_to(0).port, 4000);
	assert_true(is_served(0, id));
}

/* Worry: the TLS ticket keys of the second worker replace those of the first. */
static void test_first_data_is_for_all(void **state)
{
	(void)state;
	give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	start_worker(1);
	ask(0, 0, NULL, 443, "{\"ticketKeys\":\"aa\"}");
	assert_string_equal(answer_to(0).data, "{\"ticketKeys\":\"aa\"}");
	ask(1, 0, NULL, 443, "{\"ticketKeys\":\"bb\"}");
	assert_string_equal(answer_to(1).data, "{\"ticketKeys\":\"aa\"}");
}

static void test_data_that_we_cannot_keep_is_refused(void **state)
{
	static char data[NODE_DATA_MAX + 64];

	(void)state;
	give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	memset(data, 'k', sizeof data - 1);
	data[0] = data[sizeof data - 2] = '"';
	ask(0, 0, NULL, 443, data);
	assert_int_equal(answer_to(0).error, -E2BIG);
}

/* One newconn: its seq; the handle is closed. 0: nothing came. */
static uint64_t take_client(int worker, const char *key)
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

static void acknowledge(int worker, uint64_t seq, bool accepted)
{
	say(worker,
	    "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"ack\":%llu,\"accepted\":%s,\"seq\":9,\"cmd\":\"NODE_"
	    "CLUSTER\"}\n",
	    (unsigned long long)seq, accepted ? "true" : "false");
}

/* Starts worker 0 with its server open; the key. */
static const char *open_one(uint32_t *listener_r)
{
	static char key[64];

	*listener_r = give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	say(0, "{\"act\":\"online\",\"seq\":0,\"cmd\":\"NODE_CLUSTER\"}\n");
	ask(0, 0, NULL, 3000, NULL);
	snprintf(key, sizeof key, "%s", answer_to(0).key);
	return key;
}

/* Worry: a client is closed before the worker has it, or kept after, or given again after a refusal
 * to nobody. */
static void test_client_is_ours_until_acknowledged(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	char byte;
	uint64_t seq;
	int peer;

	(void)state;
	delivery_take(come(listener, &peer), w.delivery);
	turn();
	seq = take_client(0, key); /* the worker closes its copy: ours must still be open */
	assert_true(seq != 0);
	assert_int_equal(client_count(), 1);
	assert_true(recv(peer, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	acknowledge(0, seq, true);
	assert_int_equal(client_count(), 0);
	assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), 0);
	close(peer);
}

static void test_refused_client_is_kept(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	uint64_t refused = counter_get(COUNTER_REFUSED);
	int peer;

	(void)state;
	delivery_take(come(listener, &peer), w.delivery);
	acknowledge(0, take_client(0, key), false);
	assert_int_equal(counter_get(COUNTER_REFUSED), refused + 1);
	assert_int_equal(client_count(), 1);
	close(peer);
}

/* Worry: a worker out of descriptors says "lost one", and we send again another one, which it has:
 * two workers would serve one client. */
static void test_lost_handle_is_the_right_one(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	uint64_t lost = counter_get(COUNTER_NACKS), seq[3];
	int peers[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		delivery_take(come(listener, &peers[i]), w.delivery);
	for (int i = 0; i < 3; i++)
		seq[i] = take_client(0, key);
	say(0, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
	say(0, "{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
	assert_int_equal(counter_get(COUNTER_NACKS), lost + 1);
	assert_null(seat(0)->window[seq[1] % SEAT_WINDOW]);
	assert_non_null(seat(0)->window[seq[0] % SEAT_WINDOW]);
	assert_non_null(seat(0)->window[seq[2] % SEAT_WINDOW]);
	say(0, "{\"ack\":%llu,\"accepted\":true,\"cmd\":\"NODE_CLUSTER\"}\n",
	    (unsigned long long)seq[0]);
	acknowledge(0, seq[2], true);
	assert_int_equal(seat(0)->in_flight, 0);
	assert_int_equal(client_count(), 1);
	for (int i = 0; i < 3; i++)
		close(peers[i]);
}

static void test_closed_server_gets_nobody(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	int peer;

	(void)state;
	say(0, "{\"act\":\"close\",\"key\":\"%s\",\"seq\":8,\"cmd\":\"NODE_CLUSTER\"}\n", key);
	assert_false(is_served(0, listener));
	delivery_take(come(listener, &peer), w.delivery);
	turn();
	assert_int_equal(take_client(0, key), 0);
	ask(0, 0, NULL, 3000, NULL); /* listens again: the client that waited comes */
	assert_string_equal(answer_to(0).key, key);
	turn();
	assert_true(take_client(0, key) != 0);
	close(peer);
}

/* Worry: told twice, a worker ends at once and drops its clients; asked for a server, it would
 * never end. */
static void test_worker_is_told_to_leave_once(void **state)
{
	struct answer a;
	json_t *line;
	int fd;

	(void)state;
	give_listener("127.0.0.1:0", 0, 0, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	seat_kind_node.drain(seat(0));
	seat_kind_node.drain(seat(0));
	line = hear(0, &fd);
	assert_string_equal(json_string_value(json_object_get(line, "act")), "disconnect");
	json_decref(line);
	assert_null(hear(0, &fd));
	ask(0, 0, NULL, 3000, NULL);
	assert_false(hear_answer(0, &a));
}

static void test_leaving_worker_is_answered(void **state)
{
	json_t *line;
	int fd;

	(void)state;
	start_worker(0);
	say(0, "{\"act\":\"exitedAfterDisconnect\",\"seq\":33,\"cmd\":\"NODE_CLUSTER\"}\n");
	line = hear(0, &fd);
	assert_int_equal(json_integer_value(json_object_get(line, "ack")), 33);
	json_decref(line);
	assert_int_equal(times_told(MESSAGE_WORKER_LEAVES), 1);
	assert_int_equal(seat(0)->state, SEAT_LEAVING);
}

static unsigned open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* Worry: process.send(message, handle) freezes the worker's channel for ever, or costs us a
 * descriptor each. */
static void test_handle_of_the_application(void **state)
{
	static const char text[] =
		"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":{\"a\":1}}\n";
	unsigned before;
	json_t *line;
	int fd;

	(void)state;
	start_worker(0);
	before = open_descriptors();
	for (int i = 0; i < 3; i++) {
		assert_true(fd_send(w.workers[0], text, sizeof text - 1, STDIN_FILENO) > 0);
		turn();
		line = hear(0, &fd);
		assert_string_equal(json_string_value(json_object_get(line, "cmd")),
				    "NODE_HANDLE_ACK");
		json_decref(line);
	}
	assert_int_equal(open_descriptors(), before);
}

/* Worry: UDP and paths come without their socket, or only to the first worker, or not after a
 * restart. */
static void test_shared_socket_for_every_worker(void **state)
{
	const struct message_open *open;
	struct answer a, b;

	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	start_worker(1);
	say(0,
	    "{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":\"127.0.0.1\",\"port\":"
	    "3206,"
	    "\"addressType\":\"udp4\",\"fd\":-1,\"flags\":4,\"seq\":%lu,\"cmd\":\"NODE_CLUSTER\"}"
	    "\n",
	    ++w.seq);
	open = &told(MESSAGE_OPEN)->OPEN;
	assert_int_equal(open->use, LISTENER_SHARED);
	assert_int_equal(open->type, SOCK_DGRAM);
	assert_int_equal(open->reuse, 1);
	assert_int_equal(ntohs(open->local.v4.sin_port), 3206);
	give_listener("127.0.0.1:0", MESSAGE_ADOPTED, open->request, LISTENER_SHARED, SOCK_DGRAM);
	a = answer_to(0);
	say(1,
	    "{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":\"127.0.0.1\",\"port\":"
	    "3206,"
	    "\"addressType\":\"udp4\",\"fd\":-1,\"flags\":4,\"seq\":%lu,\"cmd\":\"NODE_CLUSTER\"}"
	    "\n",
	    ++w.seq);
	b = answer_to(1);
	assert_true(a.fd >= 0 && b.fd >= 0);
	assert_string_equal(a.key, b.key);
	fd_close(&a.fd);
	fd_close(&b.fd);
}

static void test_path(void **state)
{
	const struct message_open *open;
	struct answer a;

	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	say(0,
	    "{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":\"/tmp/"
	    "limpet-test-app.sock\",\"port\":-1,"
	    "\"addressType\":-1,\"readableAll\":true,\"writableAll\":true,\"seq\":%lu,\"cmd\":"
	    "\"NODE_CLUSTER\"}\n",
	    ++w.seq);
	open = &told(MESSAGE_OPEN)->OPEN;
	assert_int_equal(open->use, LISTENER_SHARED);
	assert_int_equal(open->mode, 0766);
	assert_string_equal(open->local.local.sun_path, "/tmp/limpet-test-app.sock");
	give_listener("unix:/tmp/limpet-test-app.sock", MESSAGE_ADOPTED, open->request,
		      LISTENER_SHARED, SOCK_STREAM);
	a = answer_to(0);
	assert_true(a.fd >= 0);
	fd_close(&a.fd);
	unlink("/tmp/limpet-test-app.sock");
}

static void test_descriptor_of_the_primary(void **state)
{
	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	say(0,
	    "{\"act\":\"queryServer\",\"index\":0,\"data\":null,\"address\":null,\"port\":null,"
	    "\"addressType\":null,"
	    "\"fd\":5,\"seq\":%lu,\"cmd\":\"NODE_CLUSTER\"}\n",
	    ++w.seq);
	assert_int_equal(told(MESSAGE_OPEN)->OPEN.inherited, 5);
}

/* Replays to a successor what the supervisor would: the newest record of each name. */
static void replay_kept(const struct message *records, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct message_keep *keep = &records[i].KEEP;
		bool is_replaced = records[i].type != MESSAGE_KEEP || keep->length == 0;

		for (size_t k = i + 1; k < count && !is_replaced; k++) {
			const struct message_keep *later = &records[k].KEEP;

			is_replaced =
				records[k].type == MESSAGE_KEEP && later->slot == keep->slot &&
				later->generation == keep->generation && later->id == keep->id;
		}
		if (!is_replaced)
			node_primary_kept(primary(), keep);
	}
}

/* Worry: the acceptor dies, and its successor does not know what the workers serve: they would wait
 * for ever. */
static void test_successor_knows_what_is_open(void **state)
{
	struct message_listener l = { .id = 1, .type = SOCK_STREAM };
	struct message *records = calloc(TOLD_MAX, sizeof *records);
	uint32_t listener;
	char key[64];
	size_t count;
	int link, fd, peer;

	(void)state;
	snprintf(key, sizeof key, "%s", open_one(&listener));
	say(0, "{\"act\":\"close\",\"key\":\"none\",\"seq\":8,\"cmd\":\"NODE_CLUSTER\"}\n");
	l.local = w.listeners[listener]->local;
	memcpy(records, w.told, w.told_count * sizeof *records);
	count = w.told_count;
	link = dup(seat(0)->link);
	fd = fcntl(w.listeners[listener]->fd, F_DUPFD_CLOEXEC, 0);
	delivery_free(&w.delivery);
	door_free(&w.door);

	begin_acceptor(2);
	w.listeners[1] = door_add(w.door, &fd, 1, 0, &w.sections[0], &l.local);
	node_primary_listener(primary(), &l, &w.sections[0], &fd);
	replay_kept(records, count);
	open_seat(0, &link);
	assert_true(is_served(0, 1));
	say(0, "epted\":true,\"seq\":9,\"cmd\":\"NODE_CLUSTER\"}\n"); /* our predecessor read the
									 head */
	delivery_take(come(1, &peer), w.delivery);
	turn();
	acknowledge(0, take_client(0, key), true);
	assert_int_equal(client_count(), 0);
	start_worker(1);
	ask(1, 0, NULL, 3000, NULL);
	assert_string_equal(answer_to(1).key, key);
	ask(1, 0, NULL, 4000, NULL);
	assert_int_equal(answer_to(1).error, -EACCES); /* it is known to be taken, too */
	close(peer);
	free(records);
}

static void test_successor_does_not_say_disconnect_again(void **state)
{
	struct message *records = calloc(TOLD_MAX, sizeof *records);
	size_t count;
	json_t *line;
	int link, fd;

	(void)state;
	start_worker(0);
	seat_kind_node.drain(seat(0));
	line = hear(0, &fd);
	json_decref(line);
	memcpy(records, w.told, w.told_count * sizeof *records);
	count = w.told_count;
	link = dup(seat(0)->link);
	delivery_free(&w.delivery);
	door_free(&w.door);
	begin_acceptor(2);
	replay_kept(records, count);
	open_seat(0, &link);
	seat_kind_node.drain(seat(0));
	assert_null(hear(0, &fd));
	free(records);
}

/* Worry: a worker that does not read makes us wait, lose lines, or mix one into another. */
static void test_full_channel(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	unsigned heard = 0, clients = 0, acks = 0;
	int peers[200], fd;
	json_t *line;

	(void)state;
	for (int i = 0; i < 200; i++)
		delivery_take(come(listener, &peers[i]), w.delivery);
	for (int i = 0; i < 500; i++)
		say(0, "{\"act\":\"exitedAfterDisconnect\",\"seq\":%d,\"cmd\":\"NODE_CLUSTER\"}\n",
		    i);
	while ((line = hear(0, &fd))) {
		const char *cmd = json_string_value(json_object_get(line, "cmd"));

		if (strcmp(cmd, "NODE_HANDLE") == 0) {
			clients++;
			assert_true(fd >= 0);
		} else {
			assert_int_equal(json_integer_value(json_object_get(line, "ack")), acks++);
		}
		fd_close(&fd);
		json_decref(line);
		heard++;
		turn();
	}
	assert_int_equal(acks, 500);
	assert_true(clients > 0 && heard == clients + acks);
	assert_non_null(key);
	for (int i = 0; i < 200; i++)
		close(peers[i]);
}

/* Worry: a worker that asks without end and never reads costs us memory without end. */
static void test_flood_is_bounded(void **state)
{
	(void)state;
	start_worker(0);
	for (int i = 0; i < 20000 && seat(0)->link >= 0; i++)
		say(0, "{\"act\":\"exitedAfterDisconnect\",\"seq\":%d,\"cmd\":\"NODE_CLUSTER\"}\n",
		    i);
	assert_int_equal(seat(0)->link, -1);
}

/* Worry: a line without end fills the memory, or takes the lines after it along. */
static void test_endless_line_is_skipped(void **state)
{
	static char block[1u << 20];
	uint64_t bad = counter_get(COUNTER_BAD_RECORDS);

	(void)state;
	start_worker(0);
	memset(block, 'x', sizeof block);
	for (size_t sent = 0; sent < NODE_LINE_MAX + 2 * sizeof block;) {
		ssize_t n = send(w.workers[0], block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		turn();
	}
	say(0, "\n{\"act\":\"listening\",\"seq\":1,\"cmd\":\"NODE_CLUSTER\"}\n");
	turn();
	assert_int_equal(times_told(MESSAGE_WORKER_READY), 1);
	assert_int_equal(counter_get(COUNTER_BAD_RECORDS), bad + 1);
}

static void test_user_messages_are_ignored(void **state)
{
	uint64_t before = counter_get(COUNTER_USER_MESSAGES),
		 bad = counter_get(COUNTER_BAD_RECORDS);

	(void)state;
	start_worker(0);
	say(0, "\"ready\"\n{\"cmd\":\"user\"}\n17\n");
	assert_int_equal(counter_get(COUNTER_USER_MESSAGES), before + 3);
	say(0, "{]\n");
	assert_int_equal(counter_get(COUNTER_BAD_RECORDS), bad + 1);
}

/* Worry: a worker dies between its question and the supervisor's answer. */
static void test_answer_for_a_dead_worker(void **state)
{
	const struct message_open *open;

	(void)state;
	w.pool.adopt_ports = true;
	start_worker(0);
	ask(0, 0, NULL, 0, NULL);
	open = &told(MESSAGE_OPEN)->OPEN;
	end_worker(0);
	give_listener("127.0.0.1:0", MESSAGE_ADOPTED, open->request, LISTENER_ACCEPT, SOCK_STREAM);
	start_worker(0);
	ask(0, 0, NULL, 0, NULL);
	assert_int_equal(answer_to(0).error, 0);
	assert_int_equal(times_told(MESSAGE_OPEN), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_adopted_port_is_opened_once),
		TEST(test_failed_open_is_told_and_forgotten),
		TEST(test_refused_port),
		TEST(test_virtual_port),
		TEST(test_virtual_port_zero_is_told_the_real_one),
		TEST(test_app_port_decides),
		TEST(test_exact_port_beats_a_guess),
		TEST(test_unused_server_gives_its_listeners_up),
		TEST(test_first_data_is_for_all),
		TEST(test_data_that_we_cannot_keep_is_refused),
		TEST(test_client_is_ours_until_acknowledged),
		TEST(test_refused_client_is_kept),
		TEST(test_lost_handle_is_the_right_one),
		TEST(test_closed_server_gets_nobody),
		TEST(test_worker_is_told_to_leave_once),
		TEST(test_leaving_worker_is_answered),
		TEST(test_handle_of_the_application),
		TEST(test_shared_socket_for_every_worker),
		TEST(test_path),
		TEST(test_descriptor_of_the_primary),
		TEST(test_successor_knows_what_is_open),
		TEST(test_successor_does_not_say_disconnect_again),
		TEST(test_full_channel),
		TEST(test_flood_is_bounded),
		TEST(test_endless_line_is_skipped),
		TEST(test_user_messages_are_ignored),
		TEST(test_answer_for_a_dead_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
