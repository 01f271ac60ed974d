/* Why: the rules by which a Node application gets its listeners, and what a successor of the
 * acceptor must know of them. SPDX-License-Identifier: ISC */
#include "node_world.h"

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
		TEST(test_shared_socket_for_every_worker),
		TEST(test_path),
		TEST(test_descriptor_of_the_primary),
		TEST(test_answer_for_a_dead_worker),
		TEST(test_successor_knows_what_is_open),
		TEST(test_successor_does_not_say_disconnect_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
