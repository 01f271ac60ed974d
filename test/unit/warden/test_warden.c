/* Why: the warden acts only when everything else has gone wrong, so nothing else would show that it
 * does not. Each test plays the supervisor: it starts a warden, gives it processes, and "dies" by
 * closing the channel. SPDX-License-Identifier: ISC */
#include "field.h"

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
		cmocka_unit_test_setup_teardown(test_never_low_pids, begin, end),
		cmocka_unit_test_setup_teardown(test_goes_when_told, begin, end),
		cmocka_unit_test_setup_teardown(test_obeys_nobody_else, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
