/* Why: a secret that is made once and then only read; every doubt about who else knows it is a
 * refusal. SPDX-License-Identifier: ISC */
#include "supervisor/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define SEED_DIGITS 16
#define HEX         "0123456789abcdefABCDEF"

static bool read_digits(int fd, const char *path, uint64_t *seed_r, struct error *e)
{
	char text[SEED_DIGITS + 3] = "";
	ssize_t n = read(fd, text, sizeof text - 1);

	if (n < 0)
		return error_set(e, "seed_file %s cannot be read: %s", path, strerror(errno));
	if (n == SEED_DIGITS + 1 && text[SEED_DIGITS] == '\n')
		text[--n] = '\0';
	if (n != SEED_DIGITS || strspn(text, HEX) != SEED_DIGITS)
		return error_set(e,
				 "seed_file %s must hold 16 hex digits and nothing else: remove "
				 "it, and a new "
				 "one is made",
				 path);
	*seed_r = strtoull(text, NULL, 16);
	return true;
}

static bool check(int fd, const char *path, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(e, "seed_file %s cannot be examined: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, "seed_file %s is not a regular file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(
			e, "seed_file %s belongs to uid %u: it must be ours (uid %u) or root's",
			path, st.st_uid, geteuid());
	if (st.st_mode & 077)
		return error_set(
			e,
			"seed_file %s can be read or written by others (mode %04o): chmod 600 %s",
			path, st.st_mode & 07777u, path);
	return true;
}

/* O_NONBLOCK: a FIFO in its place must be refused and not waited for. */
static int open_seed(const char *path)
{
	return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static bool load(const char *path, uint64_t *seed_r, struct error *e)
{
	int fd = open_seed(path);
	bool loaded;

	if (fd < 0 && errno == ELOOP)
		return error_set(e, "seed_file %s is a symbolic link: name the file itself", path);
	if (fd < 0)
		return error_set(e, "seed_file %s cannot be opened: %s", path, strerror(errno));
	loaded = check(fd, path, e) && read_digits(fd, path, seed_r, e);
	fd_close(&fd);
	return loaded;
}

/* Every directory on the way that is missing, 0700. */
static bool make_directories(const char *path, struct error *e)
{
	char part[PATH_MAX];

	if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
		return error_set(e, "seed_file: the path is too long");
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return error_set(
				e,
				"directory %s cannot be made for the seed_file: %s; set "
				"state_directory or seed_file to a place that can be written",
				part, strerror(errno));
		*slash = '/';
	}
	return true;
}

static bool write_fresh(int fd)
{
	char text[SEED_DIGITS + 2];
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		return false;
	snprintf(text, sizeof text, "%016" PRIx64 "\n", seed);
	return write(fd, text, SEED_DIGITS + 1) == SEED_DIGITS + 1 && fsync(fd) == 0;
}

/* The file appears under its name whole or not at all; where another process was first, his counts.
 */
static bool create(const char *path, struct error *e)
{
	char fresh[PATH_MAX];
	bool made = false;
	int fd, error;

	if (!make_directories(path, e))
		return false;
	if ((size_t)snprintf(fresh, sizeof fresh, "%s.XXXXXX", path) >= sizeof fresh)
		return error_set(e, "seed_file: the path is too long");
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd >= 0) {
		made = write_fresh(fd) && (link(fresh, path) == 0 || errno == EEXIST);
		error = errno;
		unlink(fresh);
		fd_close(&fd);
		errno = error;
	}
	if (!made)
		return error_set(e,
				 "seed_file %s cannot be made: %s; set state_directory or "
				 "seed_file to a place "
				 "that can be written",
				 path, strerror(errno));
	return true;
}

bool seed_load(const char *path, uint64_t *seed_r, struct error *e)
{
	struct stat st;

	if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR) && !create(path, e))
		return false;
	return load(path, seed_r, e);
}
