/* Why: workers in any language read these bytes by the specification, not by our code: they are
 * compared with the specification here. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "wire/proxy_header.h"

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

static struct peer v4(const char *host, uint16_t port)
{
	struct peer p = { .v4 = { .sin_family = AF_INET, .sin_port = htons(port) } };

	assert_int_equal(inet_pton(AF_INET, host, &p.v4.sin_addr), 1);
	return p;
}

static struct peer v6(const char *host, uint16_t port)
{
	struct peer p = { .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };

	assert_int_equal(inet_pton(AF_INET6, host, &p.v6.sin6_addr), 1);
	return p;
}

static void expect(const struct peer *from, const struct peer *to, const struct proxy_tlv *tlvs,
		   size_t count, const char *bytes, size_t length)
{
	char out[300];

	memset(out, 0x5a, sizeof out);
	assert_int_equal(proxy_header_write(out, sizeof out, from, to, tlvs, count), length);
	assert_memory_equal(out, bytes, length);
	assert_int_equal(out[length], 0x5a);
	/* Exactly enough room is enough; one byte less writes nothing beyond it. */
	memset(out, 0x5a, sizeof out);
	assert_int_equal(proxy_header_write(out, length, from, to, tlvs, count), length);
	for (size_t size = 0; size < length; size++) {
		memset(out, 0x5a, sizeof out);
		assert_int_equal(proxy_header_write(out, size, from, to, tlvs, count), 0);
		assert_int_equal(out[size], 0x5a);
	}
}

/* Worry: addresses or ports in the wrong order, or in the machine's byte order. */
static void test_v4(void **state)
{
	const struct peer from = v4("192.0.2.1", 0x1234), to = v4("198.51.100.2", 443);
	static const char bytes[] =
		SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb";

	(void)state;
	expect(&from, &to, NULL, 0, bytes, 28);
}

static void test_v6(void **state)
{
	const struct peer from = v6("2001:db8::1", 0x1234), to = v6("2001:db8::ffff:2", 80);
	static const char bytes[] = SIGNATURE "\x21\x21\x00\x24"
					      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
					      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\xff\xff\0\x02"
					      "\x12\x34\x00\x50";

	(void)state;
	expect(&from, &to, NULL, 0, bytes, 52);
}

/* Worry: the same client is v6 at a dual-stack listener and v4 elsewhere. */
static void test_mapped_is_v4(void **state)
{
	const struct peer from = v6("::ffff:192.0.2.1", 0x1234),
			  to = v6("::ffff:198.51.100.2", 443);
	const struct peer to4 = v4("198.51.100.2", 443);
	static const char bytes[] =
		SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb";

	(void)state;
	expect(&from, &to, NULL, 0, bytes, 28);
	expect(&from, &to4, NULL, 0, bytes, 28);
	expect(&to4, &from, NULL, 0,
	       SIGNATURE "\x21\x11\x00\x0c\xc6\x33\x64\x02\xc0\x00\x02\x01\x01\xbb\x12\x34", 28);
}

/* Worry: a mapped address that stands beside a real v6 one is cut to four bytes of a six-family
 * header. */
static void test_mapped_beside_v6(void **state)
{
	const struct peer from = v6("::ffff:192.0.2.1", 1), to = v6("2001:db8::1", 2);
	char out[64];

	(void)state;
	assert_int_equal(proxy_header_write(out, sizeof out, &from, &to, NULL, 0), 52);
	assert_int_equal(out[13], 0x21);
	assert_memory_equal(out + 16, &from.v6.sin6_addr, 16);
	assert_memory_equal(out + 32, &to.v6.sin6_addr, 16);
}

/* Worry: a client without an address gets one of zeros, or none and still PROXY. */
static void test_local(void **state)
{
	static const char bytes[] = SIGNATURE "\x20\x00\x00\x00";
	const struct peer path = { .any = { .sa_family = AF_UNIX } },
			  none = { .any = { .sa_family = AF_UNSPEC } };
	const struct peer four = v4("192.0.2.1", 1), six = v6("2001:db8::1", 2);

	(void)state;
	expect(&path, &path, NULL, 0, bytes, 16);
	expect(&none, &none, NULL, 0, bytes, 16);
	expect(&four, &none, NULL, 0, bytes, 16);
	expect(&none, &four, NULL, 0, bytes, 16);
	expect(&four, &six, NULL, 0, bytes, 16); /* different families */
	expect(&six, &four, NULL, 0, bytes, 16);
}

/* Worry: a TLV's length is in the machine's order, or not counted in the header's. */
static void test_tlvs(void **state)
{
	const struct peer from = v4("192.0.2.1", 0x1234), to = v4("198.51.100.2", 443),
			  none = { .any = { 0 } };
	const struct proxy_tlv tlvs[] = { { PROXY_TLV_UNIQUE_ID, 8, "\1\2\3\4\5\6\7\x08" },
					  { 0xe0, 1, "z" },
					  { 4, 0, "" } };
	static const char bytes[] =
		SIGNATURE "\x21\x11\x00\x1e\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"
			  "\x05\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08\xe0\x00\x01z\x04\x00\x00";
	static const char local[] =
		SIGNATURE "\x20\x00\x00\x0b\x05\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08";

	(void)state;
	expect(&from, &to, tlvs, 3, bytes, 46);
	expect(&none, &none, tlvs, 1, local, 27);
}

/* Worry: more than the header's length field can say is written. */
static void test_too_long(void **state)
{
	static char value[65535], out[200000];
	const struct peer from = v4("192.0.2.1", 1);
	struct proxy_tlv tlvs[] = { { 0xe0, 65535 - 12 - 3, value }, { 0xe0, 65535, value } };

	(void)state;
	assert_int_equal(proxy_header_write(out, sizeof out, &from, &from, tlvs, 1), 16 + 65535);
	tlvs[0].length++;
	assert_int_equal(proxy_header_write(out, sizeof out, &from, &from, tlvs, 1), 0);
	assert_int_equal(proxy_header_write(out, sizeof out, &from, &from, tlvs, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v4),           cmocka_unit_test(test_v6),
		cmocka_unit_test(test_mapped_is_v4), cmocka_unit_test(test_mapped_beside_v6),
		cmocka_unit_test(test_local),        cmocka_unit_test(test_tlvs),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
