/* Why: the conversation with one Node worker: what it says must not lose a client, give one twice,
 * fill the memory or stop us. SPDX-License-Identifier: ISC */
#include "node_world.h"

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

/* Gives worker 0 a client with what `prepare` does to him; the member "limpet" of his line. */
static json_t *told_of(uint32_t listener, const char *key, void (*prepare)(struct client *client))
{
	struct client *client;
	json_t *line, *msg, *member;
	uint64_t seq;
	int peer, fd;

	client = come(listener, &peer);
	prepare(client);
	delivery_take(client, w.delivery);
	turn();
	line = hear(0, &fd);
	assert_true(fd >= 0);
	fd_close(&fd);
	close(peer);
	assert_string_equal(json_string_value(json_object_get(line, "type")), "net.Native");
	msg = json_object_get(line, "msg");
	assert_string_equal(json_string_value(json_object_get(msg, "key")), key);
	seq = (uint64_t)json_integer_value(json_object_get(msg, "seq"));
	member = json_incref(json_object_get(msg, "limpet"));
	json_decref(line);
	acknowledge(0, seq, true);
	return member;
}

static void prepare_nothing(struct client *client)
{
	(void)client;
}

static void prepare_passport(struct client *client)
{
	struct passport *p = client_passport(client);

	p->from.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(4242) };
	p->from.v4.sin_addr.s_addr = htonl(0xcb007107);
	p->is_tls = true;
	snprintf(p->server_name, sizeof p->server_name, "www.example.org");
}

/* Worry: plain clients pay for what they do not need, or those of a relay are told as plain. */
static void test_what_the_preload_is_told(void **state)
{
	uint32_t listener;
	const char *key = open_one(&listener);
	json_t *member;

	(void)state;
	assert_null(told_of(listener, key, prepare_nothing));
	member = told_of(listener, key, prepare_passport);
	assert_true(json_is_true(json_object_get(member, "tls")));
	assert_string_equal(json_string_value(json_object_get(member, "servername")),
			    "www.example.org");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(member, "peer"), "port")), 4242);
	assert_null(json_object_get(member, "sock"));
	assert_null(json_object_get(member, "tlsAt"));
	json_decref(member);
}

/* Worry: the worker reads TLS as if it were plain, or decrypts what a relay has decrypted. */
static void test_tls_at_worker(void **state)
{
	static char section[] = "site \"1\"";
	uint32_t listener;
	const char *key = open_one(&listener);
	json_t *member;

	(void)state;
	w.sections[0].tls = section;
	member = told_of(listener, key, prepare_nothing);
	assert_string_equal(json_string_value(json_object_get(member, "tlsAt")), "worker");
	assert_string_equal(json_string_value(json_object_get(member, "section")), section);
	json_decref(member);
	w.sections[0].relayed = true;
	member = told_of(listener, key, prepare_passport);
	assert_null(json_object_get(member, "tlsAt"));
	json_decref(member);
}

/* Worry: workers that decrypt have keys of their own, so that a session begun in one is not known
 * in the next; or one that starts later is never told; or those that need none are told. */
static void test_ticket_keys(void **state)
{
	struct message_tickets tickets = { .keys[0] = { .name = { 0xab } } };
	json_t *line;
	int fd;

	(void)state;
	start_worker(0);
	delivery_tickets(w.delivery, &tickets);
	assert_null(hear(0, &fd));
	w.pool.tls_at = TLS_AT_WORKER;
	tickets.keys[0].name[0] = 0xcd;
	delivery_tickets(w.delivery, &tickets);
	start_worker(1);
	for (int worker = 0; worker < 2; worker++) {
		const char *keys;

		line = hear(worker, &fd);
		assert_string_equal(json_string_value(json_object_get(line, "cmd")), "NODE_LIMPET");
		keys = json_string_value(json_object_get(line, "ticketKeys"));
		assert_int_equal(strlen(keys), 96);
		assert_memory_equal(keys, "cd00", 4);
		json_decref(line);
	}
	memset(&tickets, 0, sizeof tickets); /* none */
	delivery_tickets(w.delivery, &tickets);
	assert_null(hear(0, &fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_client_is_ours_until_acknowledged),
		TEST(test_refused_client_is_kept),
		TEST(test_lost_handle_is_the_right_one),
		TEST(test_closed_server_gets_nobody),
		TEST(test_worker_is_told_to_leave_once),
		TEST(test_leaving_worker_is_answered),
		TEST(test_handle_of_the_application),
		TEST(test_full_channel),
		TEST(test_flood_is_bounded),
		TEST(test_endless_line_is_skipped),
		TEST(test_user_messages_are_ignored),
		TEST(test_what_the_preload_is_told),
		TEST(test_tls_at_worker),
		TEST(test_ticket_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
