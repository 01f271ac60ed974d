/* Why: log.h. Writing is apart from forming lines: a line is formed whole (text or JSON), then
 * written whole or counted as lost. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_text.h"

#define TEXT_MOST    3072
#define SUBJECT_MOST 128

static struct log_settings current = { .level = LOG_INFO, .role = "limpet" };
static int log_fd = 2;
static log_writer *log_write_by;
static void *log_write_arg;
static unsigned lost; /* lines since the last that could be written */
static bool torn;     /* the last line went out in part */

static const struct {
	const char *upper, *lower;
	int priority; /* of syslog(3) */
} levels[] = {
	[LOG_ALERT] = { "ALERT", "alert", 1 },       [LOG_ERROR] = { "ERROR", "error", 3 },
	[LOG_WARNING] = { "WARNING", "warning", 4 }, [LOG_NOTICE] = { "NOTICE", "notice", 5 },
	[LOG_INFO] = { "INFO", "info", 6 },          [LOG_DEBUG] = { "DEBUG", "debug", 7 },
};

void log_setup(const struct log_settings *settings)
{
	current = *settings;
}

bool log_enabled(enum log_level level)
{
	return level <= current.level;
}

void log_to(int fd)
{
	log_fd = fd;
	torn = false;
}

void log_to_writer(log_writer *writer, void *arg)
{
	log_write_by = writer;
	log_write_arg = arg;
}

/* A full pipe or a stopped terminal must not stop us: sockets are asked not to block, everything
 * else is asked first. A pipe that polls writable takes PIPE_BUF bytes, and no line is longer. */
static bool write_whole(const char *line, size_t length)
{
	struct pollfd ask = { .fd = log_fd, .events = POLLOUT };
	ssize_t written = send(log_fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (written < 0 && errno == ENOTSOCK) {
		if (poll(&ask, 1, 0) != 1 || !(ask.revents & POLLOUT))
			return false;
		written = write(log_fd, line, length);
	}
	if (written > 0)
		torn = (size_t)written < length;
	return written == (ssize_t)length;
}

static void log_text_stamp(struct log_text *out, bool json)
{
	struct timespec now;
	struct tm utc;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof stamp, json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &utc);
	log_text_add(out, "%s.%03ld%s", stamp, now.tv_nsec / 1000000, json ? "Z" : " UTC");
}

static void form_text(struct log_text *out, enum log_level level, const char *subject,
		      const char *text, size_t length)
{
	log_text_stamp(out, false);
	log_text_add(out, " [%d] %s ", (int)getpid(), levels[level].upper);
	log_text_escape(out, LOG_TEXT_ASCII, subject, strnlen(subject, SUBJECT_MOST));
	log_text_add(out, ": ");
	log_text_escape(out, LOG_TEXT_ASCII, text, length);
	log_text_end(out, "\n");
}

static void form_json(struct log_text *out, enum log_level level, const char *subject,
		      const char *text, size_t length)
{
	log_text_add(out, "{\"time\":\"");
	log_text_stamp(out, true);
	log_text_add(out, "\",\"pid\":%d,\"level\":\"%s\",\"subject\":\"", (int)getpid(),
		     levels[level].lower);
	log_text_escape(out, LOG_TEXT_JSON, subject, strnlen(subject, SUBJECT_MOST));
	log_text_add(out, "\",\"text\":\"");
	log_text_escape(out, LOG_TEXT_JSON, text, length);
	log_text_end(out, "\"}\n");
}

static size_t form_line(char *line, size_t size, enum log_level level, const char *subject,
			const char *text, size_t length)
{
	struct log_text out = { .data = line, .size = size };

	if (current.priority)
		log_text_add(&out, "<%d>", levels[level].priority);
	if (current.format == LOG_JSON)
		form_json(&out, level, subject, text, length);
	else
		form_text(&out, level, subject, text, length);
	return out.length;
}

/* The loss is told before the first line that goes through again. */
static bool write_loss(void)
{
	char text[64], line[256];
	int length;

	if (torn && !write_whole("\n", 1))
		return false;
	if (lost == 0)
		return true;
	length = snprintf(text, sizeof text, "%u lines were lost: the log could not be written",
			  lost);
	if (!write_whole(line, form_line(line, sizeof line, LOG_WARNING, current.role, text,
					 (size_t)length)))
		return false;
	lost = 0;
	return true;
}

void log_line(enum log_level level, const char *subject, const char *format, ...)
{
	char text[TEXT_MOST + 4], line[PIPE_BUF];
	int error = errno;
	size_t length;
	va_list ap;
	int wanted;

	if (!log_enabled(level))
		return;
	va_start(ap, format);
	wanted = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	length = strlen(text);
	if (wanted > TEXT_MOST) {
		memcpy(text + TEXT_MOST, "...", 4);
		length = TEXT_MOST + 3;
	}
	length =
		form_line(line, sizeof line, level, subject ? subject : current.role, text, length);
	if (log_write_by)
		log_write_by(line, length, log_write_arg);
	else if (!write_loss() || !write_whole(line, length))
		lost++;
	errno = error;
}

void fatal(const char *format, ...)
{
	char text[TEXT_MOST];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	log_line(LOG_ALERT, NULL, "%s", text);
	abort();
}

/* The line of a worker has no pid in front of its level: how it differs from ours at a glance. */
size_t log_format_worker_line(char *line, size_t size, const char *subject, const char *stream,
			      const char *text, size_t length)
{
	struct log_text out = { .data = line, .size = size };
	bool json = current.format == LOG_JSON;
	enum log_text_kind kind = json ? LOG_TEXT_JSON : LOG_TEXT_UTF8;

	if (current.priority)
		log_text_add(&out, "<%d>", levels[LOG_INFO].priority);
	if (json)
		log_text_add(&out, "{\"time\":\"");
	log_text_stamp(&out, json);
	if (json)
		log_text_add(&out, "\",\"stream\":\"%s\",\"subject\":\"", stream);
	else
		log_text_add(&out, " %s ", strcmp(stream, "stderr") == 0 ? "ERR" : "OUT");
	log_text_escape(&out, kind, subject, strnlen(subject, SUBJECT_MOST));
	log_text_add(&out, json ? "\",\"text\":\"" : ": ");
	log_text_escape(&out, kind, text, length);
	log_text_end(&out, json ? "\"}\n" : "\n");
	return out.length;
}

bool log_limit_pass(struct log_limit *limit)
{
	int64_t now = clock_now_ms();

	if (now < limit->next_ms) {
		limit->held++;
		return false;
	}
	limit->suppressed = limit->held;
	limit->held = 0;
	limit->next_ms = now + 1000;
	return true;
}
