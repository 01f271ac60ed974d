/* Why: what workers print after the death of the supervisor is the only witness of it; the warden
 * must save it without ever waiting for a reader. SPDX-License-Identifier: ISC */
#include "field.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_words, begin, end),
		cmocka_unit_test_setup_teardown(test_reads_nothing_before, begin, end),
		cmocka_unit_test_setup_teardown(test_nobody_reads, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
