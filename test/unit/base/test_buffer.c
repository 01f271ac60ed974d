/* Why: the worry is a line that is lost, torn or doubled because it came in unlucky pieces, and
 * memory that grows with what a worker writes. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/fd.h"

static void bytes_are_added_whole_or_not_at_all(void **state)
{
	struct buffer buffer = { .limit = 10 };

	(void)state;
	assert_true(buffer_add(&buffer, "12345678", 8));
	assert_false(buffer_add(&buffer, "abc", 3));
	assert_int_equal(buffer_length(&buffer), 8);
	assert_true(buffer_add(&buffer, "ab", 2));
	assert_false(buffer_add(&buffer, "c", 1));
	assert_memory_equal(buffer_bytes(&buffer), "12345678ab", 10);
	buffer_drop(&buffer, 3);
	assert_true(buffer_add(&buffer, "xyz", 3));
	assert_memory_equal(buffer_bytes(&buffer), "45678abxyz", 10);
	buffer_free(&buffer);
	assert_true(buffer_add(&buffer, "", 0));
	assert_int_equal(buffer_length(&buffer), 0);
}

static void memory_is_given_back_and_never_grows_beyond_the_limit(void **state)
{
	struct buffer buffer = { .limit = 100000 };
	char chunk[1000];

	(void)state;
	memset(chunk, 'x', sizeof chunk);
	while (buffer_add(&buffer, chunk, sizeof chunk))
		assert_true(buffer.size <= buffer.limit);
	assert_int_equal(buffer_length(&buffer), 100000);
	buffer_drop(&buffer, 100000);
	assert_null(buffer.data);
	assert_true(buffer_add(&buffer, "small", 5));
	buffer_drop(&buffer, 5);
	assert_non_null(buffer.data); /* 4 KiB may stay */
	buffer_free(&buffer);
}

static void lines_come_out_as_they_went_in(void **state)
{
	struct buffer buffer = { .limit = 64 };
	size_t scanned = 0, length;

	(void)state;
	assert_null(buffer_line(&buffer, &length, &scanned));
	buffer_add(&buffer, "one\n\ntwo", 8);
	assert_string_equal(buffer_line(&buffer, &length, &scanned), "one");
	assert_int_equal(length, 3);
	assert_string_equal(buffer_line(&buffer, &length, &scanned), "");
	assert_null(buffer_line(&buffer, &length, &scanned));
	buffer_add(&buffer, "\0x\nrest", 7);
	assert_memory_equal(buffer_line(&buffer, &length, &scanned), "two\0x", 6);
	assert_int_equal(length, 5);
	assert_null(buffer_line(&buffer, &length, &scanned));
	assert_int_equal(buffer_length(&buffer), 4);
	buffer_free(&buffer);
}

/* Reads lines from `fd` as far as there are; checks that line n has n in it and the right length.
 */
static void expect_lines(struct buffer *buffer, size_t *scanned, const size_t *lengths,
			 size_t *next)
{
	size_t length;
	char *line;

	while ((line = buffer_line(buffer, &length, scanned))) {
		assert_int_equal(length, lengths[*next]);
		for (size_t i = 0; i < length; i++)
			assert_int_equal(line[i], 'a' + (int)(*next % 26));
		(*next)++;
	}
}

/* 10^5 lines of random length, written in random pieces through a pipe. */
static void random_pieces_make_the_same_lines(void **state)
{
	enum {
		LINES = 100000,
		MOST = 300
	};
	struct buffer buffer = { .limit = 4096 + MOST };
	size_t *lengths = calloc(LINES, sizeof *lengths), next = 0, scanned = 0, total = 0, at = 0;
	char *all = malloc((size_t)LINES * (MOST + 1));
	int ends[2];

	(void)state;
	srandom(1);
	for (size_t i = 0; i < LINES; i++) {
		lengths[i] = (size_t)random() % MOST;
		memset(all + total, 'a' + (int)(i % 26), lengths[i]);
		total += lengths[i];
		all[total++] = '\n';
	}
	assert_int_equal(pipe(ends), 0);
	while (at < total) {
		size_t piece = 1 + (size_t)random() % 2000;

		piece = piece < total - at ? piece : total - at;
		assert_int_equal(write(ends[1], all + at, piece), (ssize_t)piece);
		at += piece;
		while (piece > 0) {
			ssize_t got = buffer_read(&buffer, ends[0], 1 + (size_t)random() % 4096);

			assert_true(got > 0);
			piece -= (size_t)got;
			expect_lines(&buffer, &scanned, lengths, &next);
		}
	}
	assert_int_equal(next, LINES);
	assert_int_equal(buffer_length(&buffer), 0);
	buffer_free(&buffer);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	free(lengths);
	free(all);
}

static void a_full_buffer_says_so_and_reads_nothing(void **state)
{
	struct buffer buffer = { .limit = 4 };
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "123456", 6), 6);
	assert_int_equal(buffer_read(&buffer, ends[0], 100), 4);
	assert_int_equal(buffer_read(&buffer, ends[0], 100), -1);
	assert_int_equal(errno, ENOBUFS);
	buffer_drop(&buffer, 4);
	assert_int_equal(buffer_read(&buffer, ends[0], 100), 2);
	fd_close(&ends[1]);
	assert_int_equal(buffer_read(&buffer, ends[0], 1), 0);
	assert_memory_equal(buffer_bytes(&buffer), "56", 2);
	buffer_free(&buffer);
	fd_close(&ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_added_whole_or_not_at_all),
		cmocka_unit_test(memory_is_given_back_and_never_grows_beyond_the_limit),
		cmocka_unit_test(lines_come_out_as_they_went_in),
		cmocka_unit_test(random_pieces_make_the_same_lines),
		cmocka_unit_test(a_full_buffer_says_so_and_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
