/* Why: names in the file system are made and removed with the rights of the one they are for, so
 * that the kernel, and not our care, decides what he may replace. SPDX-License-Identifier: ISC */
#include "supervisor/unix_path.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define BORROW_GROUPS_MAX 256

/* What we were before we took somebody's ids for file access. */
struct borrowed {
	bool change;
	uid_t uid;
	gid_t gid;
	gid_t groups[BORROW_GROUPS_MAX];
	int group_count;
};

/* Takes the file system ids and groups of `as`. The capabilities that pass over file permissions go
 * with fsuid 0. */
static bool borrow(struct borrowed *before, const struct process_identity *as)
{
	gid_t groups[BORROW_GROUPS_MAX];
	int count = BORROW_GROUPS_MAX;

	before->change = false;
	if (!as || !as->change)
		return true;
	if (getgrouplist(as->name, as->gid, groups, &count) < 0) {
		groups[0] = as->gid;
		count = 1;
	}
	before->group_count = getgroups(BORROW_GROUPS_MAX, before->groups);
	if (before->group_count < 0 || setgroups((size_t)count, groups) < 0)
		return false;
	before->change = true;
	before->gid = (gid_t)setfsgid(as->gid);
	before->uid = (uid_t)setfsuid(as->uid);
	errno = EPERM; /* the calls tell nothing; asking with an id that is none tells what we have
			*/
	return (uid_t)setfsuid((uid_t)-1) == as->uid && (gid_t)setfsgid((gid_t)-1) == as->gid;
}

static void give_back(const struct borrowed *before)
{
	const int kept = errno;

	if (!before->change)
		return;
	setfsuid(before->uid);
	setfsgid(before->gid);
	if ((uid_t)setfsuid((uid_t)-1) != before->uid ||
	    setgroups((size_t)before->group_count, before->groups) < 0)
		fatal("file system ids could not be taken back: %s", strerror(errno));
	errno = kept;
}

static int bind_to(int socket, const struct sockaddr_un *address)
{
	return bind(socket, (const struct sockaddr *)address, sizeof *address);
}

/* Does anybody listen on the socket at this path? Whatever is not a clear no counts as yes. */
static bool is_stale(int type, const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale = false;

	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
		stale = errno == ECONNREFUSED;
	fd_close(&fd);
	return stale;
}

/* Binds to a name beside the path and moves it there. Where such a name would be too long, the dead
 * one is removed first: nobody can be connected to it. */
static int replace(int socket, const struct sockaddr_un *address)
{
	struct sockaddr_un beside = { .sun_family = AF_UNIX };
	const char *path = address->sun_path;
	const size_t room = sizeof beside.sun_path;

	if ((size_t)snprintf(beside.sun_path, room, "%s.%d", path, (int)getpid()) >= room)
		return unlink(path) < 0 ? -1 : bind_to(socket, address);
	if (bind_to(socket, &beside) < 0)
		return -1;
	if (rename(beside.sun_path, path) == 0)
		return 0;
	unlink(beside.sun_path);
	return -1;
}

/* The path exists: says why it cannot be had, or takes it. */
static bool take_over(int socket, int type, const struct sockaddr_un *address, bool replace_stale,
		      int *errno_r, struct error *e)
{
	const char *path = address->sun_path;
	struct stat st;

	*errno_r = EADDRINUSE;
	if (lstat(path, &st) < 0)
		return error_set(e, "unix:%s cannot be examined: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(
			e, "unix:%s exists and is not a socket: remove it or take another path",
			path);
	if (!is_stale(type, address))
		return error_set(e, "unix:%s is in use", path); /* the caller knows who uses it */
	if (!replace_stale)
		return error_set(
			e, "unix:%s was left behind by a process that has ended: remove it", path);
	if (replace(socket, address) == 0)
		return true;
	*errno_r = errno;
	return error_set(e, "unix:%s was left behind and cannot be replaced: %s", path,
			 strerror(errno));
}

static bool bind_sentence(const char *path, int error, struct error *e)
{
	if (error == ENOENT || error == ENOTDIR)
		return error_set(e, "unix:%s: its directory does not exist: create it first", path);
	if (error == EACCES || error == EPERM)
		return error_set(e,
				 "unix:%s: no permission to create it: make its directory writable "
				 "for uid %d",
				 path, (int)setfsuid((uid_t)-1));
	return error_set(e, "unix:%s cannot be created: %s", path, strerror(error));
}

static bool bind_as(int socket, int type, const struct sockaddr_un *address, bool replace_stale,
		    struct stat *made_r, int *errno_r, struct error *e)
{
	if (bind_to(socket, address) < 0) {
		*errno_r = errno;
		if (errno != EADDRINUSE)
			return bind_sentence(address->sun_path, errno, e);
		if (!take_over(socket, type, address, replace_stale, errno_r, e))
			return false;
	}
	if (lstat(address->sun_path, made_r) == 0)
		return true;
	*errno_r = errno;
	return error_set(e, "unix:%s was removed while it was made: %s", address->sun_path,
			 strerror(errno));
}

bool unix_path_bind(int socket, int type, const struct sockaddr_un *address, unsigned mode,
		    bool replace_stale, const struct process_identity *as, struct stat *made_r,
		    int *errno_r, struct error *e)
{
	struct borrowed before;
	mode_t mask;
	bool done = false;

	/* bind(2) gives the path the mode of the socket, cut by umask: set it first, and no moment
	 * is open to all. */
	if (fchmod(socket, mode ? mode : 0666) < 0) {
		*errno_r = errno;
		return error_set(e, "unix:%s: mode cannot be set: %s", address->sun_path,
				 strerror(errno));
	}
	mask = umask(0);
	if (!mode)
		umask(mask);
	if (borrow(&before, as)) {
		done = bind_as(socket, type, address, replace_stale, made_r, errno_r, e);
	} else {
		*errno_r = errno;
		error_set(e, "unix:%s: ids of %s cannot be taken: %s", address->sun_path, as->name,
			  strerror(errno));
	}
	give_back(&before);
	umask(mask);
	return done;
}

bool unix_path_sweep(const struct sockaddr_un *address, const struct process_identity *as)
{
	struct borrowed before;
	struct stat st;
	bool removed = false;

	if (borrow(&before, as))
		removed = lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
			  is_stale(SOCK_STREAM, address) && unlink(address->sun_path) == 0;
	give_back(&before);
	return removed;
}

void unix_path_remove(const struct sockaddr_un *address, ino_t inode, dev_t device,
		      const struct process_identity *as)
{
	struct borrowed before;
	struct stat st;

	if (borrow(&before, as) && lstat(address->sun_path, &st) == 0 && st.st_ino == inode &&
	    st.st_dev == device)
		unlink(address->sun_path);
	give_back(&before);
}
