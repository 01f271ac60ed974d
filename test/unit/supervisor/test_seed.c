/* Why: who knows the seed chooses his worker; who loses it sends every client to another one.
 * SPDX-License-Identifier: ISC */
#include "scratch.h"

#include "supervisor/seed.h"

static struct error e;

/* Worry: a restart draws another seed, or the file can be read by others. */
static void test_made_once(void **state)
{
	char path[128], text[64];
	uint64_t first = 0, again = 1;
	struct stat st;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("deep/er/limpet.seed"));
	umask(0);
	assert_true(seed_load(path, &first, &e));
	umask(022);
	assert_true(seed_load(path, &again, &e));
	assert_true(first == again);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	scratch_read(path, text, sizeof text);
	assert_int_equal(strlen(text), 17);
	assert_true(strtoull(text, NULL, 16) == first);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(stat(in_scratch("deep/er"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(rmdir(in_scratch("deep/er")), 0); /* empty: no leftovers */
}

static void refuses(const char *content, mode_t mode, const char *sentence)
{
	char path[128];
	uint64_t seed;

	snprintf(path, sizeof path, "%s", in_scratch("seed"));
	scratch_write(path, content, mode);
	assert_false(seed_load(path, &seed, &e));
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, sentence));
}

/* Worry: a seed that others know, or that is none, is used as if it were. */
static void test_refusals(void **state)
{
	(void)state;
	refuses("0123456789abcdef\n", 0640, "chmod 600");
	refuses("0123456789abcdef\n", 0604, "chmod 600");
	refuses("0123456789abcdef\n", 0620, "chmod 600");
	refuses("0123456789abcde\n", 0600, "16 hex digits");
	refuses("0123456789abcdef0\n", 0600, "16 hex digits");
	refuses("0123456789abcdef\n\n", 0600, "16 hex digits");
	refuses("0x23456789abcdef\n", 0600, "16 hex digits");
	refuses("", 0600, "16 hex digits");
}

/* Worry: a file written by hand, without newline or in capitals, is refused or read wrong. */
static void test_by_hand(void **state)
{
	uint64_t seed = 0;

	(void)state;
	scratch_write(in_scratch("seed"), "0123456789ABCDEF", 0600);
	assert_true(seed_load(in_scratch("seed"), &seed, &e));
	assert_true(seed == 0x0123456789abcdef);
}

/* Worry: a link, a FIFO (which would hang the start) or a directory stands where the seed should.
 */
static void test_not_a_file(void **state)
{
	char path[128];
	uint64_t seed;

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("seed"));
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_false(seed_load(path, &seed, &e));
	assert_non_null(strstr(e.text, "symbolic link"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(seed_load(path, &seed, &e));
	assert_non_null(strstr(e.text, "not a regular file"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(seed_load(path, &seed, &e));
	assert_non_null(strstr(e.text, "not a regular file"));
}

/* Worry: a file of the user who runs the workers is believed. */
static void test_foreign_owner(void **state)
{
	uint64_t seed;

	(void)state;
	if (geteuid() != 0)
		skip();
	scratch_write(in_scratch("seed"), "0123456789abcdef\n", 0600);
	assert_int_equal(chown(in_scratch("seed"), 65534, 65534), 0);
	assert_false(seed_load(in_scratch("seed"), &seed, &e));
	assert_non_null(strstr(e.text, "belongs to uid 65534"));
}

/* Worry: several machines' or instances' first starts at once disagree. */
static void test_first_starts_at_once(void **state)
{
	const int racers = 16;
	uint64_t seeds[16];
	int gate[2], answers[2];
	char byte = 0;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(pipe(answers), 0);
	for (int i = 0; i < racers; i++) {
		if (fork() == 0) {
			uint64_t seed = 0;

			close(gate[1]);
			if (read(gate[0], &byte, 1) != 0 ||
			    !seed_load(in_scratch("seed"), &seed, &e))
				_exit(1);
			_exit(write(answers[1], &seed, sizeof seed) == sizeof seed ? 0 : 1);
		}
	}
	close(gate[0]);
	close(gate[1]); /* all at once */
	for (int i = 0; i < racers; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(read(answers[0], seeds, sizeof seeds), sizeof seeds);
	for (int i = 1; i < racers; i++)
		assert_true(seeds[i] == seeds[0]);
	close(answers[0]);
	close(answers[1]);
}

/* Worry: a place that cannot be written gives no hint where to look. */
static void test_no_place(void **state)
{
	uint64_t seed;

	(void)state;
	assert_false(seed_load("/proc/limpet/seed", &seed, &e));
	assert_non_null(strstr(e.text, "set state_directory or seed_file"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

static int end_deep(void **state)
{
	rmdir(in_scratch("deep"));
	return scratch_end(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_once, scratch_begin, end_deep),
		TEST(test_refusals),
		TEST(test_by_hand),
		TEST(test_not_a_file),
		TEST(test_foreign_owner),
		TEST(test_first_starts_at_once),
		TEST(test_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
