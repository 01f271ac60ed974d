/* Why: check.h. Source: RFC 9112 4 (status line). SPDX-License-Identifier: ISC */
#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "relay/check.h"

#define CHECK_ANSWER 512 /* bytes in which a status line must end */

/*   CONNECTING ──accepted, nothing to ask──────────────────────────► DECIDED
 *        └──accepted──► ASKING ──all sent──► READING ──status line──► DECIDED
 *   Any state: refused, closed, too late ──► DECIDED. The verdict is told from the event loop. */
enum check_state {
	CHECK_CONNECTING,
	CHECK_ASKING,
	CHECK_READING,
	CHECK_DECIDED
};

struct check {
	enum check_state state;
	enum check_verdict verdict;
	struct event io, timer; /* the timer is the deadline, then tells the verdict */
	check_done *done;
	void *arg;
	const struct probe *probe;
	char *request;
	size_t request_length, sent, length;
	int64_t timeout_ms;
	int fd;
	bool is_self; /* connected to itself */
	char answer[CHECK_ANSWER + 1];
	char why[128];
};

static void check_close(struct check *check)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (check->fd < 0)
		return;
	event_del(&check->io);
	if (check->is_self) /* the port is its owner's: it must be free at once */
		setsockopt(check->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	fd_close(&check->fd);
}

static void __attribute__((format(printf, 3, 4)))
check_decide(struct check *check, enum check_verdict verdict, const char *format, ...)
{
	va_list ap;

	check_close(check);
	check->state = CHECK_DECIDED;
	check->verdict = verdict;
	va_start(ap, format);
	vsnprintf(check->why, sizeof check->why, format, ap);
	va_end(ap);
	event_active(&check->timer, EV_TIMEOUT, 0);
}

/* Errors that tell of us. EADDRNOTAVAIL: all local ports are in use. */
static bool is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
	       error == EADDRNOTAVAIL;
}

static void check_fail(struct check *check, const char *what, int error)
{
	check_decide(check, is_ours(error) ? CHECK_UNKNOWN : CHECK_BAD, "%s: %s", what,
		     strerror(error));
}

/* What we wait for next: EV_READ or EV_WRITE. */
static void check_await(struct check *check, short what, event_callback_fn callback)
{
	struct event_base *base = event_get_base(&check->timer);

	event_del(&check->io);
	if (event_assign(&check->io, base, check->fd, (short)(what | EV_PERSIST), callback, check) <
		    0 ||
	    event_add(&check->io, NULL) < 0)
		fatal("out of memory");
}

/* "HTTP/1.1 200 OK\r\n" -> 200; 0 where it is none. A missing reason is common, and harmless. */
static unsigned status_of(const char *line)
{
	static const char start[] = "HTTP/1.";
	const char *at = line + sizeof start - 1;
	unsigned status;

	if (strncmp(line, start, sizeof start - 1) != 0 || strspn(at, "01") == 0 || at[1] != ' ' ||
	    strspn(at + 2, "0123456789") != 3 || (at[5] != ' ' && at[5] != '\r'))
		return 0;
	status = (unsigned)(at[2] - '0') * 100 + (unsigned)(at[3] - '0') * 10 +
		 (unsigned)(at[4] - '0');
	return status >= 100 && strcmp(line + strlen(line) - 2, "\r\n") == 0 ? status : 0;
}

static void check_judge(struct check *check)
{
	char *end = memchr(check->answer, '\n', check->length);
	unsigned status = 0;

	if (!end && check->length < CHECK_ANSWER)
		return;
	if (end) {
		end[1] = '\0';
		status = status_of(check->answer);
	}
	if (status == 0)
		check_decide(check, CHECK_BAD, "its answer is not HTTP/1");
	else if (probe_expects(check->probe, status))
		check_decide(check, CHECK_GOOD, "it answered %u", status);
	else
		check_decide(check, CHECK_BAD, "it answered %u", status);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;
	const ssize_t got =
		recv(fd, check->answer + check->length, CHECK_ANSWER - check->length, 0);

	(void)what;
	if (got > 0) {
		check->length += (size_t)got;
		check_judge(check);
	} else if (got == 0) {
		check_decide(check, CHECK_BAD, "it closed the connection without an answer");
	} else if (errno != EAGAIN && errno != EINTR) {
		check_fail(check, "waiting for its answer", errno);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;
	const ssize_t sent = send(fd, check->request + check->sent,
				  check->request_length - check->sent, MSG_NOSIGNAL);

	(void)what;
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			check_fail(check, "sending the request", errno);
		return;
	}
	check->sent += (size_t)sent;
	if (check->sent < check->request_length)
		return;
	check->state = CHECK_READING;
	check_await(check, EV_READ, on_readable);
}

/* A connection to a loopback port on which nobody listens can meet itself, when the kernel chooses
 * that very port for our end. */
static bool is_own_end(int fd)
{
	struct address here = { .length = sizeof here - offsetof(struct address, any) };
	struct address there = { .length = here.length };

	return getsockname(fd, &here.any, &here.length) == 0 &&
	       getpeername(fd, &there.any, &there.length) == 0 && here.any.sa_family != AF_UNIX &&
	       address_equal(&here, &there);
}

static void check_connected(struct check *check)
{
	if (is_own_end(check->fd)) {
		check->is_self = true;
		check_fail(check, "connecting", ECONNREFUSED);
	} else if (!check->request) {
		check_decide(check, CHECK_GOOD, "it accepts");
	} else {
		check->state = CHECK_ASKING;
		check_await(check, EV_WRITE, on_writable);
	}
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;
	socklen_t size = sizeof(int);
	int error = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error)
		check_fail(check, "connecting", error);
	else
		check_connected(check);
}

/* The deadline; or the verdict is there. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;

	(void)fd;
	(void)what;
	if (check->state == CHECK_DECIDED) {
		check->done(check->verdict, check->why, check->arg); /* may end the check */
		return;
	}
	check_decide(check, CHECK_BAD, "%s within %lld ms",
		     check->state == CHECK_CONNECTING ? "no connection" : "no answer",
		     (long long)check->timeout_ms);
}

static void check_connect(struct check *check, const struct address *address)
{
	check->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (check->fd < 0)
		check_fail(check, "socket", errno);
	else if (connect(check->fd, &address->any, address->length) == 0)
		check_connected(check);
	else if (errno == EINPROGRESS)
		check_await(check, EV_WRITE, on_connected);
	else
		check_fail(check, "connecting", errno);
}

struct check *check_begin(struct event_base *base, const struct check_question *question,
			  check_done *done, void *arg)
{
	const struct timeval timeout = clock_timeval(question->timeout_ms);
	struct check *check = calloc(1, sizeof *check);

	if (!check)
		fatal("out of memory");
	check->done = done;
	check->arg = arg;
	check->fd = -1;
	check->probe = question->probe;
	check->timeout_ms = question->timeout_ms;
	if (question->request) {
		check->request_length = question->request_length;
		check->request = malloc(question->request_length);
		if (!check->request)
			fatal("out of memory");
		memcpy(check->request, question->request, question->request_length);
	}
	event_assign(&check->io, base, -1, 0, on_connected, check);
	evtimer_assign(&check->timer, base, on_timer, check);
	if (event_add(&check->timer, &timeout) < 0)
		fatal("out of memory");
	check_connect(check, question->address);
	return check;
}

void check_end(struct check **check)
{
	struct check *c = *check;

	*check = NULL;
	if (!c)
		return;
	check_close(c);
	event_del(&c->timer);
	free(c->request);
	free(c);
}
