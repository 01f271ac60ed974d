/* Why: slot, process, pipes and timer are tested alone elsewhere; here they live together for once,
 * with real programs: a start, a death, a successor, and nothing left behind.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/child.h"

#define PATIENCE_MS 10000

static struct {
	struct event_base *base;
	struct child child;
	const char *script;
	bool unprepared;
	unsigned prepared, started, ran, ended, changed, signals;
	enum slot_state at_end; /* of the slot, when it was told to have ended */
	char lines[4096];
	size_t length;
} test;

static bool prepare(struct child *child, struct process_spec *spec, struct error *e)
{
	static char shell[] = "/bin/sh", option[] = "-c", path[] = "PATH=/usr/bin:/bin", text[256];
	static char *argv[] = { shell, option, text, NULL }, *envp[] = { path, NULL };

	assert_ptr_equal(child, &test.child);
	test.prepared++;
	if (test.unprepared)
		return error_set(e, "there is no room");
	snprintf(text, sizeof text, "%s", test.script);
	spec->argv = argv;
	spec->envp = envp;
	return true;
}

static void started(struct child *child, struct process_spec *spec, bool running)
{
	(void)spec;
	assert_int_equal(running, child->process.pid > 1);
	test.started++;
	test.ran += running;
}

static void route(struct child *child, enum slot_route where, bool drain)
{
	(void)child, (void)where, (void)drain;
}

static void send_signal(struct child *child, int signal, bool group)
{
	test.signals++;
	process_signal(&child->process, signal, group);
}

static void ended(struct child *child)
{
	assert_int_equal(child->process.pid, 0);
	test.ended++;
	test.at_end = child->slot.state;
}

static void changed(struct child *child)
{
	(void)child;
	test.changed++;
}

static const struct child_kind kind = { .prepare = prepare,
					.started = started,
					.route = route,
					.signal = send_signal,
					.ended = ended,
					.changed = changed };

static void keep_line(const char *line, size_t length, void *arg)
{
	(void)arg;
	if (test.length + length < sizeof test.lines) {
		memcpy(test.lines + test.length, line, length);
		test.length += length;
	}
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void begin(const char *script)
{
	static const struct slot_policy policy = {
		.start_timeout = 60000,
		.stop_timeout = 60000,
		.min_uptime = 60000,
		.restart_delay = 60000,
		.restart_delay_max = 60000,
		.stop_signal = SIGTERM,
		.kill_group = true,
	};
	struct error e;

	memset(&test, 0, sizeof test);
	test.script = script;
	test.base = event_base_new();
	assert_true(logs_open(test.base, "", &e));
	log_to_writer(keep_line, NULL);
	child_begin(&test.child, &kind, test.base, &policy, "web/3", NULL);
}

static void end(void)
{
	child_free(&test.child);
	log_to_writer(NULL, NULL);
	logs_close();
	event_base_free(test.base);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		const int64_t deadline_ = clock_now_ms() + PATIENCE_MS;                            \
		while (!(condition)) {                                                             \
			const struct timeval pause_ = { .tv_usec = 1000 };                         \
			event_base_loopexit(test.base, &pause_);                                   \
			event_base_dispatch(test.base);                                            \
			if (clock_now_ms() > deadline_)                                            \
				fail_msg("in vain: %s", #condition);                               \
		}                                                                                  \
	} while (0)

/* Worry: a death is not noticed, is noticed twice, or has no successor. */
static void test_a_death_and_its_successor(void **state)
{
	unsigned before;

	(void)state;
	begin("exit 3");
	before = open_descriptors();
	child_handle(&test.child, SLOT_START);
	assert_int_equal(test.child.slot.state, SLOT_STARTING);
	assert_string_equal(test.child.program, "/bin/sh");
	UNTIL(test.ended == 2); /* the second start is immediate, the third is far away */
	assert_int_equal(test.at_end, SLOT_STARTING); /* told before the slot moved */
	UNTIL(test.child.slot.state == SLOT_WAITING);
	assert_int_equal(test.prepared, 2);
	assert_int_equal(test.ran, 2);
	assert_int_equal(test.child.slot.generation, 2);
	assert_int_equal(strncmp(test.child.slot.last_end, "exited with code 3 after ", 25), 0);
	assert_int_equal(open_descriptors(), before);
	child_handle(&test.child, SLOT_STOP);
	assert_int_equal(test.child.slot.state, SLOT_EMPTY);
	end();
}

/* Worry: a stop does not reach the process, or the slot believes it before it is true. */
static void test_stop(void **state)
{
	(void)state;
	begin("exec sleep 1000");
	child_handle(&test.child, SLOT_START);
	child_handle(&test.child, SLOT_IS_READY);
	child_handle(&test.child, SLOT_STOP);
	assert_int_equal(test.signals, 1);
	assert_int_equal(test.child.slot.state, SLOT_STOPPING);
	UNTIL(test.ended == 1);
	assert_int_equal(test.child.slot.state, SLOT_EMPTY);
	assert_int_equal(test.child.process.pid, 0);
	assert_int_equal(test.changed, 4); /* STARTING, READY, STOPPING, EMPTY */
	end();
}

/* Worry: what could not be prepared leaks its pipes, or is not told. */
static void test_not_prepared(void **state)
{
	unsigned before;

	(void)state;
	begin("exit 0");
	before = open_descriptors();
	test.unprepared = true;
	child_handle(&test.child, SLOT_START);
	assert_int_equal(test.child.slot.state, SLOT_WAITING);
	assert_int_equal(test.started, 1); /* what prepare made is given back */
	assert_int_equal(test.ran, 0);
	assert_int_equal(open_descriptors(), before);
	assert_non_null(strstr(test.child.slot.last_end, "there is no room"));
	UNTIL(test.prepared == 2); /* tried again by the timer */
	child_handle(&test.child, SLOT_STOP);
	end();
}

/* Worry: the last words of a process are lost with it. */
static void test_last_words(void **state)
{
	struct error e;
	char path[] = "/tmp/limpet-test-XXXXXX", text[4096] = "";
	int fd = mkstemp(path);

	(void)state;
	begin("echo to stdout; echo to stderr >&2; kill -9 $$");
	logs_close();
	assert_true(logs_open(test.base, path, &e));
	child_handle(&test.child, SLOT_START);
	UNTIL(test.ended == 2 && test.child.slot.state == SLOT_WAITING);
	end();
	assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "to stdout"));
	assert_non_null(strstr(text, "to stderr"));
	assert_non_null(strstr(text, "web/3"));
	unlink(path);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_death_and_its_successor),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_not_prepared),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
