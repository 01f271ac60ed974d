/* Why: the four ways of writing without waiting, told apart once when the sink begins and not at
 * every line. SPDX-License-Identifier: ISC */
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* A second open file description of the same pipe or terminal. The link is followed to the very
 * object and not to its name, so a moved or removed one is no matter. */
static int open_again(int fd)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static enum sink_kind kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return SINK_NONE;
	if (S_ISSOCK(st.st_mode))
		return SINK_SOCKET;
	if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && isatty(fd)))
		return SINK_OWN;
	return SINK_FILE;
}

void sink_begin(struct sink *sink, int fd)
{
	sink->kind = kind_of(fd);
	sink->fd = sink->kind == SINK_OWN ? open_again(fd) : -1;
	if (sink->kind == SINK_NONE || sink->fd >= 0)
		return;
	if (sink->kind == SINK_OWN)
		sink->kind = SINK_SHARED;
	sink->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (sink->fd < 0)
		sink->kind = SINK_NONE;
}

void sink_take(struct sink *sink, int *fd)
{
	sink->kind = kind_of(*fd);
	sink->fd = fd_take(fd);
}

void sink_end(struct sink *sink)
{
	if (sink->kind != SINK_NONE)
		fd_close(&sink->fd);
	sink->kind = SINK_NONE;
}

/* Others may write to the same pipe between our poll and our write; a piece of PIPE_BUF bytes is
 * what poll(2) promises room for. */
static ssize_t write_shared(int fd, const char *bytes, size_t length)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (poll(&p, 1, 0) < 0)
		return -1;
	if (!(p.revents & (POLLOUT | POLLERR | POLLHUP))) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
}

static ssize_t write_once(const struct sink *sink, const char *bytes, size_t length)
{
	switch (sink->kind) {
	case SINK_FILE:
	case SINK_OWN:
		return write(sink->fd, bytes, length);
	case SINK_SOCKET:
		return send(sink->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_SHARED:
		return write_shared(sink->fd, bytes, length);
	case SINK_NONE:
		break;
	}
	errno = EBADF;
	return -1;
}

ssize_t sink_write(const struct sink *sink, const char *bytes, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = write_once(sink, bytes + done, length - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return done ? (ssize_t)done : n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

bool sink_can_be_awaited(const struct sink *sink)
{
	return sink->kind != SINK_NONE && sink->kind != SINK_FILE;
}
