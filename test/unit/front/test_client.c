/* Why: a client ends once, for one reason, and leaves nothing behind. SPDX-License-Identifier: ISC
 */
#include "loopback.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"
#include "front/client.h"
#include "front/door.h"
#include "wire/counter.h"

static struct door_listener listener = { .name = "listen:test", .fd = -1, .pool = 5 };
static const struct peer somebody = { .v4 = { .sin_family = AF_INET,
					      .sin_port = 0x3930, /* 12345, network order */
					      .sin_addr.s_addr = 0x0100007f } };

static struct client *begin(int *other_r)
{
	int pair[2];
	struct client *client;

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	*other_r = pair[1];
	client = client_begin(&pair[0], &listener, &somebody);
	assert_int_equal(pair[0], -1);
	return client;
}

/* Worry: an end closes nothing, or is not counted. */
static void test_one_life(void **state)
{
	const uint64_t accepted = counter_get(COUNTER_ACCEPTED);
	const uint64_t ended = counter_get(COUNTER_ENDED_SHUTDOWN);
	struct client *client;
	int other;

	(void)state;
	client = begin(&other);
	assert_int_equal(client_count(), 1);
	assert_int_equal(listener.open, 1);
	assert_int_equal(client->id, 0);
	assert_int_equal(client->refusals, 0);
	assert_int_equal(client->pool, 5);
	assert_null(client->passport);
	client_end(&client, END_SHUTDOWN);
	assert_null(client);
	assert_true(loopback_is_closed(other));
	assert_int_equal(client_count(), 0);
	assert_int_equal(listener.open, 0);
	assert_int_equal(counter_get(COUNTER_ACCEPTED), accepted + 1);
	assert_int_equal(counter_get(COUNTER_ENDED_SHUTDOWN), ended + 1);
	fd_close(&other);
}

/* Worry: a reused struct remembers its former client. */
static void test_nothing_is_remembered(void **state)
{
	struct client *clients[600];
	int others[600];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 600; i++) {
			clients[i] = begin(&others[i]);
			assert_int_equal(clients[i]->deadline_ms, 0);
			assert_false(clients[i]->rerouted);
			clients[i]->deadline_ms = 1;
			clients[i]->rerouted = true;
			clients[i]->refusals = 9;
		}
		assert_int_equal(client_count(), 600);
		for (int i = 0; i < 600; i++) {
			client_end(&clients[(i * 7) % 600], END_HANDED_OVER);
			fd_close(&others[(i * 7) % 600]);
		}
		assert_int_equal(client_count(), 0);
	}
}

/* Worry: one client's name is found in the next one's passport, or two share one. */
static void test_passports(void **state)
{
	static const struct passport blank;
	struct client *clients[200];
	int others[200];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 200; i++) {
			struct passport *passport;

			clients[i] = begin(&others[i]);
			passport = client_passport(clients[i]);
			assert_ptr_equal(passport, clients[i]->passport);
			assert_ptr_equal(client_passport(clients[i]), passport);
			assert_memory_equal(passport, &blank, sizeof blank);
			memset(passport, 'x', sizeof *passport);
			snprintf(passport->server_name, sizeof passport->server_name, "%d", i);
		}
		for (int i = 0; i < 200; i++) {
			assert_int_equal(strtol(clients[i]->passport->server_name, NULL, 10), i);
			client_end(&clients[i], END_HANDED_OVER);
			fd_close(&others[i]);
		}
	}
}

static void begin_and_end(enum end_reason reason)
{
	int other;
	struct client *client = begin(&other);

	client_end(&client, reason);
	fd_close(&other);
}

/* Worry: the log does not say who was turned away and why, or says it when nobody asked; anybody
 * can fill the disk by connecting. */
static void test_log(void **state)
{
	const struct log_settings settings = { .level = LOG_INFO, .role = "test" };
	char lines[8192] = "";
	int log[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, log), 0);
	log_setup(&settings);
	log_to(log[1]);
	begin_and_end(END_HANDED_OVER);
	assert_int_equal(read(log[0], lines, sizeof lines - 1), -1);
	assert_int_equal(errno, EAGAIN);

	for (int i = 0; i < 50; i++)
		begin_and_end(END_DENIED);
	assert_true(read(log[0], lines, sizeof lines - 1) > 0);
	assert_non_null(strstr(lines, "listen:test"));
	assert_non_null(strstr(lines, "client 127.0.0.1:12345: the address is not allowed here\n"));
	assert_true(strlen(lines) < 500); /* 50 lines would be thousands, one or two are not */

	memset(lines, 0, sizeof lines);
	{
		int other;
		struct client *client = begin(&other);

		client_end_because(&client, END_TLS_FAILED, "no shared cipher\n");
		fd_close(&other);
	}
	assert_true(read(log[0], lines, sizeof lines - 1) > 0);
	assert_non_null(strstr(lines, "the TLS handshake failed: no shared cipher\\x0a\n"));
	log_to(2);
	fd_close(&log[0]);
	fd_close(&log[1]);
}

/* Worry: a client that ends twice closes somebody else's descriptor, silently. */
static void test_ending_twice_is_fatal(void **state)
{
	const pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		struct client *client, *same;
		int bystander, other, null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		setrlimit(RLIMIT_CORE, &none);
		log_to(null);
		begin(&bystander);
		client = same = begin(&other);
		client_end(&client, END_SHUTDOWN);
		client_end(&same, END_SHUTDOWN);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_life),
		cmocka_unit_test(test_nothing_is_remembered),
		cmocka_unit_test(test_passports),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_ending_twice_is_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
