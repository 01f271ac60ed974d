/* Why: a key that others can read is no secret, and a FIFO in the place of a certificate must not
 * stop the start. SPDX-License-Identifier: ISC */
#include "../supervisor/scratch.h"

#include "base/fd.h"
#include "base/secret_file.h"

static struct error e;

static void opens(const char *path, enum secret secret, const char *sentence)
{
	int fd = 77;
	bool opened = secret_file_open(path, secret, &fd, &e);

	if (!sentence) {
		assert_true(opened);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		fd_close(&fd);
		return;
	}
	assert_false(opened);
	assert_int_equal(fd, -1);
	assert_ptr_equal(strstr(e.text, path), e.text);
	if (!strstr(e.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, e.text);
}

/* Worry: a key that others can read is taken; or a certificate, which everybody may read, is not.
 */
static void test_modes(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("file"));
	scratch_write(path, "x", 0600);
	opens(path, SECRET_OURS, NULL);
	opens(path, SECRET_NONE, NULL);
	chmod(path, 0400);
	opens(path, SECRET_OURS, NULL);
	chmod(path, 0644);
	opens(path, SECRET_NONE, NULL);
	opens(path, SECRET_OURS, "(mode 0644): chmod 600 ");
	chmod(path, 0640);
	opens(path, SECRET_OURS, "(mode 0640)");
	chmod(path, 0604);
	opens(path, SECRET_OURS, "(mode 0604)");
	chmod(path, 0620);
	opens(path, SECRET_OURS, "(mode 0620)");
	opens(path, SECRET_NONE, NULL);
	chmod(path, 0666);
	opens(path, SECRET_NONE, "can be written by everybody (mode 0666)");
}

/* Worry: certbot's links are refused, or what they point at is not looked at. */
static void test_links(void **state)
{
	char path[256], link[256];

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("key1.pem"));
	snprintf(link, sizeof link, "%s", in_scratch("key.pem"));
	scratch_write(path, "x", 0600);
	assert_int_equal(symlink("key1.pem", link), 0);
	opens(link, SECRET_OURS, NULL);
	chmod(path, 0644);
	opens(link, SECRET_OURS, "(mode 0644)");
	unlink(path);
	opens(link, SECRET_OURS, "cannot be opened: No such file");
}

/* Worry: something that is no file is waited for, or read without end. */
static void test_kinds(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof path, "%s", in_scratch("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	opens(path, SECRET_OURS, "is not a regular file");
	opens(scratch, SECRET_NONE, "is not a regular file");
	opens("/dev/zero", SECRET_NONE, "is not a regular file");
	opens("/nonexistent/x", SECRET_NONE, "cannot be opened: No such file");
}

/* Worry: a file that somebody else may replace the contents of is believed. */
static void test_owner(void **state)
{
	char path[256];

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof path, "%s", in_scratch("foreign"));
	scratch_write(path, "x", 0600);
	assert_int_equal(chown(path, 12345, 12345), 0);
	opens(path, SECRET_OURS, "belongs to uid 12345");
	opens(path, SECRET_NONE, "belongs to uid 12345");
}

/* Worry: a worker's own key is refused because it is not Limpet's, or is taken though all can read
 * it. */
static void test_shared(void **state)
{
	char path[256];

	(void)state;
	if (geteuid() != 0)
		skip();
	snprintf(path, sizeof path, "%s", in_scratch("workers"));
	scratch_write(path, "x", 0640);
	assert_int_equal(chown(path, 12345, 12345), 0);
	opens(path, SECRET_SHARED, NULL);
	opens(path, SECRET_NONE_SHARED, NULL);
	chmod(path, 0644);
	opens(path, SECRET_SHARED, "(mode 0644): chmod o= ");
	opens(path, SECRET_NONE_SHARED, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_modes, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_links, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_kinds, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_owner, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_shared, scratch_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
