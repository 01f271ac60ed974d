/* Why: every line that Limpet writes about itself has a time, a pid, a level and a subject, in text
 * or JSON, and writing it never blocks the process that wrote it.
 * SPDX-License-Identifier: ISC */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* ALERT is for what must never happen; the test suite fails on any unexpected one. */
enum log_level {
	LOG_ALERT,
	LOG_ERROR,
	LOG_WARNING,
	LOG_NOTICE,
	LOG_INFO,
	LOG_DEBUG
};
enum log_format {
	LOG_TEXT,
	LOG_JSON
};

struct log_settings {
	enum log_level level; /* lines above it are not written */
	enum log_format format;
	const char *role; /* "supervisor", "acceptor", ...: the subject of subjectless lines */
	bool priority;    /* put "<n>" in front, as journald wants (JOURNAL_STREAM) */
};

/* Settings are copied; `role` must outlive the process. May be called again (reload). */
void log_setup(const struct log_settings *settings);
bool log_enabled(enum log_level level);

/* Lines go to this descriptor (default 2). The caller keeps ownership. */
void log_to(int fd);

/* Writes one finished line. Where set, it gets every line instead of the descriptor: the
 * supervisor hands them to its log sink, so that its own and its workers' lines share one file. */
typedef void log_writer(const char *line, size_t length, void *arg);
void log_to_writer(log_writer *writer, void *arg);

/* One line. `subject` is "web/3", "listen:https", ... or NULL for the role. Bytes outside
 * 0x20-0x7e (and invalid UTF-8) are escaped, a text over 3 KiB is cut with "...". */
void log_line(enum log_level level, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_alert(...)   log_line(LOG_ALERT, NULL, __VA_ARGS__)
#define log_error(...)   log_line(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_enabled(LOG_DEBUG))                                                        \
			log_line(LOG_DEBUG, NULL, __VA_ARGS__);                                    \
	} while (0)

/* The impossible: one ALERT line, then the process ends with abort(); its supervisor restarts it.
 */
void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A worker's line: formatted like ours, the worker's text escaped and bounded. `stream` is
 * "stdout" or "stderr". Returns the length written to `line` (newline included, always < size). */
size_t log_format_worker_line(char *line, size_t size, const char *subject, const char *stream,
			      const char *text, size_t length);

/* At most one line per second from one place: `static struct log_limit l; if (log_limit_pass(&l))`.
 * Lines held back are counted; `suppressed` is their number since the last that passed. */
struct log_limit {
	long long next_ms;
	unsigned suppressed, held; /* held: since the last that passed */
};
bool log_limit_pass(struct log_limit *limit);

#endif
