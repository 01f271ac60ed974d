/* Why: the promise of sink.h is that no place of any kind makes the writer wait; so each kind is
 * filled to the brim. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sink.h"

static char block[3 * 4096 + 1];

/* Writes until the place is full; it must say so and not wait. Returns the bytes that it took. */
static size_t fill(const struct sink *sink)
{
	size_t taken = 0;
	ssize_t n;

	while ((n = sink_write(sink, block, sizeof block)) > 0 && taken < 64u << 20)
		taken += (size_t)n;
	assert_int_equal(n, -1);
	assert_int_equal(errno, EAGAIN);
	return taken;
}

/* What was taken must come out, to the byte. */
static void drain(int fd, size_t expected)
{
	char bytes[4096];
	size_t seen = 0;
	ssize_t n;

	assert_int_equal(fd_set_nonblocking(fd), 0);
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		seen += (size_t)n;
	assert_int_equal(seen, expected);
}

/* Worry: a full pipe blocks us, or the pipe of whoever started us becomes non-blocking for him too.
 */
static void test_pipe(void **state)
{
	struct sink sink = { .kind = SINK_NONE };
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	sink_begin(&sink, ends[1]);
	assert_int_equal(sink.kind, SINK_OWN);
	assert_true(sink_can_be_awaited(&sink));
	drain(ends[0], fill(&sink));
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	assert_true(fcntl(sink.fd, F_GETFD) & FD_CLOEXEC);
	sink_end(&sink);
	assert_int_not_equal(fcntl(ends[1], F_GETFD), -1); /* the caller keeps his */
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

/* Worry: where the pipe cannot be opened again (no /proc, another user's), a full one blocks us. */
static void test_shared_pipe(void **state)
{
	struct sink sink = { .kind = SINK_SHARED };
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	sink.fd = ends[1];
	drain(ends[0], fill(&sink));
	fd_close(&ends[0]);
	sink_end(&sink);
}

/* Worry: a terminal that is paused by Ctrl-S, or that nobody reads, stops us. */
static void test_terminal(void **state)
{
	struct sink sink = { .kind = SINK_NONE };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal;

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	sink_begin(&sink, terminal);
	assert_int_equal(sink.kind, SINK_OWN);
	assert_true(fill(&sink) > 0);
	assert_int_equal(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
	sink_end(&sink);
	fd_close(&terminal);
	fd_close(&master);
}

/* Worry: journald's socket, full or gone, blocks or kills us. */
static void test_socket(void **state)
{
	struct sink sink = { .kind = SINK_NONE };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	sink_begin(&sink, pair[1]);
	assert_int_equal(sink.kind, SINK_SOCKET);
	drain(pair[0], fill(&sink));
	fd_close(&pair[0]);
	assert_int_equal(sink_write(&sink, "x", 1), -1); /* no SIGPIPE */
	assert_int_equal(errno, EPIPE);
	sink_end(&sink);
	fd_close(&pair[1]);
}

/* Worry: what is never full is waited for with epoll, which refuses it. */
static void test_files(void **state)
{
	struct sink sink = { .kind = SINK_NONE };
	FILE *file = tmpfile();
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_non_null(file);
	sink_begin(&sink, fileno(file));
	assert_int_equal(sink_write(&sink, block, sizeof block), sizeof block);
	assert_false(sink_can_be_awaited(&sink));
	sink_end(&sink);
	fclose(file);
	sink_begin(&sink, null);
	assert_int_equal(sink_write(&sink, block, sizeof block), sizeof block);
	assert_false(sink_can_be_awaited(&sink));
	sink_end(&sink);
	fd_close(&null);
}

/* Worry: a closed descriptor is taken for a place. */
static void test_nowhere(void **state)
{
	struct sink sink = { .kind = SINK_NONE };
	int closed = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)state;
	close(closed);
	sink_begin(&sink, closed);
	assert_int_equal(sink.kind, SINK_NONE);
	assert_int_equal(sink_write(&sink, "x", 1), -1);
	assert_false(sink_can_be_awaited(&sink));
	sink_end(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe),     cmocka_unit_test(test_shared_pipe),
		cmocka_unit_test(test_terminal), cmocka_unit_test(test_socket),
		cmocka_unit_test(test_files),    cmocka_unit_test(test_nowhere),
	};

	memset(block, '.', sizeof block);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
