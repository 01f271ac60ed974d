/* Why: the worries are a client's socket that is lost on its way without anybody noticing,
 * descriptors that leak into workers, and closing a number that belongs to somebody else by now.
 * SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"

static size_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static bool is_cloexec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void closing_is_done_once_and_keeps_errno(void **state)
{
	int fd = dup(0), copy = fd;

	(void)state;
	errno = EPIPE;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	errno = EPIPE;
	fd_close(&fd);
	assert_int_equal(errno, EPIPE);
	fd = 7;
	assert_int_equal(fd_take(&fd), 7);
	assert_int_equal(fd, -1);
}

static void a_pair_never_blocks_and_never_leaks(void **state)
{
	int pair[2];
	char byte;

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_true(is_cloexec(pair[0]) && is_cloexec(pair[1]));
	assert_int_equal(read(pair[0], &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fd_set_cloexec(pair[0], false), 0);
	assert_false(is_cloexec(pair[0]));
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void a_descriptor_arrives_as_the_same_file(void **state)
{
	int pair[2], file, got;
	bool truncated;
	char data[8];

	(void)state;
	file = fd_sealed("test", "x", 1);
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(fd_send(pair[0], "hello", 5, file), 5);
	assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), 5);
	assert_false(truncated);
	assert_true(same_file(file, got));
	assert_true(is_cloexec(got));
	assert_int_equal(fd_send(pair[0], "again", 5, -1), 5);
	fd_close(&got);
	assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), 5);
	assert_int_equal(got, -1);
	assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), -1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&file);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

/* The message comes, the descriptor does not: without the flag the client would be lost in silence.
 */
static void a_full_descriptor_table_is_told(void **state)
{
	struct rlimit before, tight;
	int pair[2], got, next;
	bool truncated;
	char data[8];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(fd_send(pair[0], "hello", 5, 0), 5);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	next = dup(0);
	close(next);
	tight = before;
	tight.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), 5);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(truncated);
	assert_int_equal(got, -1);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void a_cut_record_is_told(void **state)
{
	int pair[2], got;
	bool truncated;
	char data[4];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(fd_send(pair[0], "too long", 8, -1), 8);
	assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), 4);
	assert_true(truncated);
	assert_int_equal(fd_send(pair[0], "too long", 8, -1), 8);
	assert_int_equal(fd_receive_data(pair[1], data, sizeof data), -1);
	assert_int_equal(errno, EMSGSIZE);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

/* A peer that does not keep to our rules: `count` descriptors in one message. */
static void send_many(int socket, size_t count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
	assert_int_equal(sendmsg(socket, &message, 0),
			 1); /* zeros: our descriptor 0, count times */
}

static void surplus_descriptors_are_closed(void **state)
{
	static const size_t counts[] = { 1, 2, 3, 100, 253 };
	size_t before;
	int pair[2], got;
	bool truncated;
	char data[8];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	before = open_descriptors();
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		send_many(pair[0], counts[i]);
		assert_int_equal(fd_receive(pair[1], data, sizeof data, &got, &truncated), 1);
		assert_true(got >= 0);
		assert_false(truncated);
		fd_close(&got);
		assert_int_equal(open_descriptors(), before);
	}
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void unwanted_descriptors_never_enter(void **state)
{
	size_t before;
	int pair[2];
	char data[8];

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	before = open_descriptors();
	send_many(pair[0], 253);
	assert_int_equal(fd_receive_data(pair[1], data, sizeof data), 1);
	assert_int_equal(open_descriptors(), before);
	fd_close(&pair[0]);
	assert_int_equal(fd_receive_data(pair[1], data, sizeof data), 0);
	fd_close(&pair[1]);
}

static void a_full_or_closed_socket_is_an_errno_and_no_signal(void **state)
{
	int pair[2];
	ssize_t sent;

	(void)state;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	do
		sent = fd_send(pair[0], "x", 1, -1);
	while (sent == 1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	fd_close(&pair[1]);
	assert_int_equal(fd_send(pair[0], "x", 1, -1), -1);
	assert_int_equal(errno, EPIPE);
	fd_close(&pair[0]);
}

static void a_sealed_file_keeps_its_bytes(void **state)
{
	int fd = fd_sealed("test", "bytes", 5);
	size_t length;
	char *text;

	(void)state;
	assert_true(fd >= 0 && is_cloexec(fd));
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	text = fd_read_all(fd, 5, &length);
	assert_string_equal(text, "bytes");
	assert_int_equal(length, 5);
	free(text);
	assert_null(fd_read_all(fd, 4, &length));
	assert_int_equal(errno, EFBIG);
	fd_close(&fd);
}

static void only_regular_files_are_read_whole(void **state)
{
	int directory = open("/", O_RDONLY | O_CLOEXEC),
	    null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int process = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	size_t length;
	char *text;

	(void)state;
	assert_null(fd_read_all(directory, 10, &length));
	assert_int_equal(errno, EISDIR);
	assert_null(fd_read_all(null, 10, &length));
	assert_int_equal(errno, EINVAL);
	text = fd_read_all(process, 1 << 16, &length); /* says that its size is 0 */
	assert_non_null(strstr(text, "Pid:"));
	free(text);
	fd_close(&directory);
	fd_close(&null);
	fd_close(&process);
}

/* In a child: three files at `numbers` are arranged and must be found at 3, 4, 5, and nothing else
 * above that survives an exec. Returns 0 when all is right, else the step that failed. */
static int arrange_child(const int numbers[3])
{
	int files[3], stray = fcntl(0, F_DUPFD, 40);

	for (int i = 0; i < 3; i++) {
		int file = fd_sealed("test", "x", 1);

		files[i] = fcntl(file, F_DUPFD, 60);
		close(file);
	}
	for (int i = 0; i < 3; i++)
		if (dup2(files[i], numbers[i]) < 0)
			return 1;
	if (fd_arrange(numbers, 3) < 0)
		return 2;
	for (int i = 0; i < 3; i++) {
		/* two sources may be one file */
		int last = numbers[i] == numbers[2] ? 2 : numbers[i] == numbers[1] ? 1 : i;

		if (!same_file(3 + i, files[last]) || is_cloexec(3 + i))
			return 10 + i;
	}
	for (int fd = 6; fd < 100; fd++)
		if (fcntl(fd, F_GETFD) >= 0 && !is_cloexec(fd))
			return 20;
	return is_cloexec(stray) ? 0 : 30;
}

static void descriptors_take_their_places_in_any_order(void **state)
{
	static const int orders[][3] = { { 3, 4, 5 },    { 5, 4, 3 },  { 4, 5, 3 }, { 5, 3, 4 },
					 { 10, 11, 12 }, { 4, 20, 3 }, { 7, 3, 9 }, { 6, 5, 4 },
					 { 5, 6, 7 },    { 3, 3, 3 },  { 5, 5, 9 }, { 1, 2, 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(arrange_child(orders[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) != 0)
			fail_msg("order %zu failed at step %d", i, WEXITSTATUS(status));
	}
}

static void arranging_too_many_or_closed_ones_is_an_error(void **state)
{
	int many[FD_ARRANGE_MOST + 1] = { 0 }, closed[] = { 900 };

	(void)state;
	assert_int_equal(fd_arrange(many, FD_ARRANGE_MOST + 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fd_arrange(closed, 1), -1);
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_is_done_once_and_keeps_errno),
		cmocka_unit_test(a_pair_never_blocks_and_never_leaks),
		cmocka_unit_test(a_descriptor_arrives_as_the_same_file),
		cmocka_unit_test(a_full_descriptor_table_is_told),
		cmocka_unit_test(a_cut_record_is_told),
		cmocka_unit_test(surplus_descriptors_are_closed),
		cmocka_unit_test(unwanted_descriptors_never_enter),
		cmocka_unit_test(a_full_or_closed_socket_is_an_errno_and_no_signal),
		cmocka_unit_test(a_sealed_file_keeps_its_bytes),
		cmocka_unit_test(only_regular_files_are_read_whole),
		cmocka_unit_test(descriptors_take_their_places_in_any_order),
		cmocka_unit_test(arranging_too_many_or_closed_ones_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
