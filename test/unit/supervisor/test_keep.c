/* Why: what an acceptor asked to keep is all that its successor knows of the workers' servers: a
 * record too many serves a dead worker, one too few stops a living one. SPDX-License-Identifier:
 * ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/keep.h"

static struct message_keep *record(uint32_t slot, uint64_t generation, uint32_t id,
				   const char *text)
{
	static struct message_keep made;

	made = (struct message_keep){ .pool = 1, .slot = slot, .generation = generation, .id = id };
	made.length = (uint32_t)strlen(text);
	memcpy(made.bytes, text, made.length);
	return &made;
}

/* "3/1/7=text;" of every record: slot, generation, id. */
static const char *printed(const struct keep *keep)
{
	static char text[512];
	const struct kept *k;
	size_t used = 0;

	text[0] = '\0';
	TAILQ_FOREACH (k, &keep->records, link) {
		assert_int_equal(k->size, offsetof(struct message_keep, bytes) + k->record.length);
		used += (size_t)snprintf(text + used, sizeof text - used, "%u/%llu/%u=%.*s;",
					 k->record.slot, (unsigned long long)k->record.generation,
					 k->record.id, (int)k->record.length, k->record.bytes);
	}
	return text;
}

/* Worry: a record replaces another's, or stands there twice. */
static void test_put(void **state)
{
	struct keep keep;

	(void)state;
	keep_begin(&keep);
	assert_string_equal(printed(&keep), "");
	keep_put(&keep, record(3, 1, 7, "a"));
	keep_put(&keep, record(3, 1, 8, "b"));
	keep_put(&keep, record(3, 2, 7, "c"));
	keep_put(&keep, record(4, 1, 7, "d"));
	assert_string_equal(printed(&keep), "3/1/7=a;3/1/8=b;3/2/7=c;4/1/7=d;");
	keep_put(&keep, record(3, 1, 8, "longer"));
	assert_string_equal(printed(&keep), "3/1/7=a;3/2/7=c;4/1/7=d;3/1/8=longer;");
	keep_put(&keep, record(3, 1, 7, ""));
	keep_put(&keep, record(9, 9, 9, "")); /* was never there */
	assert_string_equal(printed(&keep), "3/2/7=c;4/1/7=d;3/1/8=longer;");
	assert_int_equal(keep.count, 3);
	keep_end(&keep);
	assert_int_equal(keep.count, 0);
}

/* Worry: a dead generation's servers live on in the next. */
static void test_generations_go_alone(void **state)
{
	struct keep keep;
	struct message_keep *other;

	(void)state;
	keep_begin(&keep);
	keep_put(&keep, record(3, 1, 7, "a"));
	keep_put(&keep, record(3, 1, 8, "b"));
	keep_put(&keep, record(3, 2, 7, "c"));
	keep_put(&keep, record(4, 1, 7, "d"));
	other = record(3, 1, 7, "e");
	other->pool = 2;
	keep_put(&keep, other);
	keep_forget_generation(&keep, 1, 3, 1);
	assert_string_equal(printed(&keep), "3/2/7=c;4/1/7=d;3/1/7=e;");
	keep_forget_generation(&keep, 1, 3, 1);
	assert_int_equal(keep.count, 3);
	keep_end(&keep);
}

/* Worry: an application that opens ports in a loop eats the supervisor's memory; or the largest
 * lawful record is cut. */
static void test_bounds(void **state)
{
	const struct log_settings settings = { .level = LOG_ERROR, .role = "test" };
	struct message_keep *big = calloc(1, sizeof *big);
	const struct kept *k, *last = NULL;
	char line[512] = "";
	struct keep keep;
	int log[2];

	(void)state;
	keep_begin(&keep);
	for (uint32_t id = 0; id < 4096; id++)
		keep_put(&keep, record(0, 1, id, "x"));
	assert_int_equal(keep.count, 4096);
	assert_int_equal(fd_pair(SOCK_STREAM, log), 0);
	log_setup(&settings);
	log_to(log[1]);
	keep_put(&keep, record(0, 1, 4096, "x"));
	log_to(2);
	assert_true(read(log[0], line, sizeof line - 1) > 0);
	assert_non_null(strstr(line, "more than 4096 records"));
	assert_int_equal(keep.count, 4096);
	*big = *record(0, 1, 5, ""); /* one that is there may still change */
	big->length = MESSAGE_KEEP_MAX;
	memset(big->bytes, 'y', MESSAGE_KEEP_MAX);
	keep_put(&keep, big);
	assert_int_equal(keep.count, 4096);
	TAILQ_FOREACH (k, &keep.records, link)
		last = k;
	assert_memory_equal(&last->record, big, sizeof *big);
	keep_end(&keep);
	free(big);
	fd_close(&log[0]);
	fd_close(&log[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_generations_go_alone),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
