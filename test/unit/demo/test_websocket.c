/* Why: frames come from strangers. The worries: a frame cut anywhere, a length that lies, a message
 * that never ends, text that is no text, and our own frames being wrong at the edges of their three
 * forms. Source: RFC 6455. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "demo/websocket.h"

static struct websocket websocket;
static struct websocket_frame frame;

static int begin(void **state)
{
	(void)state;
	websocket_begin(&websocket);
	return 0;
}

static int end(void **state)
{
	(void)state;
	websocket_end(&websocket);
	return 0;
}

/* A client's frame, masked, in fresh memory of exactly its size. */
static char *make(unsigned first, const char *payload, size_t length, size_t *size_r)
{
	static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	unsigned char head[WEBSOCKET_HEAD_MAX];
	const size_t size = websocket_head(WEBSOCKET_TEXT, length, head);
	char *bytes = malloc(size + 4 + length);

	head[0] = (unsigned char)first;
	head[1] |= 0x80;
	memcpy(bytes, head, size);
	memcpy(bytes + size, mask, 4);
	for (size_t i = 0; i < length; i++)
		bytes[size + 4 + i] = (char)(payload[i] ^ mask[i % 4]);
	*size_r = size + 4 + length;
	return bytes;
}

/* What reading it gives; the payload is compared where one is expected. */
static enum websocket_event feed(unsigned first, const char *payload, size_t length,
				 const char *expected)
{
	size_t size;
	char *bytes = make(first, payload, length, &size);
	const enum websocket_event event = websocket_read(&websocket, bytes, size, &frame);

	if (expected) {
		assert_int_equal(frame.length, strlen(expected));
		assert_memory_equal(frame.payload, expected, frame.length);
	}
	free(bytes);
	return event;
}

static void expect_broken(unsigned first, const char *payload, size_t length, unsigned code)
{
	assert_int_equal(feed(first, payload, length, NULL), WEBSOCKET_BROKEN);
	assert_int_equal(frame.code, code);
	websocket_end(&websocket);
	websocket_begin(&websocket);
}

/* The example of RFC 6455 1.3. */
static void the_handshake_answer_is_that_of_the_rfc(void **state)
{
	const struct http_text key = { "dGhlIHNhbXBsZSBub25jZQ==", 24 };
	char answer[WEBSOCKET_ACCEPT_SIZE];

	(void)state;
	assert_true(websocket_accept(key, answer));
	assert_string_equal(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void a_key_that_is_not_16_bytes_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQAA",
		"dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBsZSBub25jZQ==="
	};
	char answer[WEBSOCKET_ACCEPT_SIZE];

	(void)state;
	assert_false(websocket_accept((struct http_text){ NULL, 0 }, answer));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(
			websocket_accept((struct http_text){ wrong[i], strlen(wrong[i]) }, answer));
}

static void messages_of_every_form_of_length_are_read(void **state)
{
	static const size_t lengths[] = { 0, 1, 125, 126, 65535, WEBSOCKET_MESSAGE_MAX };
	static char payload[WEBSOCKET_MESSAGE_MAX];

	(void)state;
	memset(payload, 'a', sizeof payload);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		assert_int_equal(feed(0x82, payload, lengths[i], NULL), WEBSOCKET_GOT_MESSAGE);
		assert_int_equal(frame.opcode, WEBSOCKET_BINARY);
		assert_int_equal(frame.length, lengths[i]);
	}
}

static void every_beginning_of_a_frame_is_incomplete(void **state)
{
	static char payload[300];
	size_t size;
	char *whole = make(0x82, payload, sizeof payload, &size);

	(void)state;
	for (size_t length = 0; length < size; length++) {
		char *part = malloc(length ? length : 1);

		memcpy(part, whole, length);
		assert_int_equal(websocket_read(&websocket, part, length, &frame),
				 WEBSOCKET_INCOMPLETE);
		assert_int_equal(frame.used, 0);
		free(part);
	}
	assert_int_equal(websocket_read(&websocket, whole, size, &frame), WEBSOCKET_GOT_MESSAGE);
	assert_int_equal(frame.used, size);
	free(whole);
}

static void fragments_make_one_message_with_a_ping_between(void **state)
{
	(void)state;
	assert_int_equal(feed(0x01, "Hel", 3, NULL), WEBSOCKET_NOTHING_TO_DO);
	assert_int_equal(feed(0x89, "?", 1, "?"), WEBSOCKET_GOT_PING);
	assert_int_equal(feed(0x00, "", 0, NULL), WEBSOCKET_NOTHING_TO_DO);
	assert_int_equal(feed(0x80, "lo", 2, "Hello"), WEBSOCKET_GOT_MESSAGE);
	assert_int_equal(frame.opcode, WEBSOCKET_TEXT);
	assert_int_equal(feed(0x81, "next", 4, "next"), WEBSOCKET_GOT_MESSAGE);
}

static void a_letter_may_be_cut_by_a_fragment(void **state)
{
	(void)state;
	assert_int_equal(feed(0x01, "\xe2\x82", 2, NULL), WEBSOCKET_NOTHING_TO_DO);
	assert_int_equal(feed(0x80, "\xac", 1, "\xe2\x82\xac"), WEBSOCKET_GOT_MESSAGE);
}

static void what_the_protocol_forbids_breaks_the_connection(void **state)
{
	static char long_payload[126];

	(void)state;
	expect_broken(0xc1, "x", 1, WEBSOCKET_PROTOCOL_ERROR); /* reserved bit */
	expect_broken(0x83, "x", 1, WEBSOCKET_PROTOCOL_ERROR); /* unknown opcode */
	expect_broken(0x8b, "x", 1, WEBSOCKET_PROTOCOL_ERROR);
	expect_broken(0x09, "x", 1, WEBSOCKET_PROTOCOL_ERROR); /* fragmented ping */
	expect_broken(0x89, long_payload, sizeof long_payload, WEBSOCKET_PROTOCOL_ERROR);
	expect_broken(0x80, "x", 1, WEBSOCKET_PROTOCOL_ERROR); /* continuation of nothing */
	feed(0x01, "x", 1, NULL);
	expect_broken(0x81, "x", 1, WEBSOCKET_PROTOCOL_ERROR); /* a message within a message */
	expect_broken(0x81, "\xff", 1, WEBSOCKET_NOT_UTF8);
}

static void heads_that_lie_are_seen_before_their_payload(void **state)
{
	char unmasked[] = { (char)0x81, 1, 'x' };
	char long_form[] = { (char)0x82, (char)0xfe, 0, 5, 0, 0, 0, 0 };
	char longer_form[] = { (char)0x82, (char)0xff, 0,          0, 0, 0, 0,
			       0,          (char)0xff, (char)0xff, 0, 0, 0, 0 };
	char huge[] = { (char)0x82, (char)0xff, (char)0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(websocket_read(&websocket, unmasked, sizeof unmasked, &frame),
			 WEBSOCKET_BROKEN);
	assert_int_equal(frame.code, WEBSOCKET_PROTOCOL_ERROR);
	assert_int_equal(websocket_read(&websocket, long_form, sizeof long_form, &frame),
			 WEBSOCKET_BROKEN);
	assert_int_equal(websocket_read(&websocket, longer_form, sizeof longer_form, &frame),
			 WEBSOCKET_BROKEN);
	assert_int_equal(websocket_read(&websocket, huge, sizeof huge, &frame), WEBSOCKET_BROKEN);
	assert_int_equal(frame.code, WEBSOCKET_TOO_BIG);
}

static void a_message_is_bounded_however_it_is_cut(void **state)
{
	static char half[WEBSOCKET_MESSAGE_MAX / 2];

	(void)state;
	assert_int_equal(feed(0x02, half, sizeof half, NULL), WEBSOCKET_NOTHING_TO_DO);
	assert_int_equal(feed(0x00, half, sizeof half, NULL), WEBSOCKET_NOTHING_TO_DO);
	expect_broken(0x80, "x", 1, WEBSOCKET_TOO_BIG);
}

static void a_close_frame_says_why_or_nothing(void **state)
{
	(void)state;
	assert_int_equal(feed(0x88, "", 0, NULL), WEBSOCKET_GOT_CLOSE);
	assert_int_equal(frame.code, WEBSOCKET_NO_CODE);
	assert_int_equal(feed(0x88,
			      "\x03\xe8"
			      "bye",
			      5, NULL),
			 WEBSOCKET_GOT_CLOSE);
	assert_int_equal(frame.code, WEBSOCKET_NORMAL);
	expect_broken(0x88, "\x03", 1, WEBSOCKET_PROTOCOL_ERROR);
	expect_broken(0x88, "\x03\xed", 2, WEBSOCKET_PROTOCOL_ERROR); /* 1005 */
	expect_broken(0x88, "\x03\xe8\xff", 3, WEBSOCKET_NOT_UTF8);
}

static void our_heads_have_the_shortest_form(void **state)
{
	unsigned char head[WEBSOCKET_HEAD_MAX];

	(void)state;
	assert_int_equal(websocket_head(WEBSOCKET_TEXT, 125, head), 2);
	assert_memory_equal(head, "\x81\x7d", 2);
	assert_int_equal(websocket_head(WEBSOCKET_BINARY, 126, head), 4);
	assert_memory_equal(head, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(websocket_head(WEBSOCKET_BINARY, 65536, head), 10);
	assert_memory_equal(head, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
}

static void text_is_utf8_and_nothing_else(void **state)
{
	static const char *const good[] = { "",
					    "a",
					    "\xc3\xa4",
					    "\xe2\x82\xac",
					    "\xf0\x9f\x90\x9a",
					    "\xed\x9f\xbf",
					    "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80",
					   "\xc0\xaf",
					   "\xc1\xbf",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xf0\x80\x80\x80",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "\xe2\x82",
					   "\xc3(",
					   "\xe2\x82(",
					   "\xff" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(websocket_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(websocket_is_utf8(bad[i], strlen(bad[i])));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_handshake_answer_is_that_of_the_rfc),
		CASE(a_key_that_is_not_16_bytes_is_refused),
		CASE(messages_of_every_form_of_length_are_read),
		CASE(every_beginning_of_a_frame_is_incomplete),
		CASE(fragments_make_one_message_with_a_ping_between),
		CASE(a_letter_may_be_cut_by_a_fragment),
		CASE(what_the_protocol_forbids_breaks_the_connection),
		CASE(heads_that_lie_are_seen_before_their_payload),
		CASE(a_message_is_bounded_however_it_is_cut),
		CASE(a_close_frame_says_why_or_nothing),
		CASE(our_heads_have_the_shortest_form),
		CASE(text_is_utf8_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
