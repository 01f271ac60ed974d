/* Why: a number in a file proves nothing (it may be a dead process's, or a stranger's by now); a
 * lock that the kernel drops with its holder does. SPDX-License-Identifier: ISC */
#include "supervisor/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define PID_FILE_TRIES 10

static int held = -1; /* the lock lives as long as this descriptor */
static char *held_path;

/* Whatever is in the file must be a number or nothing: pid_file = /etc/passwd is a slip of the pen.
 */
static bool read_number(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);

	if (n < 0)
		return false;
	out[n] = '\0';
	if (n > 0 && out[n - 1] == '\n')
		out[n - 1] = '\0';
	return strspn(out, "0123456789") == strlen(out);
}

static bool check(int fd, const char *path, struct error *e)
{
	struct stat st;
	char number[32];

	if (fstat(fd, &st) < 0)
		return error_set(e, "pid_file %s cannot be examined: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return error_set(e, "pid_file %s is not a regular file with one name", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(e,
				 "pid_file %s belongs to uid %u, who could write any number into "
				 "it: remove it",
				 path, st.st_uid);
	if (!read_number(fd, number, sizeof number))
		return error_set(
			e, "pid_file %s holds something else than a process id: take another path",
			path);
	return true;
}

/* A predecessor removes the file when it ends; the lock on a removed file is worth nothing. */
static bool is_at(int fd, const char *path)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

static bool lock(int fd, const char *path, struct error *e)
{
	char number[32];

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK)
		return error_set(e, "pid_file %s cannot be locked: %s", path, strerror(errno));
	if (!read_number(fd, number, sizeof number) || !number[0])
		return error_set(
			e, "pid_file %s is locked by another instance that is just starting", path);
	return error_set(e, "pid_file %s is locked: limpet already runs as pid %s", path, number);
}

static int open_locked(const char *path, struct error *e)
{
	for (int i = 0; i < PID_FILE_TRIES; i++) {
		int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

		if (fd < 0) {
			error_set(e, "pid_file %s cannot be opened: %s", path,
				  errno == ELOOP ? "it is a symbolic link" : strerror(errno));
			return -1;
		}
		if (!check(fd, path, e) || !lock(fd, path, e)) {
			fd_close(&fd);
			return -1;
		}
		if (is_at(fd, path))
			return fd;
		fd_close(&fd);
	}
	error_set(e, "pid_file %s is made and removed by others all the time", path);
	return -1;
}

static bool write_pid(int fd)
{
	char number[32];
	int length = snprintf(number, sizeof number, "%d\n", (int)getpid());

	return ftruncate(fd, 0) == 0 && fchmod(fd, 0644) == 0 &&
	       pwrite(fd, number, (size_t)length, 0) == length;
}

bool pid_file_take(const char *path, struct error *e)
{
	int fd;

	if (!path[0])
		return true;
	fd = open_locked(path, e);
	if (fd < 0)
		return false;
	if (!write_pid(fd)) {
		error_set(e, "pid_file %s cannot be written: %s", path, strerror(errno));
		fd_close(&fd);
		return false;
	}
	held = fd;
	held_path = strdup(path);
	if (!held_path)
		fatal("out of memory");
	return true;
}

void pid_file_drop(void)
{
	if (held < 0)
		return;
	if (is_at(held, held_path))
		unlink(held_path);
	fd_close(&held);
	free(held_path);
	held_path = NULL;
}
