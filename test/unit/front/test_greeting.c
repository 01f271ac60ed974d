/* Why: the header decides who a client is, and the byte behind it is his first word to the worker:
 * the one must be believed of the right senders only, the other must still be there.
 * SPDX-License-Identifier: ISC */
#include "greeting_scene.h"

#include "base/log.h"
#include "recorded_hello.h"

#define PAYLOAD "GET / HTTP/1.1\r\n\r\n"

static void expect_told(const struct client *client)
{
	char text[ADDRESS_TEXT];

	assert_string_equal(peer_print(&client->peer, text), "192.0.2.1:4660");
	assert_non_null(client->passport);
	assert_string_equal(peer_print(&client->passport->from, text), "192.0.2.1:4660");
	assert_string_equal(peer_print(&client->passport->to, text), "198.51.100.2:443");
}

/* Worry: listeners that expect nothing pay for those that do. */
static void test_nothing_expected(void **state)
{
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_OFF);
	recv_calls = 0;
	greeting_take(scene_client(&scene, SCENE_TCP, &other), scene.desk);
	assert_int_equal(recv_calls, 0);
	assert_int_equal(scene.passed_count, 1);
	assert_null(TAILQ_FIRST(&scene.passed)->passport);
	assert_int_equal(TAILQ_FIRST(&scene.passed)->pool, 7);
	fd_close(&other);
	scene_end(&scene);
}

/* Worry: a byte of the payload goes with the header, or a byte of the header stays. */
static void test_taken_exactly(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} rows[] = { { V1_HEADER PAYLOAD, sizeof V1_HEADER - 1 },
		     { V2_HEADER PAYLOAD, sizeof V2_HEADER - 1 } };
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	for (int kind = SCENE_TCP; kind <= SCENE_UNIX; kind++)
		for (size_t i = 0; i < 2; i++) {
			recv_calls = 0;
			scene_greet(&scene, (enum scene_socket)kind, rows[i].bytes,
				    rows[i].length + sizeof PAYLOAD - 1, &other);
			assert_int_equal(recv_calls, 2); /* one look, one taking */
			expect_told(TAILQ_FIRST(&scene.passed));
			scene_expect_left(&scene, PAYLOAD, sizeof PAYLOAD - 1);
			scene_forget(&scene);
			fd_close(&other);
		}
	assert_int_equal(greeting_count(scene.desk), 0);
	scene_end(&scene);
}

static void test_tlvs_are_told(void **state)
{
	static const char bytes[] =
		V2_SIGNATURE "\x21\x11\x00\x2a\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"
			     "\x20\x00\x0f\x01\x00\x00\x00\x01\x21\x00\x07TLSv1.3\x02\x00\x09"
			     "a.example";
	const struct client *client;
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	scene_greet(&scene, SCENE_TCP, bytes, sizeof bytes - 1, &other);
	client = TAILQ_FIRST(&scene.passed);
	expect_told(client);
	assert_true(client->passport->is_tls);
	assert_string_equal(client->passport->tls_version, "TLSv1.3");
	assert_string_equal(client->passport->server_name, "a.example");
	scene_expect_left(&scene, "", 0);
	fd_close(&other);
	scene_end(&scene);
}

/* Worry: a load balancer's own check, which is about nobody, gets the address of somebody. */
static void test_local(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} rows[] = { { V2_LOCAL, 16 },
		     { "PROXY UNKNOWN\r\n", 15 },
		     { "PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", 39 } };
	char text[ADDRESS_TEXT];
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	for (size_t i = 0; i < 3; i++) {
		scene_greet(&scene, SCENE_TCP, rows[i].bytes, rows[i].length, &other);
		assert_string_equal(peer_print(&TAILQ_FIRST(&scene.passed)->peer, text),
				    "127.1.1.1:12345");
		assert_null(TAILQ_FIRST(&scene.passed)->passport);
		scene_expect_left(&scene, "", 0);
		scene_forget(&scene);
		fd_close(&other);
	}
	scene_end(&scene);
}

/* Worry: the same client is another one by v6 (the slot goes by client->peer). */
static void test_mapped_client(void **state)
{
	static const char line[] = "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 4660 443\r\n";
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	scene_greet(&scene, SCENE_TCP, line, sizeof line - 1, &other);
	expect_told(TAILQ_FIRST(&scene.passed));
	assert_int_equal(TAILQ_FIRST(&scene.passed)->peer.any.sa_family, AF_INET);
	fd_close(&other);
	scene_end(&scene);
}

static void expect_ended(struct scene *scene, const void *bytes, size_t length,
			 enum counter counter)
{
	const uint64_t before = counter_get(counter);
	int other;

	scene_greet(scene, SCENE_TCP, bytes, length, &other);
	assert_int_equal(counter_get(counter), before + 1);
	assert_true(loopback_is_closed(other));
	assert_int_equal(scene->passed_count, 0);
	fd_close(&other);
}

/* Worry: whoever reaches the port chooses his address (FAULTS: untrusted with and without a header,
 * trusted without). */
static void test_trust(void **state)
{
	static const char junk[] = "GET / HTTP/1.1\r\nHost: a\x1b[31m\r\n\r\n";
	struct scene scene;
	struct error e;

	(void)state;
	for (int mode = PROXY_PROTOCOL_REQUIRE; mode <= PROXY_PROTOCOL_PASS; mode++) {
		scene_begin(&scene, mode);
		expect_ended(&scene, junk, sizeof junk - 1, COUNTER_ENDED_BAD_HEADER);
		expect_ended(&scene, V2_SIGNATURE "\x21\x11\xff\xff", 16, COUNTER_ENDED_BAD_HEADER);
		expect_ended(&scene, V2_SIGNATURE "\x21\x11\x00\x00" PAYLOAD, 34,
			     COUNTER_ENDED_BAD_HEADER);
		assert_true(cidr_parse("127.1.1.2/32", &scene.trusted, &e));
		recv_calls = 0;
		expect_ended(&scene, V1_HEADER, sizeof V1_HEADER - 1, COUNTER_ENDED_NOT_TRUSTED);
		expect_ended(&scene, junk, sizeof junk - 1, COUNTER_ENDED_NOT_TRUSTED);
		scene.config.trusted.count = 0;
		expect_ended(&scene, V1_HEADER, sizeof V1_HEADER - 1, COUNTER_ENDED_NOT_TRUSTED);
		/* What they say is not even looked at: these are loopback_is_closed's. */
		assert_int_equal(recv_calls, 3);
		scene_end(&scene);
	}
}

/* Worry: the operator sees that something was wrong, but not what; or the sender writes our log. */
static void test_log(void **state)
{
	const struct log_settings settings = { .level = LOG_INFO, .role = "test" };
	char lines[2048] = "";
	struct scene scene;
	int log[2], other;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, log), 0);
	log_setup(&settings);
	log_to(log[1]);
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	/* one line per second and reason: the next second's is awaited */
	for (int64_t end_ms = clock_now_ms() + LOOPBACK_PATIENCE_MS;
	     !strstr(lines, "said") && clock_now_ms() < end_ms;) {
		scene_greet(&scene, SCENE_TCP, "GET /\x1b[31m\r\nALERT", 17, &other);
		fd_close(&other);
		read(log[0], lines, sizeof lines - 1);
	}
	log_to(2);
	assert_non_null(strstr(lines, "listen:test"));
	assert_non_null(strstr(lines, "client 127.1.1.1:12345: no valid PROXY protocol header: it "
				      "begins neither as version 1 nor as version 2 does (it said "
				      "\"GET /\\x1b[31m\\x0d\\x0aALERT\")"));
	scene_end(&scene);
	fd_close(&log[0]);
	fd_close(&log[1]);
}

/* Worry: who is denied comes in through a load balancer. */
static void test_rules_hold_behind_a_balancer(void **state)
{
	struct scene scene;
	struct cidr block;
	struct error e;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_REQUIRE);
	assert_true(cidr_parse("192.0.2.0/24", &block, &e));
	scene.config.deny = (struct cidr_list){ &block, 1 };
	expect_ended(&scene, V1_HEADER PAYLOAD, sizeof V1_HEADER PAYLOAD - 1, COUNTER_ENDED_DENIED);
	scene.config.deny.count = 0;
	scene.config.allow = (struct cidr_list){ &block, 1 };
	scene_greet(&scene, SCENE_TCP, V1_HEADER, sizeof V1_HEADER - 1, &other);
	assert_int_equal(scene.passed_count, 1);
	fd_close(&other);
	scene.passed_count = 0;
	assert_true(cidr_parse("192.0.3.0/24", &block, &e));
	expect_ended(&scene, V2_HEADER, sizeof V2_HEADER - 1, COUNTER_ENDED_DENIED);
	scene_end(&scene);
}

/* Worry: pass takes what the worker should read, or the slot goes by the balancer's address. */
static void test_pass(void **state)
{
	char text[ADDRESS_TEXT];
	struct scene scene;
	int other;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_PASS);
	scene_greet(&scene, SCENE_TCP, V1_HEADER PAYLOAD, sizeof V1_HEADER PAYLOAD - 1, &other);
	assert_string_equal(peer_print(&TAILQ_FIRST(&scene.passed)->peer, text), "192.0.2.1:4660");
	assert_null(TAILQ_FIRST(&scene.passed)->passport);
	scene_expect_left(&scene, V1_HEADER PAYLOAD, sizeof V1_HEADER PAYLOAD - 1);
	fd_close(&other);
	scene_end(&scene);
}

static struct sni_route routes[] = {
	{ .name = (char *)(uintptr_t) "chat.example.org", .pool_index = 2 },
	{ .name = (char *)(uintptr_t) "*.example.org", .pool_index = 3 },
};

static void expect_pool(struct scene *scene, const char *header, size_t header_length,
			const uint8_t *hello, size_t hello_length, size_t taken, uint32_t pool)
{
	char bytes[1000];
	int other;

	memcpy(bytes, header, header_length);
	memcpy(bytes + header_length, hello, hello_length);
	scene_greet(scene, SCENE_TCP, bytes, header_length + hello_length, &other);
	assert_int_equal(scene->passed_count, 1);
	assert_int_equal(TAILQ_FIRST(&scene->passed)->pool, pool);
	assert_int_equal(TAILQ_FIRST(&scene->passed)->passport != NULL, taken > 0);
	scene_expect_left(scene, bytes + taken, header_length + hello_length - taken);
	scene->passed_count = 0;
	scene_forget(scene);
	fd_close(&other);
}

/* Worry: a server name leads to the wrong pool, or its record does not reach the worker whole. */
static void test_passthrough(void **state)
{
	const size_t length = sizeof V1_HEADER - 1;
	struct scene scene;

	(void)state;
	scene_begin(&scene, PROXY_PROTOCOL_OFF);
	scene.config.tls_passthrough = true;
	scene.config.sni = (struct sni_list){ routes, 2 };
	expect_pool(&scene, "", 0, hello_openssl, sizeof hello_openssl, 0, 2);
	expect_pool(&scene, "", 0, hello_gnutls, sizeof hello_gnutls, 0, 3);
	expect_pool(&scene, "", 0, hello_no_name, sizeof hello_no_name, 0, 7);
	expect_ended(&scene, PAYLOAD, sizeof PAYLOAD - 1, COUNTER_ENDED_BAD_HELLO);
	scene.config.proxy_protocol = PROXY_PROTOCOL_REQUIRE;
	expect_pool(&scene, V1_HEADER, length, hello_gnutls, sizeof hello_gnutls, length, 3);
	expect_ended(&scene, (const char *)hello_gnutls, sizeof hello_gnutls,
		     COUNTER_ENDED_BAD_HEADER);
	expect_ended(&scene, V1_HEADER PAYLOAD, sizeof V1_HEADER PAYLOAD - 1,
		     COUNTER_ENDED_BAD_HELLO);
	scene.config.proxy_protocol = PROXY_PROTOCOL_PASS;
	expect_pool(&scene, V1_HEADER, length, hello_openssl, sizeof hello_openssl, 0, 2);
	expect_pool(&scene, V2_HEADER, 28, hello_no_name, sizeof hello_no_name, 0, 7);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_nothing_expected),
		cmocka_unit_test(test_taken_exactly),
		cmocka_unit_test(test_tlvs_are_told),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_mapped_client),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_rules_hold_behind_a_balancer),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_passthrough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
