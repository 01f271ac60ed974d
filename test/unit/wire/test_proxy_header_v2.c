/* Why: version 2 is sixteen bytes in which every combination means something or must be refused:
 * all of them are tried, and judged by a second reading of the specification that shares nothing
 * with the first (proxy-protocol.txt 2.2). SPDX-License-Identifier: ISC */
#include "proxy_reading.h"

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

enum verdict {
	REFUSED,
	OWN_ADDRESSES,
	TOLD_V4,
	TOLD_V6
};

/* Behind the addresses stand zeros or one NOOP that fills the rest, which needs 3 bytes. */
static enum verdict judge_addresses(unsigned family, unsigned length)
{
	unsigned addresses;

	switch (family) {
	case 0x11:
	case 0x12:
		addresses = 12;
		break;
	case 0x21:
	case 0x22:
		addresses = 36;
		break;
	case 0x31:
	case 0x32:
		addresses = 216;
		break;
	case 0x00: /* UNSPEC in one half or in both */
	case 0x01:
	case 0x02:
	case 0x10:
	case 0x20:
	case 0x30:
		return OWN_ADDRESSES;
	default:
		return REFUSED;
	}
	if (length != addresses && length < addresses + 3)
		return REFUSED;
	return family == 0x11 ? TOLD_V4 : family == 0x21 ? TOLD_V6 : OWN_ADDRESSES;
}

static enum verdict judge(unsigned command, unsigned family, unsigned length)
{
	if (length > 4096 - 16)
		return REFUSED;
	if (command == 0x20)
		return OWN_ADDRESSES;
	return command == 0x21 ? judge_addresses(family, length) : REFUSED;
}

/* A NOOP behind the addresses of this family. */
static void fill(uint8_t *bytes, unsigned family, size_t length)
{
	static const size_t sizes[] = { 0, 12, 36, 216 };
	const size_t at = 16 + (family >> 4 < 4 ? sizes[family >> 4] : 0);

	for (size_t i = 16; i < length; i++)
		bytes[i] = i < at ? (uint8_t)i : 0;
	if (length >= at + 3) {
		bytes[at] = 0x04;
		bytes[at + 1] = (uint8_t)((length - at - 3) >> 8);
		bytes[at + 2] = (uint8_t)(length - at - 3);
	}
}

static void expect_verdict(const uint8_t *bytes, size_t have, enum verdict verdict)
{
	struct proxy_header header;
	size_t length = 0, needed = 0;
	const char *why = NULL;
	const enum proxy_progress progress =
		proxy_header_read(bytes, have, &header, &length, &needed, &why);

	if (progress != (verdict == REFUSED ? PROXY_BAD : PROXY_DONE))
		fail_msg("%02x %02x %02x%02x: %d, %s", bytes[12], bytes[13], bytes[14], bytes[15],
			 progress, why);
	if (verdict == REFUSED)
		return;
	assert_int_equal(length, have);
	assert_int_equal(header.is_local, verdict == OWN_ADDRESSES);
	assert_int_equal(header.from.any.sa_family, verdict == OWN_ADDRESSES ? AF_UNSPEC
						    : verdict == TOLD_V4     ? AF_INET
									     : AF_INET6);
	if (verdict == TOLD_V4) {
		assert_memory_equal(&header.from.v4.sin_addr, bytes + 16, 4);
		assert_memory_equal(&header.to.v4.sin_addr, bytes + 20, 4);
		assert_memory_equal(&header.from.v4.sin_port, bytes + 24, 2);
		assert_memory_equal(&header.to.v4.sin_port, bytes + 26, 2);
	} else if (verdict == TOLD_V6) {
		assert_memory_equal(&header.from.v6.sin6_addr, bytes + 16, 16);
		assert_memory_equal(&header.to.v6.sin6_addr, bytes + 32, 16);
		assert_memory_equal(&header.from.v6.sin6_port, bytes + 48, 2);
		assert_memory_equal(&header.to.v6.sin6_port, bytes + 50, 2);
	}
}

/* Worry: a combination that nobody thought of crashes, is believed, or reads behind its end. */
static void test_every_combination(void **state)
{
	static const unsigned lengths[] = { 0,   1,   11,  12,   13,   35,   36,   37,
					    215, 216, 217, 4080, 4081, 4096, 65535 };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		const unsigned length = lengths[i];
		uint8_t *bytes = malloc(16 + length);

		assert_non_null(bytes);
		memcpy(bytes, SIGNATURE, 12);
		bytes[14] = (uint8_t)(length >> 8);
		bytes[15] = (uint8_t)length;
		for (unsigned family = 0; family < 256; family++) {
			bytes[13] = (uint8_t)family;
			fill(bytes, family, 16 + length);
			for (unsigned command = 0; command < 256; command++) {
				bytes[12] = (uint8_t)command;
				expect_verdict(bytes, 16 + length, judge(command, family, length));
			}
		}
		free(bytes);
	}
}

/* Worry: what can only be refused is waited for. */
static void test_refused_early(void **state)
{
	uint8_t bytes[16];

	(void)state;
	memcpy(bytes, SIGNATURE "\x21\x11\xff\xff", 16);
	assert_int_equal(proxy_look(bytes, 16).progress, PROXY_BAD);
	bytes[14] = 0x0f;
	bytes[15] = 0xf0;
	assert_int_equal(proxy_look(bytes, 16).needed, 4080);
	bytes[15] = 0xf1;
	assert_string_equal(proxy_look(bytes, 16).why, "it is longer than 4096 bytes");
	bytes[15] = 0;
	bytes[12] = 0x31;
	assert_string_equal(proxy_look(bytes, 16).why, "its version is neither 1 nor 2");
	bytes[12] = 0x22;
	assert_string_equal(proxy_look(bytes, 16).why, "its command is neither LOCAL nor PROXY");
	bytes[12] = 0x21;
	bytes[13] = 0x41;
	assert_string_equal(proxy_look(bytes, 16).why,
			    "its address family or protocol does not exist");
	for (size_t i = 0; i < 12; i++) {
		memcpy(bytes, SIGNATURE, 12);
		bytes[i] ^= 1;
		assert_int_equal(proxy_look(bytes, i + 1).progress, PROXY_BAD);
	}
}

/* Worry: a split, or what stands behind, changes what a header says. */
static void test_splits(void **state)
{
	static const char v4[] =
		SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb";
	static const char v6[] = SIGNATURE "\x21\x21\x00\x24"
					   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
					   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\xff\xff\0\x02"
					   "\x12\x34\x00\x50";
	static const char mapped[] = SIGNATURE "\x21\x21\x00\x24"
					       "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
					       "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x02"
					       "\x00\x00\xff\xff";
	static const char local[] = SIGNATURE "\x20\x11\x00\x05junk!";
	struct proxy_header header;

	(void)state;
	header = proxy_expect_whole(v4, 28);
	proxy_expect_peer(&header.from, "192.0.2.1", 0x1234);
	proxy_expect_peer(&header.to, "198.51.100.2", 443);
	header = proxy_expect_whole(v6, 52);
	proxy_expect_peer(&header.from, "2001:db8::1", 0x1234);
	proxy_expect_peer(&header.to, "2001:db8::ffff:2", 80);
	header = proxy_expect_whole(mapped, 52);
	proxy_expect_peer(&header.from, "::ffff:192.0.2.1", 0);
	proxy_expect_peer(&header.to, "::ffff:192.0.2.2", 65535);
	header = proxy_expect_whole(local, 21);
	assert_true(header.is_local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_refused_early),
		cmocka_unit_test(test_splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
