/* Why: one socket on which any worker says how it is; the kernel adds who it is. Anybody may send
 * there, so nothing that arrives is trusted but the sender's pid. SPDX-License-Identifier: ISC */
#include "supervisor/notify.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define NOTIFY_BURST      64
#define NOTIFY_SIZE       4096
#define NOTIFY_STATUS_MAX 256 /* bytes of a status before escaping */

struct notify {
	int fd;
	struct sockaddr_un address;
	struct event *readable;
	notify_handler *handler;
	void *arg;
};

static const struct {
	const char *text;
	enum notify_word word;
} exact_words[] = {
	{ "READY=1", NOTIFY_READY },
	{ "STOPPING=1", NOTIFY_STOPPING },
	{ "WATCHDOG=1", NOTIFY_WATCHDOG },
};
static const char status_key[] = "STATUS=";
static const char name_begin[] = "notify."; /* then our pid */

static void say_status(const struct notify *notify, pid_t pid, const char *text)
{
	char out[4 * NOTIFY_STATUS_MAX + 4];
	size_t used = 0;

	for (size_t i = 0; i < NOTIFY_STATUS_MAX && text[i]; i++) {
		const unsigned char c = (unsigned char)text[i];
		const bool is_plain = c >= 0x20 && c <= 0x7e && c != '\\';

		used += (size_t)snprintf(out + used, sizeof out - used, is_plain ? "%c" : "\\x%02x",
					 c);
	}
	if (strlen(text) > NOTIFY_STATUS_MAX)
		snprintf(out + used, sizeof out - used, "...");
	notify->handler(pid, NOTIFY_STATUS, out, notify->arg);
}

/* One assignment; what we do not know is somebody else's business (MAINPID, FDSTORE, BARRIER, ...).
 */
static void take_line(const struct notify *notify, pid_t pid, const char *line)
{
	for (size_t i = 0; i < sizeof exact_words / sizeof *exact_words; i++)
		if (strcmp(line, exact_words[i].text) == 0)
			notify->handler(pid, exact_words[i].word, NULL, notify->arg);
	if (strncmp(line, status_key, sizeof status_key - 1) == 0)
		say_status(notify, pid, line + sizeof status_key - 1);
}

static void take_datagram(const struct notify *notify, pid_t pid, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		take_line(notify, pid, line);
}

/* 0: the kernel did not say (a process outside our pid namespace). */
static pid_t sender(struct msghdr *message)
{
	struct ucred who;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len != CMSG_LEN(sizeof who))
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof who);
		return who.pid;
	}
	return 0;
}

/* Receives one datagram. The control buffer has room for the credentials only, so the kernel itself
 * drops descriptors (a sender of BARRIER=1 then sees its pipe closed, which is the answer it waits
 * for). false: nothing is there. */
static bool receive(const struct notify *notify)
{
	char text[NOTIFY_SIZE + 1];
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_base = text, .iov_len = NOTIFY_SIZE };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(notify->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	pid_t pid;

	if (n < 0)
		return errno == EINTR;
	pid = sender(&message);
	text[n] = '\0';
	if (pid > 0 && !(message.msg_flags & MSG_TRUNC) && strlen(text) == (size_t)n)
		take_datagram(notify, pid, text);
	else
		log_debug("notify: a datagram of %zd bytes from pid %d is not understood", n,
			  (int)pid);
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	for (int i = 0; i < NOTIFY_BURST && receive(arg); i++)
		;
}

/* The mode is set before bind, so that the path never exists with another one; umask cuts it, so
 * that is put away. A socket of the same name is that of a dead process that had our pid. */
static bool bind_path(const struct notify *notify)
{
	const int on = 1;
	mode_t mask;
	int done;

	if (setsockopt(notify->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
	    fchmod(notify->fd, 0666) < 0)
		return false;
	if (unlink(notify->address.sun_path) < 0 && errno != ENOENT)
		return false;
	mask = umask(0);
	done = bind(notify->fd, (const struct sockaddr *)&notify->address, sizeof notify->address);
	umask(mask);
	return done == 0;
}

static bool nobody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool refused = fd >= 0 &&
		       connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
		       errno == ECONNREFUSED;

	fd_close(&fd);
	return refused;
}

/* A supervisor that was killed could not remove its socket. */
static void remove_left_behind(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		const size_t room = sizeof address.sun_path;

		if (strncmp(entry->d_name, name_begin, sizeof name_begin - 1) == 0 &&
		    (size_t)snprintf(address.sun_path, room, "%s/%s", directory, entry->d_name) <
			    room &&
		    nobody_listens(&address))
			unlink(address.sun_path);
	}
	closedir(dir);
}

struct notify *notify_open(struct event_base *base, const char *directory, notify_handler *handler,
			   void *arg, struct error *e)
{
	struct notify *notify = calloc(1, sizeof *notify);
	const size_t room = notify ? sizeof notify->address.sun_path : 0;
	char *path = notify ? notify->address.sun_path : NULL;

	if (!notify)
		fatal("out of memory");
	notify->handler = handler;
	notify->arg = arg;
	notify->address.sun_family = AF_UNIX;
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if ((size_t)snprintf(path, room, "%s/%s%d", directory, name_begin, (int)getpid()) >= room) {
		error_set(e,
			  "runtime_directory %s is too long for a socket in it (%zu bytes are "
			  "allowed)",
			  directory, room);
		path[0] = '\0';
		goto failed;
	}
	remove_left_behind(directory);
	if (notify->fd < 0 || !bind_path(notify)) {
		error_set(e, "%s cannot be made: %s", path, strerror(errno));
		path[0] = '\0';
		goto failed;
	}
	notify->readable = event_new(base, notify->fd, EV_READ | EV_PERSIST, on_readable, notify);
	if (!notify->readable || event_add(notify->readable, NULL) < 0)
		fatal("no event for the notify socket");
	return notify;
failed:
	notify_close(&notify);
	return NULL;
}

const char *notify_path(const struct notify *notify)
{
	return notify->address.sun_path;
}

void notify_close(struct notify **notify)
{
	struct notify *n = *notify;

	*notify = NULL;
	if (!n)
		return;
	if (n->readable)
		event_free(n->readable);
	fd_close(&n->fd);
	if (n->address.sun_path[0])
		unlink(n->address.sun_path);
	free(n);
}
