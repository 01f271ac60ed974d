/* Why: the size of a message is what stands between a damaged peer and our memory.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/message.h"
#include "wire/message_row.h"

/* Worry: a row is read by another's number, or two messages have one name. */
static void test_rows(void **state)
{
	(void)state;
#define ROW(type, payload, sender, descriptor)                                                     \
	assert_string_equal(message_name(MESSAGE_##type), #type);                                  \
	assert_int_equal(message_row(MESSAGE_##type)->length, sizeof(struct payload));             \
	assert_int_equal(message_row(MESSAGE_##type)->from, sender);                               \
	assert_int_equal(message_row(MESSAGE_##type)->has_fd, strcmp(#descriptor, "ONE") == 0);
	MESSAGES(ROW)
#undef ROW
}

/* Worry: a number that is no type reads behind the table. */
static void test_unknown_types(void **state)
{
	(void)state;
	assert_int_equal(message_row(MESSAGE_INVALID)->from, FROM_NOBODY);
	assert_ptr_equal(message_row(MESSAGE_TYPES), message_row(MESSAGE_INVALID));
	assert_ptr_equal(message_row((enum message_type)0xffffffffu), message_row(MESSAGE_INVALID));
	assert_string_equal(message_name((enum message_type)12345), "INVALID");
}

/* Worry: a payload that is one byte off is read. */
static void test_fixed_sizes(void **state)
{
	static struct message m;

	(void)state;
	for (unsigned type = 1; type < MESSAGE_TYPES; type++) {
		size_t length = message_row((enum message_type)type)->length;

		if (type == MESSAGE_KEEP || type == MESSAGE_KEPT)
			continue;
		m.type = (enum message_type)type;
		assert_int_equal(message_length(&m), length);
		assert_true(message_fits(&m, length));
		assert_false(message_fits(&m, length - 1));
		assert_false(message_fits(&m, length + 1));
		assert_false(message_fits(&m, 0));
	}
}

/* Worry: a length inside the message is believed beyond what came, or beyond what there is room
 * for. */
static void test_kept_bytes(void **state)
{
	static const enum message_type types[] = { MESSAGE_KEEP, MESSAGE_KEPT };
	const size_t head = offsetof(struct message_keep, bytes);
	static struct message m;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		m = (struct message){ .type = types[i] };
		m.KEEP.length = 10;
		assert_int_equal(message_length(&m), head + 10);
		assert_true(message_fits(&m, head + 10));
		assert_false(message_fits(&m, head + 9));
		assert_false(message_fits(&m, head + 11));
		assert_false(message_fits(&m, head - 1));
		m.KEEP.length = 0;
		assert_true(message_fits(&m, head));
		m.KEEP.length = MESSAGE_KEEP_MAX;
		assert_true(message_fits(&m, head + MESSAGE_KEEP_MAX));
		m.KEEP.length = MESSAGE_KEEP_MAX + 1;
		assert_false(message_fits(&m, head + MESSAGE_KEEP_MAX + 1));
		m.KEEP.length = UINT32_MAX;
		assert_false(message_fits(&m, head - 1)); /* what 32 bits would make of the sum */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_fixed_sizes),
		cmocka_unit_test(test_kept_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
