/* Why: the one place where lines leave the program. It must never make the supervisor wait: what a
 * slow reader does not take waits in a ring, what does not fit there is dropped and counted.
 * SPDX-License-Identifier: ISC */
#include "supervisor/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sink.h"

#define LOGS_RING     (256u << 10)
#define LOGS_FLUSH_MS 200
/* Room that the line about lost lines needs; log.h bounds a text to 1 KiB. */
#define LOGS_REPORT_ROOM     4096
#define LOGS_REPORT_EVERY_MS 60000

static struct logs {
	bool open;
	struct event_base *base;
	char *path; /* NULL: standard error */
	struct sink sink;
	struct event *writable; /* NULL where the sink cannot be awaited */
	char *ring;
	size_t first, length; /* bytes that wait */
	bool torn;            /* the last byte that the sink took was not the end of a line */
	bool reporting;
	unsigned long long dropped; /* lines since the last report */
	int why;                    /* errno of the last drop, 0: the ring was full */
	int64_t report_at_ms;
} logs;

static void drop(size_t lines, int why)
{
	logs.dropped += lines;
	logs.why = why;
}

static size_t count_lines(void)
{
	size_t lines = 0;

	for (size_t i = 0; i < logs.length; i++)
		lines += logs.ring[(logs.first + i) % LOGS_RING] == '\n';
	return lines;
}

static void drop_ring(int why)
{
	drop(count_lines(), why);
	logs.first = logs.length = 0;
}

static void ring_add(const char *bytes, size_t length)
{
	size_t end = (logs.first + logs.length) % LOGS_RING;
	size_t head = LOGS_RING - end < length ? LOGS_RING - end : length;

	memcpy(logs.ring + end, bytes, head);
	memcpy(logs.ring, bytes + head, length - head);
	logs.length += length;
}

/* Bytes taken by the sink; -1 with errno, EAGAIN when it is only full. */
static ssize_t give(const char *bytes, size_t length)
{
	ssize_t n = sink_write(&logs.sink, bytes, length);

	if (n > 0)
		logs.torn = bytes[n - 1] != '\n';
	return n;
}

/* Gives the sink what waits. false: some is left. */
static bool drain_ring(void)
{
	while (logs.length > 0) {
		size_t piece = LOGS_RING - logs.first;
		ssize_t n = give(logs.ring + logs.first, piece < logs.length ? piece : logs.length);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			drop_ring(errno);
			return true;
		}
		logs.first = (logs.first + (size_t)n) % LOGS_RING;
		logs.length -= (size_t)n;
	}
	logs.first = 0;
	return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	if (drain_ring())
		event_del(logs.writable);
}

/* Keeps a line, or what the sink left of one, for later. */
static void keep(const char *bytes, size_t length)
{
	if (length > LOGS_RING - logs.length) {
		drop(1, 0);
		return;
	}
	ring_add(bytes, length);
	if (!event_pending(logs.writable, EV_WRITE, NULL) && event_add(logs.writable, NULL) < 0)
		drop_ring(errno);
}

/* A line that was cut by a full disk must not swallow the next one. */
static void mend(void)
{
	if (logs.torn && logs.length == 0)
		give("\n", 1);
}

static void put(const char *line, size_t length)
{
	ssize_t n = 0;

	mend();
	if (logs.length == 0)
		n = give(line, length);
	if (n < 0 && errno != EAGAIN) {
		drop(1, errno);
		return;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n == length)
		return;
	if (logs.writable)
		keep(line + n, length - (size_t)n);
	else
		drop(1, ENOSPC);
}

/* Says how many lines were lost, before the next one that gets through, at most once a minute. */
static void report(bool last)
{
	unsigned long long dropped = logs.dropped;
	int64_t now = clock_now_ms();

	if (dropped == 0 || logs.reporting || (!last && now < logs.report_at_ms) ||
	    LOGS_RING - logs.length < LOGS_REPORT_ROOM)
		return;
	logs.reporting = true;
	logs.dropped = 0;
	log_line(LOG_ERROR, "logs", "%llu lines were lost: %s", dropped,
		 logs.why ? strerror(logs.why) : "whoever reads them is too slow");
	if (logs.dropped > 0)
		logs.dropped = dropped; /* the report itself did not get through */
	else
		logs.report_at_ms = now + LOGS_REPORT_EVERY_MS;
	logs.reporting = false;
}

void logs_write(const char *line, size_t length)
{
	if (length == 0)
		return;
	if (!logs.open) {
		(void)!write(STDERR_FILENO, line, length);
		return;
	}
	report(false);
	put(line, length);
}

/* A FIFO without a reader cannot be opened for writing only; read-write, its buffer and our ring
 * take what comes until somebody reads. */
static int open_file(const char *path)
{
	const int flags = O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, O_WRONLY | flags, 0640);

	if (fd < 0 && errno == ENXIO)
		fd = open(path, O_RDWR | flags, 0640);
	return fd;
}

static bool begin_sink(struct sink *sink, const char *path, struct error *e)
{
	int fd;

	if (!path) {
		sink_begin(sink, STDERR_FILENO);
		if (sink->kind != SINK_NONE)
			return true;
		path = "/dev/null"; /* standard error is closed: lines go nowhere */
	}
	fd = open_file(path);
	if (fd < 0 && errno == ELOOP)
		return error_set(e, "log_file %s is a symbolic link: name the file itself", path);
	if (fd < 0)
		return error_set(e, "log_file %s cannot be opened: %s", path, strerror(errno));
	sink_take(sink, &fd);
	return true;
}

/* From now on lines go to `sink`. What waits in the ring goes there too. */
static void take_sink(const struct sink *sink)
{
	if (logs.writable)
		event_free(logs.writable);
	logs.writable = NULL;
	sink_end(&logs.sink);
	logs.sink = *sink;
	logs.torn = false;
	if (sink_can_be_awaited(&logs.sink)) {
		logs.writable = event_new(logs.base, logs.sink.fd, EV_WRITE | EV_PERSIST,
					  on_writable, NULL);
		if (!logs.writable)
			fatal("no event for the log");
	}
	if (!drain_ring() && (!logs.writable || event_add(logs.writable, NULL) < 0))
		drop_ring(EAGAIN);
}

bool logs_open(struct event_base *base, const char *path, struct error *e)
{
	struct sink sink = { .kind = SINK_NONE };

	if (!begin_sink(&sink, path[0] ? path : NULL, e))
		return false;
	logs.base = base;
	logs.path = path[0] ? strdup(path) : NULL;
	logs.ring = malloc(LOGS_RING);
	if (!logs.ring || (path[0] && !logs.path))
		fatal("out of memory");
	logs.open = true;
	take_sink(&sink);
	return true;
}

bool logs_reopen(struct error *e)
{
	struct sink sink = { .kind = SINK_NONE };

	if (!logs.path)
		return true;
	if (!begin_sink(&sink, logs.path, e))
		return false;
	take_sink(&sink);
	return true;
}

static void flush(void)
{
	const int64_t deadline = clock_now_ms() + LOGS_FLUSH_MS;

	while (!drain_ring()) {
		struct pollfd p = { .fd = logs.sink.fd, .events = POLLOUT };
		int64_t left = deadline - clock_now_ms();

		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
			return;
	}
}

void logs_close(void)
{
	if (!logs.open)
		return;
	flush();
	report(true);
	flush();
	if (logs.writable)
		event_free(logs.writable);
	sink_end(&logs.sink);
	free(logs.path);
	free(logs.ring);
	logs = (struct logs){ .open = false };
}

int logs_fd(void)
{
	return logs.open && logs.sink.fd >= 0 ? logs.sink.fd : STDERR_FILENO;
}
