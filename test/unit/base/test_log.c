/* Why: the worries are a line that somebody else forges by what he sends, a line that is not JSON
 * where JSON was promised, and a process that stops because nobody reads its log.
 * SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <jansson.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"

static char last[PIPE_BUF];

static void keep_line(const char *line, size_t length, void *arg)
{
	(void)arg;
	assert_true(length < sizeof last);
	memcpy(last, line, length);
	last[length] = '\0';
}

static void setup(enum log_level level, enum log_format format, bool priority)
{
	struct log_settings settings = {
		.level = level, .format = format, .role = "role", .priority = priority
	};

	log_setup(&settings);
	log_to_writer(keep_line, NULL);
	last[0] = '\0';
}

static bool matches(const char *text, const char *pattern)
{
	regex_t regex;
	bool found;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} UTC "

static void a_line_tells_when_who_how_bad_and_what(void **state)
{
	(void)state;
	setup(LOG_INFO, LOG_TEXT, false);
	log_info("hello %d", 7);
	assert_true(matches(last, "^" STAMP "\\[[0-9]+\\] INFO role: hello 7\n$"));
	log_line(LOG_ERROR, "web/3", "gone");
	assert_true(matches(last, "^" STAMP "\\[[0-9]+\\] ERROR web/3: gone\n$"));
	setup(LOG_INFO, LOG_TEXT, true);
	log_warning("w");
	assert_true(matches(last, "^<4>" STAMP "\\[[0-9]+\\] WARNING role: w\n$"));
}

static void what_is_less_important_is_not_written(void **state)
{
	(void)state;
	setup(LOG_NOTICE, LOG_TEXT, false);
	log_info("no");
	log_debug("no");
	assert_string_equal(last, "");
	assert_false(log_enabled(LOG_INFO));
	log_notice("yes");
	assert_true(matches(last, "NOTICE role: yes"));
}

static void nobody_forges_a_line(void **state)
{
	(void)state;
	setup(LOG_INFO, LOG_TEXT, false);
	log_line(LOG_INFO, "a\nb", "x\n2026 ALERT\r\x1b[2J\t\x7f\xc3\xa9");
	assert_non_null(
		strstr(last, "a\\x0ab: x\\x0a2026 ALERT\\x0d\\x1b[2J\\x09\\x7f\\xc3\\xa9\n"));
	assert_ptr_equal(strchr(last, '\n'), last + strlen(last) - 1);
}

static void a_long_text_is_cut_and_says_so(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	setup(LOG_INFO, LOG_TEXT, false);
	log_info("%s", text);
	assert_true(strlen(last) < 3300);
	assert_true(matches(last, "aaa\\.\\.\\.\n$"));
	text[3072] = '\0';
	log_info("%s", text); /* just fits */
	assert_true(matches(last, "aaa\n$"));
	memset(text, '\n',
	       3072); /* four times as long when escaped: a line stays within PIPE_BUF */
	log_info("%s", text);
	assert_true(matches(last, "x0a\\.\\.\\.\n$"));
}

/* 10^4 random byte strings: every line is one JSON object with all its members. */
static void json_lines_are_json_whatever_is_in_them(void **state)
{
	char text[300], line[4096];

	(void)state;
	srandom(1);
	setup(LOG_INFO, LOG_JSON, false);
	for (int i = 0; i < 10000; i++) {
		size_t length = (size_t)random() % sizeof text;
		json_t *object;

		for (size_t j = 0; j < length; j++)
			text[j] = (char)(random() % 4 ? random()
						      : "\"\\\n\xc3\xa9\xed\xa0\x80"[random() % 8]);
		length = log_format_worker_line(line, sizeof line, "web/1", "stdout", text, length);
		object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(object);
		assert_string_equal(json_string_value(json_object_get(object, "subject")), "web/1");
		assert_string_equal(json_string_value(json_object_get(object, "stream")), "stdout");
		assert_true(json_is_string(json_object_get(object, "text")));
		json_decref(object);
		assert_int_equal(line[length - 1], '\n');
		assert_null(memchr(line, '\n', length - 1));
	}
}

static void json_tells_the_same_as_text(void **state)
{
	json_t *object;

	(void)state;
	setup(LOG_INFO, LOG_JSON, false);
	log_line(LOG_NOTICE, "listen:http", "a \"b\" \\ c\n");
	object = json_loads(last, 0, NULL);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "level")), "notice");
	assert_string_equal(json_string_value(json_object_get(object, "subject")), "listen:http");
	assert_string_equal(json_string_value(json_object_get(object, "text")), "a \"b\" \\ c\n");
	assert_int_equal(json_integer_value(json_object_get(object, "pid")), getpid());
	assert_true(matches(json_string_value(json_object_get(object, "time")),
			    "^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z$"));
	json_decref(object);
}

static void a_workers_line_keeps_its_letters_and_loses_its_tricks(void **state)
{
	static const char text[] =
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a \x1b[31m \xc2\x9b \xff \xc0\xaf "
		"\xed\xa0\x80 \xe2\x82";
	char line[512];
	size_t length;

	(void)state;
	setup(LOG_ALERT, LOG_TEXT, false); /* our level says nothing about workers */
	length =
		log_format_worker_line(line, sizeof line, "web/3", "stdout", text, sizeof text - 1);
	line[length] = '\0';
	assert_true(matches(line, "^" STAMP "OUT web/3: "));
	assert_non_null(strstr(
		line, ": gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9a \\x1b[31m \\xc2\\x9b "
		      "\\xff \\xc0\\xaf \\xed\\xa0\\x80 \\xe2\\x82\n"));
	length = log_format_worker_line(line, sizeof line, "web/3", "stderr", "x", 1);
	line[length] = '\0';
	assert_true(matches(line, "^" STAMP "ERR web/3: x\n$"));
}

/* Whatever the size and the bytes: never more than the room, always one whole line. */
static void a_workers_line_is_bounded(void **state)
{
	static const char *const pieces[] = { "a", "\n", "\xf0\x9f\x90\x9a", "\xff", "\"" };
	char text[400], line[512];

	(void)state;
	for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
		size_t length = 0, piece = strlen(pieces[p]);

		for (; length + piece <= sizeof text; length += piece)
			memcpy(text + length, pieces[p], piece);
		for (int json = 0; json < 2; json++) {
			setup(LOG_INFO, json ? LOG_JSON : LOG_TEXT, true);
			for (size_t size = 160; size <= sizeof line; size++) {
				size_t got = log_format_worker_line(line, size, "web/3", "stdout",
								    text, length);

				assert_true(got < size);
				assert_int_equal(line[got - 1], '\n');
				assert_null(memchr(line, '\n', got - 1));
				if (json)
					assert_memory_equal(line + got - 3, "\"}\n", 3);
			}
		}
	}
}

static size_t drain(int fd, char *into, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(fd, into + length, size - length - 1)) > 0)
		length += (size_t)got;
	into[length] = '\0';
	return length;
}

/* A pipe that nobody reads: we go on, and the loss is told with the next line that gets through. */
static void check_full_log(int reader, int writer)
{
	char *text = malloc(1 << 20);
	int lines = 0;

	assert_int_equal(fd_set_nonblocking(reader), 0);
	log_to(writer);
	for (int i = 0; i < 20000; i++)
		log_info("line %d", i);
	drain(reader, text, 1 << 20);
	for (char *c = text; (c = strchr(c, '\n')); c++)
		lines++;
	assert_true(lines > 10 && lines < 20000);
	log_info("after");
	drain(reader, text, 1 << 20);
	assert_true(matches(
		text, "WARNING role: [0-9]+ lines were lost: the log could not be written\n"));
	assert_true(matches(text, "INFO role: after\n$"));
	assert_int_equal(strtol(strstr(text, "role: ") + 6, NULL, 10), 20000 - lines);
	log_to(2);
	free(text);
}

static void nobody_reads_and_nothing_stops(void **state)
{
	int ends[2];

	(void)state;
	setup(LOG_INFO, LOG_TEXT, false);
	log_to_writer(NULL, NULL);
	assert_int_equal(pipe(ends), 0); /* blocking, as standard error is */
	check_full_log(ends[0], ends[1]);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_full_log(ends[0], ends[1]);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void a_closed_log_costs_nothing_but_the_lines(void **state)
{
	int ends[2];

	(void)state;
	setup(LOG_INFO, LOG_TEXT, false);
	log_to_writer(NULL, NULL);
	log_to(-1);
	log_info("nowhere");
	assert_int_equal(fd_pair(SOCK_STREAM, ends), 0);
	fd_close(&ends[0]);
	log_to(ends[1]);
	log_info("nobody");
	log_to(2);
	fd_close(&ends[1]);
}

static void the_impossible_is_told_and_ends_the_process(void **state)
{
	char text[4096];
	int ends[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		log_to_writer(NULL, NULL);
		log_to(ends[1]);
		fatal("no memory for %s", "a test");
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	fd_close(&ends[1]);
	drain(ends[0], text, sizeof text);
	fd_close(&ends[0]);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_true(matches(text, "ALERT role: no memory for a test\n$"));
}

static void one_place_writes_once_a_second(void **state)
{
	struct log_limit limit = { 0 };

	(void)state;
	assert_true(log_limit_pass(&limit));
	assert_int_equal(limit.suppressed, 0);
	for (int i = 0; i < 5; i++)
		assert_false(log_limit_pass(&limit));
	limit.next_ms = 0; /* a second later */
	assert_true(log_limit_pass(&limit));
	assert_int_equal(limit.suppressed, 5);
	limit.next_ms = 0;
	assert_true(log_limit_pass(&limit));
	assert_int_equal(limit.suppressed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_tells_when_who_how_bad_and_what),
		cmocka_unit_test(what_is_less_important_is_not_written),
		cmocka_unit_test(nobody_forges_a_line),
		cmocka_unit_test(a_long_text_is_cut_and_says_so),
		cmocka_unit_test(json_lines_are_json_whatever_is_in_them),
		cmocka_unit_test(json_tells_the_same_as_text),
		cmocka_unit_test(a_workers_line_keeps_its_letters_and_loses_its_tricks),
		cmocka_unit_test(a_workers_line_is_bounded),
		cmocka_unit_test(nobody_reads_and_nothing_stops),
		cmocka_unit_test(a_closed_log_costs_nothing_but_the_lines),
		cmocka_unit_test(the_impossible_is_told_and_ends_the_process),
		cmocka_unit_test(one_place_writes_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
