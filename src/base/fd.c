/* Why: fd.h; the only SCM_RIGHTS code of the program, and the only place that numbers descriptors.
 * Source: unix(7), cmsg(3), dup(2), close_range(2), memfd_create(2). SPDX-License-Identifier: ISC
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define KERNEL_MOST_FDS                                                                            \
	253 /* SCM_MAX_FD: room for all, so that MSG_CTRUNC means one thing only                   \
	     */
#define FIRST_TARGET 3

void fd_close(int *fd)
{
	int error = errno;

	if (*fd < 0)
		return;
	close(*fd); /* Linux frees the number even when it says EINTR */
	*fd = -1;
	errno = error;
}

int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int fd_set_cloexec(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0)
		return -1;
	return fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

int fd_pair(int type, int pair[2])
{
	return socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
}

ssize_t fd_send(int socket, const void *data, size_t length, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent;
}

/* Takes the first descriptor of all control messages and closes the others. */
static int first_descriptor(struct msghdr *message)
{
	int first = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (first < 0)
				first = fd;
			else
				fd_close(&fd);
		}
	}
	return first;
}

ssize_t fd_receive(int socket, void *data, size_t size, int *fd_r, bool *truncated_r)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(KERNEL_MOST_FDS * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t got;

	*fd_r = -1;
	*truncated_r = false;
	do {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return got;
	*fd_r = first_descriptor(&message);
	*truncated_r = (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0;
	return got;
}

/* Without room for control messages the kernel closes what was sent along. */
ssize_t fd_receive_data(int socket, void *data, size_t size)
{
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t got;

	do
		got = recvmsg(socket, &message, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got >= 0 && (message.msg_flags & MSG_TRUNC)) {
		errno = EMSGSIZE;
		return -1;
	}
	return got;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		data += written;
		length -= (size_t)written;
	}
	return 0;
}

int fd_sealed(const char *name, const void *data, size_t length)
{
	int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write_all(fd, data, length) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, seals) < 0)
		fd_close(&fd);
	return fd;
}

/* Reads to the end, not to the size that fstat told: the file may have grown meanwhile. */
static ssize_t read_whole(int fd, char *data, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = pread(fd, data + length, size - length, (off_t)length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

char *fd_read_all(int fd, size_t limit, size_t *length_r)
{
	struct stat status;
	ssize_t length;
	char *data;

	if (fstat(fd, &status) < 0)
		return NULL;
	if (!S_ISREG(status.st_mode)) {
		errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
		return NULL;
	}
	data = malloc(limit + 2); /* untouched pages cost nothing */
	if (!data)
		fatal("no memory for a file of %zu bytes", limit);
	length = read_whole(fd, data, limit + 1);
	if (length < 0 || (size_t)length > limit) {
		int error = length < 0 ? errno : EFBIG;

		free(data);
		errno = error;
		return NULL;
	}
	data[length] = '\0';
	*length_r = (size_t)length;
	return realloc(data, (size_t)length + 1);
}

/* First every source that lies where a target will be is moved away, then each takes its number. */
int fd_arrange(const int *sources, size_t count)
{
	int moved[FD_ARRANGE_MOST];
	int end = FIRST_TARGET + (int)count;

	if (count > FD_ARRANGE_MOST) {
		errno = EINVAL;
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		moved[i] = sources[i];
		if (sources[i] < end && sources[i] != FIRST_TARGET + (int)i)
			moved[i] = fcntl(sources[i], F_DUPFD, end);
		if (moved[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < count; i++) {
		int target = FIRST_TARGET + (int)i;

		if (moved[i] == target ? fd_set_cloexec(target, false) < 0
				       : dup2(moved[i], target) < 0)
			return -1;
	}
	return close_range((unsigned)end, ~0u, CLOSE_RANGE_CLOEXEC);
}
