/* Why: a check must come to the right verdict about servers that are well, ill, slow or no servers
 * at all, and must come to it in time. SPDX-License-Identifier: ISC */
#include "answerer.h"

#include <stdio.h>
#include <sys/resource.h>

#include "relay/check.h"

#define REQUEST "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

struct scene {
	struct event_base *base;
	struct answerer server;
	struct check *check;
	struct probe probe;
	struct check_question question;
	bool is_done;
	enum check_verdict verdict;
	char why[256];
};

static void on_done(enum check_verdict verdict, const char *why, void *arg)
{
	struct scene *scene = arg;

	assert_false(scene->is_done);
	scene->is_done = true;
	scene->verdict = verdict;
	snprintf(scene->why, sizeof scene->why, "%s", why);
	check_end(&scene->check);
	assert_null(scene->check);
}

static bool is_done(void *arg)
{
	return ((const struct scene *)arg)->is_done;
}

static void scene_begin(struct scene *scene, const char *probe, const char *answer)
{
	struct error e;

	*scene = (struct scene){ .base = event_base_new() };
	assert_true(probe_parse(probe, &scene->probe, &e));
	answerer_begin(&scene->server, scene->base, NULL, answer);
	scene->question = (struct check_question){ .address = &scene->server.local,
						   .probe = &scene->probe,
						   .timeout_ms = 5000 };
	if (scene->probe.kind == PROBE_HTTP) {
		scene->question.request = REQUEST;
		scene->question.request_length = sizeof REQUEST - 1;
	}
}

static void run(struct scene *scene)
{
	scene->is_done = false;
	scene->check = check_begin(scene->base, &scene->question, on_done, scene);
	assert_non_null(scene->check); /* the verdict never comes before we know the check */
	assert_true(loopback_until(scene->base, is_done, scene));
}

static void scene_end(struct scene *scene)
{
	answerer_end(&scene->server);
	probe_free(&scene->probe);
	event_base_free(scene->base);
}

/* Worry: something that is no good answer passes for one, or the reverse. */
static void test_status_lines(void **state)
{
	static const struct {
		const char *answer, *why; /* NULL: good */
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL },
		{ "HTTP/1.0 204 No Content\r\n", NULL },
		{ "HTTP/1.1 299\r\n", NULL },
		{ "HTTP/1.1 200 \r\n\r\n", NULL },
		{ "HTTP/1.1 500 Internal Server Error\r\n\r\n", "it answered 500" },
		{ "HTTP/1.1 301 Moved\r\n\r\n", "it answered 301" },
		{ "HTTP/1.1 199 OK\r\n\r\n", "it answered 199" },
		{ "HTTP/1.1 099 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 20 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1  200 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 +200 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 200OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 200 OK\n\n", "its answer is not HTTP/1" },
		{ "HTTP/2.0 200 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "HTTP/1.12 200 OK\r\n", "its answer is not HTTP/1" },
		{ "http/1.1 200 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ " HTTP/1.1 200 OK\r\n\r\n", "its answer is not HTTP/1" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", "its answer is not HTTP/1" },
		{ "\n", "its answer is not HTTP/1" },
		{ "HTTP/1.1 200 OK", "it closed the connection without an answer" },
		{ "", "it closed the connection without an answer" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene scene;

		scene_begin(&scene, "http GET /health", rows[i].answer);
		run(&scene);
		/* What was closed before our request came is a reset. */
		if (*rows[i].answer == '\0' && strncmp(scene.why, "it closed", 9) != 0)
			assert_non_null(strstr(scene.why, strerror(ECONNRESET)));
		else if (rows[i].why)
			assert_string_equal(scene.why, rows[i].why);
		assert_int_equal(scene.verdict, rows[i].why ? CHECK_BAD : CHECK_GOOD);
		scene_end(&scene);
	}
}

/* Worry: an endless line fills memory, or is waited for to the deadline. */
static void test_a_line_has_an_end(void **state)
{
	static char endless[4096];
	struct scene scene;

	(void)state;
	memset(endless, 'x', sizeof endless - 1);
	memcpy(endless, "HTTP/1.1 200 ", 13);
	scene_begin(&scene, "http GET /health", endless);
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_BAD);
	assert_string_equal(scene.why, "its answer is not HTTP/1");
	scene_end(&scene);
}

/* Worry: an answer in many pieces is misread. */
static void test_slow_answers_are_put_together(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, "http GET /health expecting 404", "HTTP/1.1 404 Not Found\r\n\r\n");
	scene.server.is_slow = true;
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_GOOD);
	assert_string_equal(scene.server.request, REQUEST);
	scene_end(&scene);
}

/* Worry: a server that drips bytes, or says nothing, puts the verdict off for ever. */
static void test_the_deadline_holds(void **state)
{
	static char drip[4096];
	const char *const answers[] = { NULL, drip };

	(void)state;
	memset(drip, 'y', 500);
	for (size_t i = 0; i < 2; i++) {
		struct scene scene;

		scene_begin(&scene, "http GET /health", answers[i]);
		scene.server.is_slow = true;
		scene.question.timeout_ms = 60;
		run(&scene);
		assert_int_equal(scene.verdict, CHECK_BAD);
		assert_string_equal(scene.why, "no answer within 60 ms");
		scene_end(&scene);
	}
}

/* Worry: a host that drops our packets is waited for as long as the kernel likes. */
static void test_connecting_has_the_deadline_too(void **state)
{
	struct scene scene;
	struct address local;
	int full, queued[8];

	(void)state;
	scene_begin(&scene, "tcp", NULL);
	full = loopback_listen("127.0.0.1:0", 0, &local); /* its backlog gets full: SYNs are lost */
	for (size_t i = 0; i < 8; i++) {
		queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(queued[i], &local.any, local.length);
	}
	scene.question.address = &local;
	scene.question.timeout_ms = 60;
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_BAD);
	assert_string_equal(scene.why, "no connection within 60 ms");
	for (size_t i = 0; i < 8; i++)
		fd_close(&queued[i]);
	fd_close(&full);
	scene_end(&scene);
}

/* Worry: a server logs a broken connection for every check, for ever (Python prints a traceback).
 */
static void test_tcp_checks_end_in_order(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, "tcp", NULL);
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_GOOD);
	for (int i = 0; i < 100 && scene.server.clients == 0; i++)
		event_base_loop(scene.base, EVLOOP_ONCE);
	loopback_settle(scene.base);
	assert_int_equal(scene.server.clients, 1);
	assert_int_equal(scene.server.resets, 0);
	scene_end(&scene);
}

/* Worry: nobody there is told as somebody, or a path that does not exist yet ends the relay. */
static void test_nobody_is_bad(void **state)
{
	struct address nowhere = { .length = sizeof nowhere.local };
	struct scene scene;

	(void)state;
	scene_begin(&scene, "tcp", NULL);
	answerer_end(&scene.server);
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_BAD);
	assert_string_equal(scene.why, "connecting: Connection refused");
	nowhere.local.sun_family = AF_UNIX;
	snprintf(nowhere.local.sun_path, sizeof nowhere.local.sun_path,
		 "/tmp/limpet-nothing-%d.sock", (int)getpid());
	scene.question.address = &nowhere;
	run(&scene);
	assert_int_equal(scene.verdict, CHECK_BAD);
	assert_string_equal(scene.why, "connecting: No such file or directory");
	answerer_begin(&scene.server, scene.base, NULL, NULL);
	scene_end(&scene);
}

/* Worry: we have no descriptor left, and all servers are called ill. */
static void test_our_own_shortage_says_nothing(void **state)
{
	struct rlimit before, none;
	struct scene scene;

	(void)state;
	scene_begin(&scene, "tcp", NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	run(&scene);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(scene.verdict, CHECK_UNKNOWN);
	scene_end(&scene);
}

/* Worry: a check that is given up speaks later, out of freed memory. */
static void test_a_check_can_be_given_up(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, "http GET /health", "HTTP/1.1 200 OK\r\n\r\n");
	for (int turns = 0; turns < 6; turns++) {
		scene.check = check_begin(scene.base, &scene.question, on_done, &scene);
		for (int i = 0; i < turns; i++)
			event_base_loop(scene.base, EVLOOP_NONBLOCK);
		scene.is_done = false;
		check_end(&scene.check);
		check_end(&scene.check);
		loopback_settle(scene.base);
		assert_false(scene.is_done);
	}
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_lines),
		cmocka_unit_test(test_a_line_has_an_end),
		cmocka_unit_test(test_slow_answers_are_put_together),
		cmocka_unit_test(test_the_deadline_holds),
		cmocka_unit_test(test_connecting_has_the_deadline_too),
		cmocka_unit_test(test_tcp_checks_end_in_order),
		cmocka_unit_test(test_nobody_is_bad),
		cmocka_unit_test(test_our_own_shortage_says_nothing),
		cmocka_unit_test(test_a_check_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
