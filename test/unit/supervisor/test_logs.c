/* Why: proves FAULTS 96 (symbolic link as log), 105 (forged lines) and 108 (a log that nobody reads
 * stops the service). SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/logs.h"

static struct event_base *base;
static int saved_stderr;

static void to_logs(const char *line, size_t length, void *arg)
{
	(void)arg;
	logs_write(line, length);
}

static int begin(void **state)
{
	static const struct log_settings settings = { .level = LOG_INFO, .role = "supervisor" };

	log_setup(&settings);
	base = event_base_new();
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	return scratch_begin(state);
}

static int end(void **state)
{
	log_to_writer(NULL, NULL);
	dup2(saved_stderr, STDERR_FILENO);
	fd_close(&saved_stderr);
	event_base_free(base);
	return scratch_end(state);
}

static void open_file(const char *path)
{
	struct error e = { "" };

	assert_true(logs_open(base, path, &e));
	log_to_writer(to_logs, NULL);
}

/* Standard error becomes a pipe, as under a service manager. Returns its read end. */
static int open_pipe(void)
{
	struct error e = { "" };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(ends[1]), 0);
	assert_true(logs_open(base, "", &e));
	log_to_writer(to_logs, NULL);
	return ends[0];
}

static void ignore(int number)
{
	const struct sigaction action = { .sa_handler = SIG_IGN };

	assert_int_equal(sigaction(number, &action, NULL), 0);
}

static void say(const char *line)
{
	logs_write(line, strlen(line));
}

/* Worry: lines go elsewhere than to the file, a rotation loses some, or everybody can read them. */
static void test_file_and_reopen(void **state)
{
	char path[128], moved[128], text[256];
	struct error e = { "" };
	struct stat st;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("log"));
	snprintf(moved, sizeof moved, "%s", in_scratch("log.1"));
	open_file(path);
	say("one\n");
	assert_int_equal(rename(path, moved), 0);
	say("two\n");
	assert_true(logs_reopen(&e));
	say("three\n");
	logs_close();
	scratch_read(moved, text, sizeof text);
	assert_string_equal(text, "one\ntwo\n");
	scratch_read(path, text, sizeof text);
	assert_string_equal(text, "three\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
}

/* Worry (FAULTS 96): a worker replaces the log by a symbolic link and root writes through it. The
 * old file stays in use. */
static void test_symlink_is_refused(void **state)
{
	char path[128], moved[128], text[256];
	struct error e = { "" };

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("log"));
	snprintf(moved, sizeof moved, "%s", in_scratch("log.1"));
	open_file(path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(in_scratch("target"), path), 0);
	assert_false(logs_reopen(&e));
	assert_non_null(strstr(e.text, "is a symbolic link"));
	say("still here\n");
	logs_close();
	scratch_read(moved, text, sizeof text);
	assert_string_equal(text, "still here\n");
	assert_int_equal(access(in_scratch("target"), F_OK), -1);
}

/* Takes what waits while the loop turns, then has `last` printed and reads up to it. */
static char *read_all(int fd, const char *last, size_t size)
{
	char *text = calloc(1, size);
	const int64_t deadline = clock_now_ms() + 10000;
	size_t length = 0;
	bool said = false;

	assert_non_null(text);
	assert_int_equal(fd_set_nonblocking(fd), 0);
	while (!(said && strstr(text + (length > 64 ? length - 64 : 0), last))) {
		ssize_t n = read(fd, text + length, size - 1 - length);

		assert_true(clock_now_ms() < deadline);
		if (n > 0)
			length += (size_t)n;
		else if (event_base_loop(base, EVLOOP_NONBLOCK) == 1 && !said)
			say(last), said = true;
	}
	return text;
}

/* Worry (FAULTS 108): whoever reads our standard error stops, and so do we. The flags of the
 * description that we share with the shell stay as they were. When he reads again he gets whole
 * lines in order and learns how many are missing. */
static void test_nobody_reads(void **state)
{
	const int total = 20000;
	int reader = open_pipe();
	unsigned long long lost = 0;
	int seen = 0, last = -1;
	char line[128], *text, *rest, *at;

	(void)state;
	for (int i = 0; i < total; i++) {
		snprintf(line, sizeof line, "line %06d of many that nobody takes\n", i);
		say(line); /* must return: the test hangs otherwise */
	}
	assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	text = read_all(reader, "the end\n", 4u << 20);
	for (at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		const char *report = strstr(at, "logs: ");
		int number;

		if (sscanf(at, "line %d of many that nobody takes", &number) == 1) {
			assert_true(number > last);
			last = number;
			seen++;
		} else if (report) {
			assert_int_equal(sscanf(report, "logs: %llu lines were lost", &lost), 1);
		}
	}
	free(text);
	assert_true(lost > 0);
	assert_int_equal((int)lost + seen, total);
	logs_close();
	fd_close(&reader);
}

/* Worry: what waits in the ring at the end is thrown away although somebody reads, or is waited for
 * although nobody does. */
static void test_close_flushes(void **state)
{
	int reader = open_pipe();
	int status;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 4000; i++)
		say("0123456789012345678901234567890123456789\n"); /* 164,000 bytes: pipe and half
								      of the ring */
	pid = fork();
	if (pid == 0) {
		char bytes[4096];
		size_t taken = 0;
		ssize_t n;

		close(STDERR_FILENO);
		while (taken < 164000 && (n = read(reader, bytes, sizeof bytes)) > 0)
			taken += (size_t)n;
		_exit(taken == 164000 ? 0 : 1);
	}
	logs_close();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd_close(&reader);
}

/* Worry: the reader dies; we must neither spin nor die of SIGPIPE. */
static void test_reader_gone(void **state)
{
	int reader = open_pipe();

	(void)state;
	ignore(SIGPIPE);
	fd_close(&reader);
	say("nobody will see this\n");
	say("nor this\n");
	assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 1); /* 1: no event waits */
	logs_close();
}

/* Worry: started with standard error closed, lines land in whatever descriptor 2 is by then, or the
 * warden gets none. */
static void test_closed_standard_error(void **state)
{
	struct error e = { "" };
	struct stat st;

	(void)state;
	assert_int_equal(close(STDERR_FILENO), 0);
	assert_true(logs_open(base, "", &e));
	say("nowhere\n");
	assert_int_equal(fstat(logs_fd(), &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	logs_close();
}

/* Worry: a FIFO without a reader as log_file blocks the start, or its lines are lost. */
static void test_fifo_without_reader(void **state)
{
	char path[128], text[64] = "";
	int reader;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	open_file(path);
	say("early\n");
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(read(reader, text, sizeof text - 1), 6);
	assert_string_equal(text, "early\n");
	logs_close();
	fd_close(&reader);
}

/* Worry: a full disk tears a line in two and glues the next one to it, or the loss is kept secret.
 * RLIMIT_FSIZE is our full disk; the soft limit may be raised again. */
static void test_full_disk(void **state)
{
	struct rlimit full, before;
	char text[1024];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	full = before;
	full.rlim_cur = 6;
	ignore(SIGXFSZ);
	open_file(in_scratch("log"));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	say("torn line\n");
	say("lost line\n");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	say("whole line\n");
	logs_close();
	scratch_read(in_scratch("log"), text, sizeof text);
	assert_memory_equal(text, "torn l\n", 7);
	assert_non_null(strstr(text, "logs: 2 lines were lost: "));
	assert_non_null(strstr(text, "\nwhole line\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file_and_reopen, begin, end),
		cmocka_unit_test_setup_teardown(test_symlink_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(test_nobody_reads, begin, end),
		cmocka_unit_test_setup_teardown(test_close_flushes, begin, end),
		cmocka_unit_test_setup_teardown(test_reader_gone, begin, end),
		cmocka_unit_test_setup_teardown(test_closed_standard_error, begin, end),
		cmocka_unit_test_setup_teardown(test_fifo_without_reader, begin, end),
		cmocka_unit_test_setup_teardown(test_full_disk, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
