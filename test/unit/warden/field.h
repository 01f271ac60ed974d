/* Why: a warden with a test in the place of the supervisor: it starts the warden, gives it
 * processes, and "dies" by closing the channel. SPDX-License-Identifier: ISC */
#ifndef TEST_WARDEN_FIELD_H
#define TEST_WARDEN_FIELD_H

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

#endif
