/* Why: the figures must outlive the process that counts, and nobody who reads them may be hurt by
 * him who writes them. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "wire/counter.h"

/* Runs `job` in a child; returns how it ended. */
static int in_child(void (*job)(int fd), int fd)
{
	int status;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		job(fd);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void count_and_die(int fd)
{
	if (!counter_map(fd))
		_exit(1);
	counter_add(COUNTER_ACCEPTED, 41);
	counter_add(COUNTER_ACCEPTED, 1);
	counter_add(COUNTER_HELD, 7);
	counter_end(END_DENIED);
	raise(SIGKILL);
}

/* Worry: an acceptor that crashes resets the statistics, or leaves "7 clients held" for ever. */
static void test_successor_goes_on_counting(void **state)
{
	int fd = counter_create();
	const struct counter_page *page;

	(void)state;
	assert_true(fd >= 0);
	assert_true(WIFSIGNALED(in_child(count_and_die, fd)));
	page = counter_view(fd);
	assert_non_null(page);
	assert_int_equal(page->values[COUNTER_ACCEPTED], 42);
	assert_int_equal(page->values[COUNTER_HELD], 7);

	assert_true(WIFSIGNALED(in_child(count_and_die, fd)));
	assert_int_equal(page->values[COUNTER_ACCEPTED], 84);
	assert_int_equal(page->values[COUNTER_HELD], 7);
	assert_int_equal(page->values[COUNTER_ENDED_DENIED], 2);
	munmap((void *)(uintptr_t)page, sizeof *page);
	fd_close(&fd);
}

/* Worry: a role that was taken over shrinks the page, and its supervisor dies of SIGBUS. */
static void test_page_cannot_change_its_size(void **state)
{
	int fd = counter_create();

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_int_equal(errno, EPERM);
	fd_close(&fd);
}

/* Worry: a page of another version is read beyond its end. */
static void test_foreign_page_is_refused(void **state)
{
	int fd = fd_sealed("short", "12345678", 8);

	(void)state;
	assert_true(fd >= 0);
	assert_null(counter_view(fd));
	assert_int_equal(errno, EINVAL);
	assert_false(counter_map(fd));
	fd_close(&fd);
	assert_null(counter_view(-1));
	assert_int_equal(errno, EBADF);
}

static void sub_too_much(int fd)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	log_to(fd);
	counter_add(COUNTER_HELD, 1);
	counter_sub(COUNTER_HELD, 1);
	counter_sub(COUNTER_HELD, 1);
}

/* Worry: a gauge that falls below 0 becomes 18446744073709551615 and stops a listener for ever. */
static void test_below_zero_is_fatal(void **state)
{
	int log[2];
	char line[512] = "";
	int status;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, log), 0);
	status = in_child(sub_too_much, log[1]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_true(read(log[0], line, sizeof line - 1) > 0);
	assert_non_null(strstr(line, "held fell below 0"));
	fd_close(&log[0]);
	fd_close(&log[1]);
}

/* Worry: an end is counted under another reason's name. */
static void test_every_reason_has_its_own_figure(void **state)
{
	static const char *const words[] = {
#define WORD(name, word, level, sentence) word,
		END_REASONS(WORD)
#undef WORD
	};
	int fd = counter_create();
	const struct counter_page *page = counter_view(fd);
	char text[4096], expected[64];

	(void)state;
	assert_true(counter_map(fd));
	for (int reason = 0; reason < END_REASONS_COUNT; reason++)
		for (int i = 0; i <= reason; i++)
			counter_end((enum end_reason)reason);
	counter_print(page, text, sizeof text);
	for (int reason = 0; reason < END_REASONS_COUNT; reason++) {
		snprintf(expected, sizeof expected, " ended_%s=%d", words[reason], reason + 1);
		assert_non_null(strstr(text, expected));
	}
	fd_close(&fd);
}

/* Worry: the line of figures lacks some, or writes past a small buffer. */
static void test_print_is_whole_and_bounded(void **state)
{
	static struct counter_page page;
	char text[4096], small[20];
	size_t pairs = 0;

	(void)state;
	page.values[COUNTER_ACCEPTED] = UINT64_MAX;
	counter_print(&page, text, sizeof text);
	assert_int_equal(strncmp(text, "accepted=18446744073709551615 accept_errors=0 ", 46), 0);
	for (const char *at = text; (at = strchr(at, '=')) != NULL; at++)
		pairs++;
	assert_int_equal(pairs, COUNTER_COUNT);
	assert_null(strchr(text, '\n'));

	memset(small, 'x', sizeof small);
	counter_print(&page, small, 12);
	assert_string_equal(small, "accepted=18");
	assert_int_equal(small[12], 'x');
}

/* Worry: the figures of one of several relays are missing in the sum, or overwrite the others. */
static void test_sum_of_pages(void **state)
{
	struct counter_page sum = { .values = { 0 } }, one = sum, two = sum;

	(void)state;
	one.values[COUNTER_ACCEPTED] = 3;
	two.values[COUNTER_ACCEPTED] = 4;
	two.values[COUNTER_ENDED_SHUTDOWN] = 5;
	counter_sum(&sum, &one);
	counter_sum(&sum, &two);
	assert_int_equal(sum.values[COUNTER_ACCEPTED], 7);
	assert_int_equal(sum.values[COUNTER_ENDED_SHUTDOWN], 5);
	assert_int_equal(sum.values[COUNTER_HELD], 0);
	assert_int_equal(counter_mine()->values[COUNTER_REROUTED], counter_get(COUNTER_REROUTED));
}

/* Worry: the largest figures make the line longer than the log takes. */
static void test_the_longest_line(void **state)
{
	struct counter_page page;
	char text[8192];

	(void)state;
	memset(&page, 0xff, sizeof page);
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		page.values[i] /= 1000000; /* 584 years of 1,000 a second */
	counter_print(&page, text, sizeof text);
	assert_true(strlen(text) < 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_successor_goes_on_counting),
		cmocka_unit_test(test_page_cannot_change_its_size),
		cmocka_unit_test(test_foreign_page_is_refused),
		cmocka_unit_test(test_below_zero_is_fatal),
		cmocka_unit_test(test_every_reason_has_its_own_figure),
		cmocka_unit_test(test_print_is_whole_and_bounded),
		cmocka_unit_test(test_sum_of_pages),
		cmocka_unit_test(test_the_longest_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
