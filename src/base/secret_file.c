/* Why: secret_file.h. SPDX-License-Identifier: ISC */
#include "base/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define READABLE_BY_OTHERS 077u
#define WRITABLE_BY_ALL    002u
#define OPEN_TO_ALL        007u

static bool check(int fd, const char *path, enum secret secret, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(e, "%s cannot be examined: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, "%s is not a regular file", path);
	if (secret == SECRET_SHARED && (st.st_mode & OPEN_TO_ALL))
		return error_set(
			e, "%s holds a secret and is open to everybody (mode %04o): chmod o= %s",
			path, st.st_mode & 07777u, path);
	if (secret <= SECRET_OURS && st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(e, "%s belongs to uid %u: it must be ours (uid %u) or root's",
				 path, st.st_uid, geteuid());
	if (secret == SECRET_OURS && (st.st_mode & READABLE_BY_OTHERS))
		return error_set(
			e, "%s holds a secret and is open to others (mode %04o): chmod 600 %s",
			path, st.st_mode & 07777u, path);
	if (st.st_mode & WRITABLE_BY_ALL)
		return error_set(e, "%s can be written by everybody (mode %04o): chmod o-w %s",
				 path, st.st_mode & 07777u, path);
	return true;
}

bool secret_file_open(const char *path, enum secret secret, int *fd_r, struct error *e)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	*fd_r = -1;
	if (fd < 0)
		return error_set(e, "%s cannot be opened: %s", path, strerror(errno));
	if (!check(fd, path, secret, e)) {
		fd_close(&fd);
		return false;
	}
	*fd_r = fd;
	return true;
}
