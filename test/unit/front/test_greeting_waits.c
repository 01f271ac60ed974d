/* Why: words that come slowly, in pieces or never cost nothing but their own client: no byte too
 * many is read, nobody spins, and the deadline counts from accept whatever is said meanwhile.
 * SPDX-License-Identifier: ISC */
#include "greeting_scene.h"

#include <sys/resource.h>

#include "recorded_hello.h"

#define PAYLOAD "GET / HTTP/1.1\r\n\r\n"

struct words {
	char at[1000];
	size_t length, header;
};

static struct words words_of(const void *header, size_t header_length, const void *rest,
			     size_t rest_length)
{
	struct words w = { .length = header_length + rest_length, .header = header_length };

	memcpy(w.at, header, header_length);
	memcpy(w.at + header_length, rest, rest_length);
	return w;
}

/* A client who says the first `split` bytes, is waited for, then says the rest. */
static void expect_split(struct scene *scene, enum scene_socket kind, const struct words *w,
			 size_t split, size_t taken)
{
	struct client *client;
	int other;

	scene->passed_count = 0;
	client = scene_client(scene, kind, &other);
	scene_say(other, w->at, split);
	scene_arrived(client, split);
	greeting_take(client, scene->desk);
	loopback_settle(scene->base);
	assert_int_equal(scene->passed_count, split >= w->header);
	assert_int_equal(greeting_count(scene->desk), split < w->header);
	if (split < w->length) {
		scene_say(other, w->at + split, w->length - split);
		scene_arrived(client, w->length - (split >= w->header ? taken : 0));
		loopback_settle(scene->base);
	}
	assert_int_equal(scene->passed_count, 1);
	assert_int_equal(scene->last_lowat, 1);
	assert_int_equal(scene->events_left, 0);
	scene_expect_left(scene, w->at + taken, w->length - taken);
	scene_forget(scene);
	fd_close(&other);
}

static void expect_splits(struct scene *scene, const struct words *w, size_t taken)
{
	for (int kind = SCENE_TCP; kind <= SCENE_UNIX; kind++)
		for (size_t split = 0; split <= w->length; split++)
			expect_split(scene, (enum scene_socket)kind, w, split, taken);
}

/* Worry: a header in two pieces is refused, or the payload behind it is touched. */
static void test_split_headers(void **state)
{
	const struct words v1 =
		words_of(V1_HEADER, sizeof V1_HEADER - 1, PAYLOAD, sizeof PAYLOAD - 1);
	const struct words v2 =
		words_of(V2_HEADER, sizeof V2_HEADER - 1, PAYLOAD, sizeof PAYLOAD - 1);
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	expect_splits(&scene, &v1, v1.header);
	expect_splits(&scene, &v2, v2.header);
	scene.config.proxy_protocol = PROXY_PROTOCOL_PASS;
	expect_splits(&scene, &v1, 0);
	expect_splits(&scene, &v2, 0);
	scene_end(&scene);
}

static void test_split_hello(void **state)
{
	struct words w = words_of(hello_openssl, sizeof hello_openssl, "early", 5);
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_OFF);
	scene.config.tls_passthrough = true;
	expect_splits(&scene, &w, 0);
	scene.config.proxy_protocol = PROXY_PROTOCOL_REQUIRE;
	w = words_of(V1_HEADER, sizeof V1_HEADER - 1, hello_openssl, sizeof hello_openssl);
	w.header = w.length;
	for (size_t split = 0; split < w.length; split += 7)
		if (split < sizeof V1_HEADER - 1)
			expect_split(&scene, SCENE_TCP, &w, split, sizeof V1_HEADER - 1);
	scene.config.proxy_protocol = PROXY_PROTOCOL_PASS;
	expect_splits(&scene, &w, 0);
	scene_end(&scene);
}

/* The desk's questions to the kernel for a client who says one byte at a time. */
static unsigned questions(struct scene *scene, enum scene_socket kind, const struct words *w)
{
	struct client *client;
	int other;

	scene->passed_count = 0;
	client = scene_client(scene, kind, &other);
	recv_calls = 0;
	greeting_take(client, scene->desk);
	for (size_t i = 0; i < w->length; i++) {
		scene_say(other, w->at + i, 1);
		if (i < w->header)
			scene_arrived(client, i + 1);
		loopback_settle(scene->base); /* more turns than there is news */
	}
	assert_int_equal(scene->passed_count, 1);
	scene_forget(scene);
	fd_close(&other);
	return recv_calls;
}

/* Worry: bytes that were looked at wake us again and again (go-proxyproto #69, nginx 46a2236f2). */
static void test_nobody_spins(void **state)
{
	const struct words v1 = words_of(V1_HEADER, sizeof V1_HEADER - 1, "", 0);
	const struct words v2 =
		words_of(V2_HEADER, sizeof V2_HEADER - 1, PAYLOAD, sizeof PAYLOAD - 1);
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	assert_in_range(questions(&scene, SCENE_UNIX, &v1), 2, v1.header + 5);
	assert_in_range(questions(&scene, SCENE_UNIX, &v2), 2, v2.header + 5);
	/* TCP speaks only when it matters: from the shortest line on, every byte or two ... */
	assert_in_range(questions(&scene, SCENE_TCP, &v1), 2, v1.header - 32 + 5);
	/* ... or when 15 bytes are there, 16, and all. */
	assert_in_range(questions(&scene, SCENE_TCP, &v2), 2, 5);
	scene_end(&scene);
}

static bool has_ended(void *arg)
{
	const struct scene *scene = arg;

	return client_count() == scene->passed_count;
}

/* Worry: who says a byte now and then may stay for ever (CVE-2021-23409). */
static void test_deadline_is_absolute(void **state)
{
	const uint64_t late = counter_get(COUNTER_ENDED_LATE_HEADER);
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	scene.config.header_timeout = 150;
	greeting_take(scene_client(&scene, SCENE_UNIX, &other), scene.desk);
	scene_say(other, "PROXY UNKNOWN ", 14);
	for (int said = 0; !has_ended(&scene) && said < 90; said++) {
		const struct timeval pause = clock_timeval(10);

		send(other, "x", 1, MSG_NOSIGNAL);
		event_base_loopexit(scene.base, &pause);
		event_base_dispatch(scene.base);
	}
	assert_true(has_ended(&scene));
	assert_int_equal(counter_get(COUNTER_ENDED_LATE_HEADER), late + 1);
	assert_true(loopback_is_closed(other));
	fd_close(&other);
	scene_end(&scene);
}

/* Worry: the time that a client spent before the desk saw him is given to him again; or listeners
 * with different timeouts are mixed up. */
static void test_deadline_counts_from_accept(void **state)
{
	const uint64_t late = counter_get(COUNTER_ENDED_LATE_HEADER);
	struct listen_config patient;
	struct door_listener other_listener;
	struct client *clients[3];
	struct scene scene;
	int others[3];

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	patient = scene.config;
	scene.config.header_timeout = 60000;
	other_listener = scene.listener;
	other_listener.config = &patient;
	for (int i = 0; i < 3; i++)
		clients[i] = scene_client(&scene, SCENE_TCP, &others[i]);
	clients[0]->listener = &other_listener;
	scene.listener.open--;
	other_listener.open++;
	clients[0]->accepted_us -= INT64_C(120000000);
	clients[1]->accepted_us -= INT64_C(120000000);
	for (int i = 0; i < 3; i++)
		greeting_take(clients[i], scene.desk);
	loopback_settle(scene.base);
	assert_int_equal(counter_get(COUNTER_ENDED_LATE_HEADER), late + 1);
	assert_true(loopback_is_closed(others[1]));
	assert_int_equal(greeting_count(scene.desk), 2);
	greeting_desk_free(&scene.desk);
	for (int i = 0; i < 3; i++)
		fd_close(&others[i]);
	scene_end(&scene);
}

static bool is_alone(void *arg)
{
	const struct scene *scene = arg;

	return greeting_count(scene->desk) == 0;
}

static void expect_gone(struct scene *scene, enum scene_socket kind, const char *said, bool at_once,
			bool reset)
{
	const uint64_t gone = counter_get(COUNTER_ENDED_BAD_SOCKET);
	struct client *client;
	int other;

	client = scene_client(scene, kind, &other);
	scene_say(other, said, strlen(said));
	scene_arrived(client, strlen(said));
	if (!at_once)
		greeting_take(client, scene->desk);
	if (reset)
		loopback_abort(&other);
	fd_close(&other);
	if (at_once)
		greeting_take(client, scene->desk);
	assert_true(loopback_until(scene->base, is_alone, scene));
	assert_int_equal(counter_get(COUNTER_ENDED_BAD_SOCKET), gone + 1);
	assert_int_equal(scene->passed_count, 0);
}

/* Worry: who leaves in the middle of a word is kept until the deadline, an hour here. */
static void test_the_client_leaves(void **state)
{
	static const char *const said[] = { "P", "PROXY TCP4 192.0.2.1 ", "\r\n\r\n" };
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	for (int kind = SCENE_TCP; kind <= SCENE_UNIX; kind++)
		for (size_t i = 0; i < sizeof said / sizeof *said; i++)
			for (int form = 0; form < 4; form++)
				expect_gone(&scene, (enum scene_socket)kind, said[i], form & 1,
					    kind == SCENE_TCP && form & 2);
	scene_end(&scene);
}

/* Worry: who has said everything and closed his half is not served. */
static void test_half_closed(void **state)
{
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	greeting_take(scene_client(&scene, SCENE_TCP, &other), scene.desk);
	scene_say(other, V1_HEADER PAYLOAD, sizeof V1_HEADER PAYLOAD - 1);
	assert_int_equal(shutdown(other, SHUT_WR), 0);
	assert_true(loopback_until(scene.base, is_alone, &scene));
	assert_int_equal(scene.passed_count, 1);
	scene_expect_left(&scene, PAYLOAD, sizeof PAYLOAD - 1);
	fd_close(&other);
	scene_end(&scene);
}

#define CROWD 400

/* Worry: one who is silent holds the others up; a desk that closes leaves somebody behind. */
static void test_crowd(void **state)
{
	const uint64_t ended = counter_get(COUNTER_ENDED_SHUTDOWN);
	static int others[CROWD];
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	for (int i = 0; i < CROWD; i++)
		greeting_take(scene_client(&scene, SCENE_UNIX, &others[i]), scene.desk);
	assert_int_equal(greeting_count(scene.desk), CROWD);
	assert_int_equal(counter_get(COUNTER_GREETING), CROWD);
	for (int i = 1; i < CROWD; i += 2)
		scene_say(others[i], V2_HEADER, sizeof V2_HEADER - 1);
	loopback_settle(scene.base);
	assert_int_equal(scene.passed_count, CROWD / 2);
	assert_int_equal(greeting_count(scene.desk), CROWD / 2);
	greeting_desk_free(&scene.desk);
	assert_int_equal(counter_get(COUNTER_ENDED_SHUTDOWN), ended + CROWD / 2);
	for (int i = 0; i < CROWD; i++)
		fd_close(&others[i]);
	scene_end(&scene);
}

int main(void)
{
	const struct rlimit many = { 2048, 2048 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_headers),
		cmocka_unit_test(test_split_hello),
		cmocka_unit_test(test_nobody_spins),
		cmocka_unit_test(test_deadline_is_absolute),
		cmocka_unit_test(test_deadline_counts_from_accept),
		cmocka_unit_test(test_the_client_leaves),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_crowd),
	};

	setrlimit(RLIMIT_NOFILE, &many);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
