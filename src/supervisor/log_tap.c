/* Why: reads one pipe of one child at a bounded pace and turns it into lines. A child that prints
 * without end fills its own pipe and waits; nobody else does. SPDX-License-Identifier: ISC */
#include "supervisor/logs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define TAP_TURN       (64u << 10)
#define TAP_PER_SECOND (1u << 20)
#define TAP_LINE       (8u << 10)
/* Every byte may become six (\u0000), and time and subject stand in front. */
#define TAP_OUT (6 * TAP_LINE + 1024)

struct log_tap {
	int fd;
	struct event *readable;
	struct event *rested;
	struct buffer buffer;
	size_t scanned;
	int64_t second_ends_ms;
	size_t this_second; /* bytes read in it */
	char *subject;
	const char *stream;
	bool verbatim;
};

static void write_piece(const struct log_tap *tap, const char *text, size_t length)
{
	static char out[TAP_OUT];

	if (tap->verbatim) {
		memcpy(out, text, length);
		out[length++] = '\n';
	} else {
		length = log_format_worker_line(out, sizeof out, tap->subject, tap->stream, text,
						length);
	}
	logs_write(out, length);
}

/* A line of any length, in pieces. */
static void write_line(const struct log_tap *tap, const char *text, size_t length)
{
	if (length > 0 && text[length - 1] == '\r')
		length--;
	while (length > TAP_LINE) {
		write_piece(tap, text, TAP_LINE);
		text += TAP_LINE;
		length -= TAP_LINE;
	}
	write_piece(tap, text, length);
}

static void take_lines(struct log_tap *tap)
{
	size_t length;
	char *line;

	while ((line = buffer_line(&tap->buffer, &length, &tap->scanned)))
		write_line(tap, line, length);
	while (buffer_length(&tap->buffer) >= TAP_LINE) {
		write_piece(tap, buffer_bytes(&tap->buffer), TAP_LINE);
		buffer_drop(&tap->buffer, TAP_LINE);
		tap->scanned = 0;
	}
}

/* The last words of a process need not end with a newline. */
static void take_rest(struct log_tap *tap)
{
	size_t length = buffer_length(&tap->buffer);

	if (length > 0)
		write_line(tap, buffer_bytes(&tap->buffer), length);
	buffer_drop(&tap->buffer, length);
	tap->scanned = 0;
}

/* false: the tap has had its share of this second and rests until the next. */
static bool may_go_on(struct log_tap *tap, size_t bytes)
{
	int64_t now = clock_now_ms();
	struct timeval rest;

	if (now >= tap->second_ends_ms) {
		tap->second_ends_ms = now + 1000;
		tap->this_second = 0;
	}
	tap->this_second += bytes;
	if (tap->this_second < TAP_PER_SECOND)
		return true;
	rest = clock_timeval(tap->second_ends_ms - now);
	event_del(tap->readable);
	event_add(tap->rested, &rest);
	return false;
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct log_tap *tap = arg;

	(void)fd, (void)what;
	event_add(tap->readable, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct log_tap *tap = arg;
	ssize_t n = buffer_read(&tap->buffer, tap->fd, TAP_TURN);

	(void)fd, (void)what;
	if (n > 0) {
		take_lines(tap);
		may_go_on(tap, (size_t)n);
	} else if (n == 0) {
		take_rest(tap);
		event_del(tap->readable);
	}
}

struct log_tap *log_tap_new(struct event_base *base, int *fd, const char *subject,
			    const char *stream, bool verbatim)
{
	struct log_tap *tap = calloc(1, sizeof *tap);

	if (!tap || !(tap->subject = strdup(subject)))
		fatal("out of memory");
	tap->fd = fd_take(fd);
	tap->stream = stream;
	tap->verbatim = verbatim;
	tap->buffer.limit = TAP_TURN + TAP_LINE;
	fd_set_nonblocking(tap->fd);
	tap->readable = event_new(base, tap->fd, EV_READ | EV_PERSIST, on_readable, tap);
	tap->rested = evtimer_new(base, on_rested, tap);
	if (!tap->readable || !tap->rested || event_add(tap->readable, NULL) < 0)
		fatal("no event for the output of %s", subject);
	return tap;
}

void log_tap_free(struct log_tap **tap)
{
	struct log_tap *t = *tap;
	size_t taken = 0;
	ssize_t n;

	*tap = NULL;
	if (!t)
		return;
	while (taken < TAP_TURN && (n = buffer_read(&t->buffer, t->fd, TAP_TURN - taken)) > 0) {
		taken += (size_t)n;
		take_lines(t);
	}
	take_rest(t);
	event_free(t->readable);
	event_free(t->rested);
	buffer_free(&t->buffer);
	fd_close(&t->fd);
	free(t->subject);
	free(t);
}

int log_tap_fd(const struct log_tap *tap)
{
	return tap->fd;
}
