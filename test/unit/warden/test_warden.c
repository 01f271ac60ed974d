/* Why: the warden acts only when everything else has gone wrong, so nothing else would show that it
 * does not. Each test plays the supervisor: it starts a warden, gives it processes, and "dies" by
 * closing the channel. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "warden/warden.h"
#include "wire/channel.h"
#include "wire/role.h"

#define PATIENCE_MS  10000
#define TEST_SECONDS 60 /* then whatever a failed test left ends by itself */

static struct event_base *base;
static struct channel *channel;
static int channel_fd; /* for children: freeing the channel there would unregister it from the epoll
			  they share with us */
static pid_t warden_pid;
static int warden_errors; /* what it writes */
static bool warden_serves;

static void on_message(struct channel *c, const struct message *message, int *fd, void *arg)
{
	(void)c, (void)fd, (void)arg;
	warden_serves = message && message->type == MESSAGE_SERVING;
}

static int configuration(void)
{
	static const char text[] =
		"[pool:app]\ncommand = true\n[listen:main]\nbind = 127.0.0.1:0\n";

	return fd_sealed("configuration", text, sizeof text - 1);
}

static void be_warden(int far_channel, int config, int errors)
{
	const int fds[] = { far_channel, config };

	if (dup2(errors, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0 ||
	    fd_arrange(fds, 2) < 0)
		_exit(99);
	syscall(SYS_close_range, 5, ~0u, 0);
	_exit(warden_run());
}

static int begin(void **state)
{
	int pair[2], errors[2];
	int config = configuration();

	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (config < 0 || fd_pair(SOCK_SEQPACKET, pair) < 0 || pipe2(errors, O_CLOEXEC) < 0)
		return -1;
	warden_pid = fork();
	if (warden_pid == 0)
		be_warden(pair[1], config, errors[1]);
	fd_close(&pair[1]);
	fd_close(&errors[1]);
	fd_close(&config);
	warden_errors = errors[0];
	base = event_base_new();
	channel_fd = pair[0];
	alarm(TEST_SECONDS);
	channel = channel_new(base, &pair[0], CHANNEL_SUPERVISOR, on_message, NULL);
	return 0;
}

/* Ends what a failed test left. */
static int end(void **state)
{
	(void)state;
	channel_free(&channel);
	if (warden_pid > 1 && kill(warden_pid, SIGKILL) == 0)
		waitpid(warden_pid, NULL, 0);
	fd_close(&warden_errors);
	event_base_free(base);
	return 0;
}

/* The status of a child that must end by itself. */
static int wait_for(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int status = -1;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(p.fd);
	return status;
}

static void warden_ends(void)
{
	const pid_t pid = warden_pid;

	warden_pid = 0;
	assert_int_equal(wait_for(pid), 0);
}

/* The end of `fd` is read when the last process that holds the other end is gone. */
static void wait_for_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[256];

	do
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	while (read(fd, bytes, sizeof bytes) > 0);
}

static void ignore(int number)
{
	const struct sigaction action = { .sa_handler = SIG_IGN };

	sigaction(number, &action, NULL);
}

/* A worker: leads a group, says on `output` that it is there, then waits for signals. */
enum manner {
	OBEDIENT,      /* dies of SIGTERM */
	STUBBORN,      /* ignores it */
	LEAVES_CHILD,  /* a stubborn member stays when it dies */
	TALKS_AT_TERM, /* prints something when it is told to stop */
};
struct worker {
	pid_t pid;
	int output;
};
static int talk_to;

static void on_term(int number)
{
	static const char words[] = "last words \x1b[2J\n";

	(void)number;
	_exit(write(talk_to, words, sizeof words - 1) > 0 ? 7 : 8);
}

static void be_worker(enum manner manner, int output)
{
	const struct sigaction talk = { .sa_handler = on_term };

	setpgid(0, 0);
	alarm(TEST_SECONDS);
	talk_to = output;
	if (manner == STUBBORN)
		ignore(SIGTERM);
	if (manner == TALKS_AT_TERM)
		sigaction(SIGTERM, &talk, NULL);
	if (manner == LEAVES_CHILD && fork() == 0) {
		alarm(TEST_SECONDS);
		ignore(SIGTERM);
		if (write(output, "r", 1) != 1)
			_exit(1);
	} else if (manner != LEAVES_CHILD && write(output, "r", 1) != 1) {
		_exit(1);
	}
	for (;;)
		pause();
}

static struct worker worker_start(enum manner manner)
{
	struct worker w;
	int ends[2];
	char ready;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	w.pid = fork();
	if (w.pid == 0) {
		close(ends[0]);
		close(channel_fd);
		be_worker(manner, ends[1]);
	}
	close(ends[1]);
	w.output = ends[0];
	assert_int_equal(read(w.output, &ready, 1), 1);
	return w;
}

static void give(const struct worker *w, uint64_t generation, int64_t drain_ms, int64_t stop_ms)
{
	struct message ward = { .type = MESSAGE_WARD,
				.WARD = { .pool = 0,
					  .slot = 3,
					  .generation = generation,
					  .pid = w->pid,
					  .drain_ms = drain_ms,
					  .stop_ms = stop_ms,
					  .stop_signal = SIGTERM,
					  .group = 1 } };
	struct message log = { .type = MESSAGE_WARD_LOG,
			       .WARD_LOG = { .pool = 0, .slot = 3, .generation = generation } };
	int pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);

	assert_true(pidfd >= 0);
	channel_send(channel, &ward, pidfd);
	channel_send(channel, &log, w->output);
	assert_true(channel_flush(channel, PATIENCE_MS));
	fd_close(&pidfd);
}

/* Returns when the warden has taken every message: the log of nobody it knows comes last, and it
 * closes that. */
static void has_read_all(void)
{
	struct message unknown = { .type = MESSAGE_WARD_LOG, .WARD_LOG = { .slot = 99 } };
	int seen[2];

	assert_int_equal(pipe2(seen, O_CLOEXEC), 0);
	channel_send(channel, &unknown, seen[1]);
	assert_true(channel_flush(channel, PATIENCE_MS));
	close(seen[1]);
	wait_for_end(seen[0]);
	close(seen[0]);
}

static void die(void)
{
	channel_free(&channel);
}

/* Everything the warden wrote, to its end. */
static const char *written(void)
{
	static char text[4096];
	size_t length = 0;
	ssize_t n;

	while (length < sizeof text - 1 &&
	       (n = read(warden_errors, text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	return text;
}

/* Worry: a normal stop is delayed by the warden, or it says things nobody needs. */
static void test_normal_end(void **state)
{
	struct worker w = worker_start(OBEDIENT);

	(void)state;
	give(&w, 1, 3600000, 1000);
	assert_int_equal(kill(w.pid, SIGTERM), 0);
	wait_for(w.pid);
	die();
	warden_ends();
	assert_string_equal(written(), "");
	close(w.output);
}

/* Worry: the supervisor is killed and its workers stay for ever. They get the stop signal. */
static void test_stop_signal(void **state)
{
	struct worker w = worker_start(OBEDIENT);
	int status;

	(void)state;
	give(&w, 1, 300, 200);
	die();
	status = wait_for(w.pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	warden_ends();
	close(w.output);
}

/* Worry: a worker that ignores the stop signal outlives everything. */
static void test_kill(void **state)
{
	struct worker w = worker_start(STUBBORN);
	int status;

	(void)state;
	give(&w, 1, 300, 5000); /* stop_ms over drain_ms: the stop signal comes at once */
	die();
	status = wait_for(w.pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	warden_ends();
	close(w.output);
}

/* Worry: the leader obeys, and the rest of its group lives on unseen. */
static void test_group_of_a_dead_leader(void **state)
{
	struct worker w = worker_start(LEAVES_CHILD);
	int status;

	(void)state;
	give(&w, 1, 600, 400);
	die();
	status = wait_for(w.pid);
	assert_int_equal(WTERMSIG(status), SIGTERM);
	wait_for_end(w.output);
	assert_int_equal(waitpid(-w.pid, &status, 0) > 0, 1); /* ours as subreaper */
	assert_int_equal(WTERMSIG(status), SIGKILL);
	warden_ends();
	close(w.output);
}

/* Worry: at a restart the old generation is forgotten for the new one. */
static void test_two_generations(void **state)
{
	struct worker old = worker_start(OBEDIENT), new = worker_start(OBEDIENT);

	(void)state;
	give(&old, 1, 0, 1000);
	give(&new, 2, 0, 1000);
	die();
	assert_int_equal(WTERMSIG(wait_for(old.pid)), SIGTERM);
	assert_int_equal(WTERMSIG(wait_for(new.pid)), SIGTERM);
	warden_ends();
	close(old.output);
	close(new.output);
}

/* Worry: the last words of the workers are lost with the supervisor, or a terminal obeys them. */
static void test_last_words(void **state)
{
	struct worker w = worker_start(TALKS_AT_TERM);
	const char *text;

	(void)state;
	give(&w, 1, 100, 100);
	die();
	assert_int_equal(WEXITSTATUS(wait_for(w.pid)), 7);
	warden_ends();
	text = written();
	assert_non_null(strstr(text, "last words ?[2J\n"));
	assert_null(strchr(text, 0x1b));
	close(w.output);
}

/* Worry: while the supervisor lives, the warden steals lines from it. What a worker prints is still
 * in the pipe when the warden has certainly had its turn. */
static void test_reads_nothing_before(void **state)
{
	struct worker talker = worker_start(TALKS_AT_TERM), last = worker_start(OBEDIENT);
	char text[64] = "";

	(void)state;
	give(&talker, 1, 0, 100);
	give(&last, 2, 0, 100);
	assert_int_equal(kill(talker.pid, SIGTERM), 0);
	wait_for(talker.pid);
	has_read_all();
	assert_true(read(talker.output, text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, "last words"));
	die();
	wait_for(last.pid);
	warden_ends();
	close(talker.output);
	close(last.output);
}

/* Worry: whoever should read standard error does not, and the warden hangs in a write. */
static void test_nobody_reads(void **state)
{
	static char block[4096];
	struct worker w = worker_start(STUBBORN);
	int flood[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(flood, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(flood[0]);
		close(w.output);
		close(channel_fd);
		memset(block, '.', sizeof block);
		ignore(SIGPIPE);
		while (write(flood[1], block, sizeof block) > 0)
			;
		_exit(0);
	}
	close(flood[1]);
	close(w.output);
	w.output = flood[0];
	give(&w, 1, 300, 200);
	close(flood[0]); /* the warden alone reads now */
	die();
	assert_int_equal(WTERMSIG(wait_for(w.pid)), SIGKILL);
	warden_ends();
	assert_int_equal(wait_for(pid), 0); /* EPIPE: it has closed the log */
}

/* Worry (FAULTS 36): a number that means everybody, or init, is signalled. */
static void test_never_low_pids(void **state)
{
	struct worker bystander = worker_start(OBEDIENT);
	struct worker wrong = bystander;
	int status;

	(void)state;
	for (pid_t low = -1; low <= 1; low++) {
		struct message ward = { .type = MESSAGE_WARD,
					.WARD = { .slot = 1,
						  .generation = (uint64_t)low + 5,
						  .pid = low,
						  .stop_signal = SIGTERM,
						  .group = 1 } };
		int pidfd = (int)syscall(SYS_pidfd_open, wrong.pid, 0);

		channel_send(channel, &ward, pidfd);
		fd_close(&pidfd);
	}
	assert_true(channel_flush(channel, PATIENCE_MS));
	die();
	warden_ends();
	assert_int_equal(waitpid(bystander.pid, &status, WNOHANG), 0);
	assert_non_null(strstr(written(), "is never a ward"));
	kill(bystander.pid, SIGKILL);
	wait_for(bystander.pid);
	close(bystander.output);
}

/* Worry: the supervisor waits for its warden for ever, or a stop in good order is taken for a
 * death. */
static void test_goes_when_told(void **state)
{
	const struct message go = { .type = MESSAGE_GO }, drain = { .type = MESSAGE_DRAIN };
	const struct timeval patience = clock_timeval(PATIENCE_MS);
	struct worker w = worker_start(OBEDIENT);
	int status;

	(void)state;
	warden_serves = false;
	channel_send(channel, &go, -1);
	event_base_loopexit(base, &patience);
	event_base_loop(base, EVLOOP_ONCE);
	assert_true(warden_serves);
	give(&w, 1, 0, 0);
	channel_send(channel, &drain, -1);
	die();
	warden_ends();
	assert_int_equal(waitpid(w.pid, &status, WNOHANG), 0);
	kill(w.pid, SIGKILL);
	wait_for(w.pid);
	close(w.output);
}

/* Worry: Ctrl-C or the init system ends the warden together with the supervisor, before its hour.
 */
static void test_obeys_nobody_else(void **state)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct worker w = worker_start(OBEDIENT);

	(void)state;
	give(&w, 1, 0, 100);
	has_read_all();
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		assert_int_equal(kill(warden_pid, numbers[i]), 0);
	assert_int_equal(waitpid(w.pid, NULL, WNOHANG), 0);
	die();
	assert_int_equal(WTERMSIG(wait_for(w.pid)), SIGTERM);
	warden_ends();
	close(w.output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_normal_end, begin, end),
		cmocka_unit_test_setup_teardown(test_stop_signal, begin, end),
		cmocka_unit_test_setup_teardown(test_kill, begin, end),
		cmocka_unit_test_setup_teardown(test_group_of_a_dead_leader, begin, end),
		cmocka_unit_test_setup_teardown(test_two_generations, begin, end),
		cmocka_unit_test_setup_teardown(test_last_words, begin, end),
		cmocka_unit_test_setup_teardown(test_reads_nothing_before, begin, end),
		cmocka_unit_test_setup_teardown(test_nobody_reads, begin, end),
		cmocka_unit_test_setup_teardown(test_never_low_pids, begin, end),
		cmocka_unit_test_setup_teardown(test_goes_when_told, begin, end),
		cmocka_unit_test_setup_teardown(test_obeys_nobody_else, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
