/* Why: these bytes come from anybody, before anything is known of him, and decide which pool he
 * reaches. Right ones are built here from the structures of RFC 8446 4.1.2, then bent.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "front/client_hello.h"
#include "recorded_hello.h"

struct bytes {
	uint8_t at[40000];
	size_t length;
};

struct looked {
	enum client_hello_progress progress;
	char name[CLIENT_HELLO_NAME];
	size_t needed;
	const char *why;
};

/* One look at a copy whose end is the end of its memory. */
static struct looked look(const void *bytes, size_t have)
{
	struct looked l = { .needed = SIZE_MAX };
	uint8_t *copy = malloc(have > 0 ? have : 1);

	assert_non_null(copy);
	if (have > 0)
		memcpy(copy, bytes, have);
	l.progress = client_hello_read(copy, have, l.name, &l.needed, &l.why);
	free(copy);
	assert_true((l.progress == CLIENT_HELLO_MORE) == (l.needed != SIZE_MAX && l.needed > 0));
	assert_true((l.progress == CLIENT_HELLO_BAD) == (l.why != NULL));
	return l;
}

static void expect_name(const void *bytes, size_t length, const char *name)
{
	struct looked whole = look(bytes, length);

	if (whole.progress != CLIENT_HELLO_DONE)
		fail_msg("not taken: %s", whole.why ? whole.why : "more is wanted");
	assert_string_equal(whole.name, name);
	for (size_t have = 0; have < length; have++) {
		const struct looked part = look(bytes, have);

		if (part.progress != CLIENT_HELLO_MORE || part.needed > length - have)
			fail_msg("%zu of %zu: progress %d, needed %zu", have, length, part.progress,
				 part.needed);
	}
}

static void expect_bad(const void *bytes, size_t length, const char *why)
{
	const struct looked whole = look(bytes, length);

	assert_int_equal(whole.progress, CLIENT_HELLO_BAD);
	assert_string_equal(whole.why, why);
	for (size_t have = 0; have < length; have++)
		assert_int_not_equal(look(bytes, have).progress, CLIENT_HELLO_DONE);
}

static void add(struct bytes *b, const void *bytes, size_t length)
{
	assert_true(b->length + length <= sizeof b->at);
	memcpy(b->at + b->length, bytes, length);
	b->length += length;
}

static void add_number(struct bytes *b, size_t size, size_t number)
{
	while (size-- > 0) {
		const uint8_t byte = (uint8_t)(number >> size * 8);

		add(b, &byte, 1);
	}
}

/* The message without its head; extensions NULL: it ends without any. */
static struct bytes hello_body(const void *extensions, size_t length)
{
	struct bytes b = { .length = 0 };

	add_number(&b, 2, 0x0303);
	for (uint8_t i = 0; i < 32; i++)
		add(&b, &i, 1);
	add_number(&b, 1, 0);      /* session id */
	add_number(&b, 2, 2);      /* cipher suites */
	add_number(&b, 2, 0x1301); /* TLS_AES_128_GCM_SHA256 */
	add_number(&b, 1, 1);      /* compression */
	add_number(&b, 1, 0);
	if (extensions) {
		add_number(&b, 2, length);
		add(&b, extensions, length);
	}
	return b;
}

/* In records of at most `size` bytes each. */
static struct bytes in_records(const struct bytes *body, size_t size)
{
	struct bytes message = { .length = 0 }, b = { .length = 0 };

	add_number(&message, 1, 1);
	add_number(&message, 3, body->length);
	add(&message, body->at, body->length);
	for (size_t at = 0; at < message.length; at += size) {
		const size_t piece = message.length - at < size ? message.length - at : size;

		add(&b, "\x16\x03\x01", 3);
		add_number(&b, 2, piece);
		add(&b, message.at + at, piece);
	}
	return b;
}

static struct bytes with_extensions(const void *extensions, size_t length)
{
	const struct bytes body = hello_body(extensions, length);

	return in_records(&body, 16384);
}

/* A server_name extension with one host name. */
static struct bytes with_name(const void *name, size_t length)
{
	struct bytes e = { .length = 0 };

	add_number(&e, 2, 0);
	add_number(&e, 2, length + 5);
	add_number(&e, 2, length + 3);
	add_number(&e, 1, 0);
	add_number(&e, 2, length);
	add(&e, name, length);
	return with_extensions(e.at, e.length);
}

#define EXTENSIONS_BAD(text, why)                                                                  \
	do {                                                                                       \
		const struct bytes b_ = with_extensions(text, sizeof(text) - 1);                   \
		expect_bad(b_.at, b_.length, why);                                                 \
	} while (0)

/* Worry: real clients are not understood. */
static void test_recorded(void **state)
{
	(void)state;
	expect_name(hello_openssl, sizeof hello_openssl, "chat.example.org");
	expect_name(hello_no_name, sizeof hello_no_name, "");
	expect_name(hello_gnutls, sizeof hello_gnutls, "web.example.org");
}

/* Worry: what follows at once (early data, a second flight) makes a right one wrong. */
static void test_more_behind(void **state)
{
	struct bytes b = { .length = 0 };

	(void)state;
	add(&b, hello_openssl, sizeof hello_openssl);
	add(&b, "\x14\x03\x03\x00\x01\x01\x17\x03\x03\xff\xff", 11);
	assert_int_equal(look(b.at, b.length).progress, CLIENT_HELLO_DONE);
	memset(b.at + b.length, 0xee, 30000);
	assert_int_equal(look(b.at, b.length + 30000).progress, CLIENT_HELLO_DONE);
}

static void test_records(void **state)
{
	const struct bytes whole = with_name("a.example.org", 13);
	const struct bytes body = { .length = 0 };
	struct bytes message = body;

	(void)state;
	add(&message, whole.at + 9, whole.length - 9);
	for (size_t size = 1; size < message.length + 5; size++) {
		const struct bytes b = in_records(&message, size);

		expect_name(b.at, b.length, "a.example.org");
	}
}

/* Worry: each byte wakes us, or we ask for more than there will be. */
static void test_needed(void **state)
{
	const size_t length = sizeof hello_openssl;

	(void)state;
	assert_int_equal(look(NULL, 0).needed, 9);
	assert_int_equal(look(hello_openssl, 3).needed, 6);
	assert_int_equal(look(hello_openssl, 5).needed, 4);
	assert_int_equal(look(hello_openssl, 9).needed, length - 9);
	assert_int_equal(look(hello_openssl, length - 1).needed, 1);
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *read;
	} rows[] = {
		{ "a", "a" },
		{ "EXAMPLE.Org", "example.org" },
		{ "xn--mnchen-3ya.de", "xn--mnchen-3ya.de" },
		{ "my_host.example.org", "my_host.example.org" },
		{ "0-9.example.org", "0-9.example.org" },
		{ "192.0.2.1", "192.0.2.1" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b" },
	};
	static const char *const wrongs[] = {
		".",
		"a.",
		".a",
		"a..b",
		"a b",
		"a\nb",
		"a/b",
		"*.example.org",
		"\x1b[31mred",
		"\x07",
		"m\xc3\xbcnchen.de",
		"[::1]",
		"a:443",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
	};
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		b = with_name(rows[i].name, strlen(rows[i].name));
		expect_name(b.at, b.length, rows[i].read);
	}
	for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
		b = with_name(wrongs[i], strlen(wrongs[i]));
		expect_bad(b.at, b.length, "its server name is no host name");
	}
	b = with_name("bank.example\0.evil.org", 22);
	expect_bad(b.at, b.length, "its server name is no host name");
}

static void test_long_names(void **state)
{
	char name[300];
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = i % 50 == 49 ? '.' : 'n';
	b = with_name(name, 253);
	assert_int_equal(strlen(look(b.at, b.length).name), 253);
	b = with_name(name, 254);
	expect_bad(b.at, b.length, "its server name is no host name");
	b = with_name(name, 298);
	expect_bad(b.at, b.length, "its server name is no host name");
}

static void test_server_name_extension(void **state)
{
	static const char wrong[] = "its server_name extension has a wrong length";
	struct bytes b;

	(void)state;
	EXTENSIONS_BAD("\0\0\0\0", wrong);
	EXTENSIONS_BAD("\0\0\0\2\0\0", wrong);
	EXTENSIONS_BAD("\0\0\0\3\0\1\0", wrong);
	EXTENSIONS_BAD("\0\0\0\5\0\3\0\0\0", wrong);  /* an empty name */
	EXTENSIONS_BAD("\0\0\0\6\0\4\0\0\2a", wrong); /* its name leads out of the list */
	EXTENSIONS_BAD("\0\0\0\6\0\5\0\0\1a", wrong); /* the list leads out of the extension */
	EXTENSIONS_BAD("\0\0\0\7\0\4\0\0\1az", wrong);
	EXTENSIONS_BAD("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b", "it names two hosts");
	EXTENSIONS_BAD("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1b",
		       "it has two server_name extensions");
	/* a type of name that nobody has invented yet is skipped */
	b = with_extensions("\0\0\0\x0a\0\x08\x07\0\1?\0\0\1b", 14);
	expect_name(b.at, b.length, "b");
	b = with_extensions("\0\0\0\6\0\4\x07\0\1?", 10);
	expect_name(b.at, b.length, "");
}

static void test_extensions(void **state)
{
	static const char ends[] = "its extensions do not end where it ends";
	struct bytes b = hello_body(NULL, 0);

	(void)state;
	b = in_records(&b, 16384);
	expect_name(b.at, b.length, "");
	b = with_extensions("", 0);
	expect_name(b.at, b.length, "");
	EXTENSIONS_BAD("\0", ends);
	EXTENSIONS_BAD("\0\x2b\0", ends);
	EXTENSIONS_BAD("\0\x2b\0\1", ends);
	EXTENSIONS_BAD("\0\x2b\xff\xff\1", ends);
	b = hello_body("\0\x2b\0\0", 4);
	add(&b, "x", 1);
	b = in_records(&b, 16384);
	expect_bad(b.at, b.length, ends);
	b = hello_body(NULL, 0);
	add(&b, "x", 1);
	b = in_records(&b, 16384);
	expect_bad(b.at, b.length, ends);
}

/* Worry: a length inside leads outside. */
static void test_body_lengths(void **state)
{
	const struct bytes right = hello_body(NULL, 0);
	struct bytes b;

	(void)state;
	for (size_t length = 0; length < right.length; length++) {
		struct bytes body = right;

		body.length = length;
		b = in_records(&body, 16384);
		expect_bad(b.at, b.length,
			   length < 2 ? "its version is that of no TLS"
				      : "a length in it is wrong");
	}
	for (size_t at = 34; at < right.length; at++)
		for (unsigned value = 0; value < 256; value++) {
			struct bytes body = right;

			body.at[at] = (uint8_t)value;
			b = in_records(&body, 16384);
			assert_int_not_equal(look(b.at, b.length).progress, CLIENT_HELLO_MORE);
		}
	b = right;
	b.at[0] = 2;
	b = in_records(&b, 16384);
	expect_bad(b.at, b.length, "its version is that of no TLS");
}

/* Worry: what is no TLS is waited for. */
static void test_not_tls(void **state)
{
	static const char not [] = "it does not begin with a handshake record of TLS";
	struct bytes b;

	(void)state;
	expect_bad("GET / HTTP/1.1", 14, not );
	expect_bad("\x80\x2e\x01\x03\x01", 5, not ); /* SSL 2 */
	expect_bad("\x17\x03\x03\x00\x01\x00", 6, not );
	expect_bad("\x16\x02", 2, not );
	assert_int_equal(look("G", 1).progress, CLIENT_HELLO_BAD);
	expect_bad("\x16\x03\x01\x00\x00", 5, "a record's length is wrong");
	expect_bad("\x16\x03\x01\x40\x01", 5, "a record's length is wrong");
	expect_bad("\x16\x03\x01\x00\x04\x02", 6, "its first handshake message is no ClientHello");
	b = with_name("a", 1);
	b.at[0] = 0x15;
	expect_bad(b.at, b.length, not );
}

/* Worry: a hello without end is gathered without end. */
static void test_too_long(void **state)
{
	static uint8_t extension[17000];
	struct bytes body, b;

	(void)state;
	extension[1] = 0x15; /* padding */
	for (size_t size = 16200; size < 16500; size++) {
		extension[2] = (uint8_t)((size - 4) >> 8);
		extension[3] = (uint8_t)(size - 4);
		body = hello_body(extension, size);
		b = in_records(&body, 16384);
		assert_int_equal(look(b.at, b.length).progress, b.length <= CLIENT_HELLO_MAX
									? CLIENT_HELLO_DONE
									: CLIENT_HELLO_BAD);
		/* known as soon as its length is */
		assert_int_equal(look(b.at, 9).progress, b.length <= CLIENT_HELLO_MAX
								 ? CLIENT_HELLO_MORE
								 : CLIENT_HELLO_BAD);
	}
	expect_bad("\x16\x03\x01\x00\x40\x01\xff\xff\xff", 9, "it is longer than 16 KiB");
	extension[2] = 3000 >> 8;
	extension[3] = (uint8_t)3000;
	body = hello_body(extension, 3004);
	b = in_records(&body, 1); /* six bytes for each */
	assert_int_equal(look(b.at, b.length).progress, CLIENT_HELLO_BAD);
	assert_int_equal(look(b.at, CLIENT_HELLO_MAX).progress, CLIENT_HELLO_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),   cmocka_unit_test(test_more_behind),
		cmocka_unit_test(test_records),    cmocka_unit_test(test_needed),
		cmocka_unit_test(test_names),      cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_extensions), cmocka_unit_test(test_server_name_extension),
		cmocka_unit_test(test_not_tls),    cmocka_unit_test(test_body_lengths),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
