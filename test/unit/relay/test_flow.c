/* Why: what a relayed connection begins with, and the deadlines that end it. The deadlines are tiny
 * here, and only that they end the right connections is asserted. SPDX-License-Identifier: ISC */
#include "relay_field.h"

#include "wire/proxy_header.h"

static void ends_with(const char *lines, enum counter reason, bool speaks, bool half)
{
	const uint64_t ended = counter_get(reason);
	struct traffic up;
	struct field f;
	int client, worker;

	field_begin(&f, lines, 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	up = (struct traffic){ .from = client, .to = worker, .size = speaks ? 100 : 0 };
	assert_true(loopback_until(f.base, traffic_has_come, &up));
	if (half)
		shutdown(client, SHUT_WR);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_int_equal(counter_get(reason), ended + 1);
	assert_true(loopback_is_closed(client));
	assert_true(loopback_is_closed(worker));
	fd_close(&client);
	fd_close(&worker);
	field_end(&f);
}

/* Worry: a connection that nobody needs stays; or the wrong clock ends it. */
static void test_deadlines(void **state)
{
	(void)state;
	ends_with("idle_timeout = 100ms\n", COUNTER_ENDED_IDLE, true, false);
	ends_with("idle_timeout = 100ms\n", COUNTER_ENDED_IDLE, false, false);
	ends_with("first_byte_timeout = 100ms\n", COUNTER_ENDED_FIRST_BYTE, false, false);
	ends_with("half_closed_timeout = 100ms\n", COUNTER_ENDED_HALF_CLOSED, true, true);
	ends_with("half_closed_timeout = 100ms\nidle_timeout = 0\n", COUNTER_ENDED_HALF_CLOSED,
		  true, true);
	ends_with("max_connection_age = 50ms\nmax_connection_age_jitter = 50ms\n",
		  COUNTER_ENDED_AGE, true, false);
}

static bool after_a_while(void *arg)
{
	return clock_now_ms() >= *(int64_t *)arg;
}

/* Worry: an idle clock that was started with the connection ends an active one. Bytes of either
 * direction must push it off: 40 of them, one each 20 ms, for a clock of 300 ms. */
static void test_bytes_push_the_idle_clock_off(void **state)
{
	const uint64_t ended = counter_get(COUNTER_ENDED_IDLE);
	struct traffic down;
	struct field f;
	int client, worker;

	(void)state;
	field_begin(&f, "idle_timeout = 300ms\nfirst_byte_timeout = 0\n", 1);
	client = field_client(&f, 1);
	worker = field_worker(&f);
	down = (struct traffic){ .from = worker, .to = client };
	while (down.size < 40) {
		int64_t then = clock_now_ms() + 20;

		down.size++;
		assert_true(loopback_until(f.base, traffic_has_come, &down));
		assert_true(loopback_until(f.base, after_a_while, &then));
	}
	assert_int_equal(counter_get(COUNTER_ENDED_IDLE), ended);
	assert_int_equal(streams_count(f.streams), 1);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_int_equal(counter_get(COUNTER_ENDED_IDLE), ended + 1);
	fd_close(&client);
	fd_close(&worker);
	field_end(&f);
}

struct collected {
	int fd;
	char bytes[2048];
	size_t length, enough;
};

static bool collect(void *arg)
{
	struct collected *c = arg;
	const ssize_t n = recv(c->fd, c->bytes + c->length, sizeof c->bytes - c->length, 0);

	if (n > 0)
		c->length += (size_t)n;
	return c->length >= c->enough;
}

/* Worry: the worker does not learn who the client is, or finds the header behind his first words.
 */
static void test_send_proxy_v1(void **state)
{
	struct collected c = { .enough = 30 };
	char expected[200], peer[INET_ADDRSTRLEN] = "127.0.0.9";
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	struct field f;
	int client;

	(void)state;
	field_begin(&f, "send_proxy = v1\n", 1);
	client = field_client(&f, 9);
	assert_int_equal(send(client, "hello", 5, 0), 5);
	assert_int_equal(getsockname(client, (struct sockaddr *)&from, &length), 0);
	snprintf(expected, sizeof expected, "PROXY TCP4 %s 127.0.0.1 %u %u\r\nhello", peer,
		 ntohs(from.sin_port), address_port(&f.door_at));
	c.fd = field_worker(&f);
	c.enough = strlen(expected);
	assert_true(loopback_until(f.base, collect, &c));
	assert_int_equal(c.length, strlen(expected));
	assert_memory_equal(c.bytes, expected, c.length);
	fd_close(&client);
	fd_close(&c.fd);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	field_end(&f);
}

/* Worry: the same with version 2; two connections have one unique id. */
static void test_send_proxy_v2(void **state)
{
	struct collected c[2] = { { .enough = 16 }, { .enough = 16 } };
	struct field f;

	(void)state;
	field_begin(&f, "send_proxy = v2\n", 1);
	for (int i = 0; i < 2; i++) {
		struct proxy_header header;
		size_t whole = 0, needed = 0;
		const char *why = "";
		int client = field_client(&f, 9);

		c[i].fd = field_worker(&f);
		assert_true(loopback_until(f.base, collect, &c[i]));
		while (proxy_header_read(c[i].bytes, c[i].length, &header, &whole, &needed, &why) ==
		       PROXY_MORE) {
			c[i].enough = c[i].length + needed;
			assert_true(loopback_until(f.base, collect, &c[i]));
		}
		assert_string_equal(why, "");
		assert_int_equal(whole, c[i].length);
		assert_false(header.is_local);
		assert_int_equal(ntohl(header.from.v4.sin_addr.s_addr), 0x7f000009);
		assert_int_equal(ntohs(header.to.v4.sin_port), address_port(&f.door_at));
		fd_close(&client);
		fd_close(&c[i].fd);
		assert_true(loopback_until(f.base, field_is_empty, &f));
	}
	/* behind the addresses, where the ports differ: the unique id */
	assert_int_equal(c[0].length, c[1].length);
	assert_memory_not_equal(c[0].bytes + 28, c[1].bytes + 28, c[0].length - 28);
	field_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_bytes_push_the_idle_clock_off),
		cmocka_unit_test(test_send_proxy_v1),
		cmocka_unit_test(test_send_proxy_v2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
