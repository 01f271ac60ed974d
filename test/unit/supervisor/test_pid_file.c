/* Why: two instances on one pid file, or a pid file that somebody else can write, end with a signal
 * to a stranger (FAULTS 56, 97). SPDX-License-Identifier: ISC */
#include "scratch.h"

#include "supervisor/pid_file.h"

static struct error e;

/* Worry: the file names another process, others may write it, or it outlives us. */
static void test_one_life(void **state)
{
	char path[128], text[32], wanted[32];
	struct stat st;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("pid"));
	umask(0);
	assert_true(pid_file_take(path, &e));
	umask(022);
	snprintf(wanted, sizeof wanted, "%d\n", (int)getpid());
	scratch_read(path, text, sizeof text);
	assert_string_equal(text, wanted);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	pid_file_drop();
	assert_int_equal(access(path, F_OK), -1);
	pid_file_drop();
}

/* Worry: a second instance starts, or removes the file of the first. */
static void test_second_instance(void **state)
{
	char path[128], wanted[64];
	int status;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("pid"));
	snprintf(wanted, sizeof wanted, "already runs as pid %d", (int)getpid());
	assert_true(pid_file_take(path, &e));
	pid = fork();
	if (pid == 0)
		_exit(!pid_file_take(path, &e) && strstr(e.text, wanted) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(access(path, F_OK), 0);
	pid_file_drop();
}

/* Worry: after kill -9 the file that stays prevents the next start. */
static void test_stale(void **state)
{
	(void)state;
	scratch_write(in_scratch("pid"), "1\n", 0644);
	assert_true(pid_file_take(in_scratch("pid"), &e));
	pid_file_drop();
}

/* Worry: somebody else's new file is removed by us. */
static void test_replaced(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("pid"));
	assert_true(pid_file_take(path, &e));
	assert_int_equal(unlink(path), 0);
	scratch_write(path, "77\n", 0644);
	pid_file_drop();
	assert_int_equal(access(path, F_OK), 0);
}

/* Worry: a slip in the configuration overwrites a file that matters, or a link leads us to one. */
static void test_refusals(void **state)
{
	char path[128], text[64];

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("precious"));
	scratch_write(path, "root:x:0:0\n", 0644);
	assert_false(pid_file_take(path, &e));
	assert_non_null(strstr(e.text, "something else than a process id"));
	scratch_read(path, text, sizeof text);
	assert_string_equal(text, "root:x:0:0\n");
	assert_int_equal(symlink(path, in_scratch("link")), 0);
	assert_false(pid_file_take(in_scratch("link"), &e));
	assert_non_null(strstr(e.text, "symbolic link"));
	assert_false(pid_file_take(in_scratch("missing/pid"), &e));
	assert_non_null(strstr(e.text, "No such file"));
	if (geteuid() != 0)
		return;
	scratch_write(in_scratch("theirs"), "", 0644);
	assert_int_equal(chown(in_scratch("theirs"), 65534, 65534), 0);
	assert_false(pid_file_take(in_scratch("theirs"), &e));
	assert_non_null(strstr(e.text, "belongs to uid 65534"));
}

/* Worry: no pid_file means a file called "". */
static void test_none(void **state)
{
	(void)state;
	assert_true(pid_file_take("", &e));
	pid_file_drop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_life), TEST(test_second_instance), TEST(test_stale),
		TEST(test_replaced), TEST(test_refusals),        TEST(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
