/* Why: what workers print must arrive line by line, marked, whole, and at the worker's own cost.
 * SPDX-License-Identifier: ISC */
#include "scratch.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/logs.h"

static struct event_base *base;

static int begin(void **state)
{
	static const struct log_settings settings = { .level = LOG_INFO, .role = "supervisor" };
	struct error e = { "" };

	log_setup(&settings);
	base = event_base_new();
	return scratch_begin(state) == 0 && logs_open(base, in_scratch("log"), &e) ? 0 : -1;
}

static int end(void **state)
{
	logs_close();
	event_base_free(base);
	return scratch_end(state);
}

static struct log_tap *tap_new(int *writer_r, bool verbatim)
{
	int ends[2];
	struct log_tap *tap;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*writer_r = ends[1];
	tap = log_tap_new(base, &ends[0], "web/3", "stdout", verbatim);
	assert_int_equal(ends[0], -1);
	return tap;
}

static void print(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static char *logged(void)
{
	static char text[1u << 20];

	scratch_read(in_scratch("log"), text, sizeof text);
	return text;
}

static int count(const char *text, char wanted)
{
	int n = 0;

	for (; *text; text++)
		n += *text == wanted;
	return n;
}

/* Worry: a line that comes in two writes becomes two, the last one without a newline is lost, \r\n
 * leaves a mark. */
static void test_lines(void **state)
{
	int writer;
	struct log_tap *tap = tap_new(&writer, false);

	(void)state;
	print(writer, "first\r\nsec");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count(logged(), '\n'), 1);
	print(writer, "ond\n\nlast");
	event_base_loop(base, EVLOOP_NONBLOCK);
	fd_close(&writer);
	log_tap_free(&tap);
	assert_null(tap);
	assert_int_equal(count(logged(), '\n'), 4);
	assert_non_null(strstr(logged(), "web/3: first\n"));
	assert_non_null(strstr(logged(), "web/3: second\n"));
	assert_non_null(strstr(logged(), "web/3: last\n"));
}

/* Worry (FAULTS 105): a worker forges a line of ours or commands the terminal. */
static void test_escapes(void **state)
{
	int writer;
	struct log_tap *tap = tap_new(&writer, false);

	(void)state;
	print(writer, "a\x1b[2Jb\tc%n\x01\n");
	fd_close(&writer);
	log_tap_free(&tap);
	assert_int_equal(count(logged(), '\n'), 1);
	assert_null(strchr(logged(), 0x1b));
	assert_null(strchr(logged(), 0x01));
	assert_non_null(strstr(logged(), "%n"));
}

/* Worry: our own roles' lines get a second time stamp. */
static void test_verbatim(void **state)
{
	int writer;
	struct log_tap *tap = tap_new(&writer, true);

	(void)state;
	print(writer, "2026-01-01 00:00:00.000 UTC [5] INFO acceptor: serving\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_string_equal(logged(), "2026-01-01 00:00:00.000 UTC [5] INFO acceptor: serving\n");
	fd_close(&writer);
	log_tap_free(&tap);
}

/* Worry: a line without end takes memory without end, or bytes of it are lost where it is cut. */
static void test_long_line(void **state)
{
	static char bytes[20000];
	int writer;
	struct log_tap *tap = tap_new(&writer, true);

	(void)state;
	memset(bytes, 'x', sizeof bytes);
	assert_int_equal(write(writer, bytes, sizeof bytes), sizeof bytes);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count(logged(), 'x'), 16384);
	print(writer, "\n");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count(logged(), 'x'), 20000);
	assert_int_equal(count(logged(), '\n'), 3);
	fd_close(&writer);
	log_tap_free(&tap);
}

/* Worry: one flooding worker keeps the loop busy. After 1 MiB in a second its tap rests: the pipe
 * stays full. */
static void test_flood_rests(void **state)
{
	static char block[65536];
	int writer, turns;
	struct log_tap *tap = tap_new(&writer, true);
	const int64_t begun = clock_now_ms();
	size_t written = 0;
	ssize_t n;

	(void)state;
	memset(block, 'y', sizeof block);
	assert_int_equal(fd_set_nonblocking(writer), 0);
	for (turns = 0; turns < 200; turns++) {
		n = write(writer, block, sizeof block);
		written += n > 0 ? (size_t)n : 0;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* 200 turns carry 12.5 MiB; a second or two of wall clock carry one or two, and the pipe
	 * holds some more. */
	assert_true(written <=
		    ((size_t)(clock_now_ms() - begun) / 1000 + 1) * (1u << 20) + 3 * sizeof block);
	assert_true(written >= 1u << 20);
	fd_close(&writer);
	log_tap_free(&tap);
}

/* Worry: the end of a pipe makes the loop spin, or its descriptor is left open. */
static void test_end_of_pipe(void **state)
{
	int writer;
	struct log_tap *tap = tap_new(&writer, false);
	const int fd = log_tap_fd(tap);

	(void)state;
	print(writer, "goodbye");
	fd_close(&writer);
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 1); /* 1: no event waits */
	assert_int_equal(count(logged(), '\n'), 1);
	log_tap_free(&tap);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, begin, end),
		cmocka_unit_test_setup_teardown(test_escapes, begin, end),
		cmocka_unit_test_setup_teardown(test_verbatim, begin, end),
		cmocka_unit_test_setup_teardown(test_long_line, begin, end),
		cmocka_unit_test_setup_teardown(test_flood_rests, begin, end),
		cmocka_unit_test_setup_teardown(test_end_of_pipe, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
