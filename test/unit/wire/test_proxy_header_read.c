/* Why: what a TLV says goes to workers as the truth about a client. Lengths that disagree, texts
 * with holes and checksums that do not hold are refused; what others send, and what we write
 * ourselves, is understood. SPDX-License-Identifier: ISC */
#include "proxy_reading.h"

#include <stdio.h>

#include "wire/proxy_layout.h"

#define FIRST "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11"
#define PAIR  "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"

struct bytes {
	uint8_t at[PROXY_V2_MAX + 16];
	size_t length;
};

/* A TCP4 header with these TLVs. */
static struct bytes with(const void *tlvs, size_t length)
{
	struct bytes b = { .length = 28 + length };

	assert_true(b.length <= sizeof b.at);
	memcpy(b.at, FIRST "\0\0" PAIR, 28);
	memcpy(b.at + 28, tlvs, length);
	b.at[14] = (uint8_t)((12 + length) >> 8);
	b.at[15] = (uint8_t)(12 + length);
	return b;
}

static struct passport expect_right(const void *tlvs, size_t length)
{
	const struct bytes b = with(tlvs, length);
	const struct proxy_header header = proxy_expect_whole(b.at, b.length);

	assert_false(header.is_local);
	proxy_expect_peer(&header.from, "192.0.2.1", 0x1234);
	return header.passport;
}

static void expect_wrong(const void *tlvs, size_t length, const char *why)
{
	const struct bytes b = with(tlvs, length);

	assert_string_equal(proxy_expect_bad(b.at, b.length), why);
}

#define RIGHT(tlvs)      expect_right(tlvs, sizeof(tlvs) - 1)
#define WRONG(tlvs, why) expect_wrong(tlvs, sizeof(tlvs) - 1, why)

/* Worry: a length leads beyond the header, or leaves something over (HAProxy 7209c204b,
 * CVE-2019-10097). */
static void test_ends(void **state)
{
	static const char ends[] = "its TLVs do not end where it ends";

	(void)state;
	WRONG("\x04", ends);
	WRONG("\x04\x00", ends);
	WRONG("\x04\x00\x01", ends);
	WRONG("\x04\xff\xff", ends);
	WRONG("\xe0\x00\x05"
	      "four",
	      ends);
	WRONG("\x04\x00\x00\x04", ends);
	WRONG("\x04\x00\x00\x04\x00", ends);
	WRONG("\x01\x00\x02h2\x04\x00\x01", ends);
	RIGHT("\x04\x00\x00");
	RIGHT("\x04\x00\x00\x04\x00\x03xyz\x04\x00\x00");
	RIGHT("\xe0\x00\x00\xff\x00\x01\x00\xe0\x00\x00"); /* not ours, even twice */
	RIGHT("\x30\x00\x02ns\x00\x00\x00\x3f\x00\x00");
}

static void test_texts(void **state)
{
	struct passport p;

	(void)state;
	p = RIGHT("\x01\x00\x02h2\x02\x00\x10"
		  "Chat.EXAMPLE.org");
	assert_string_equal(p.alpn, "h2");
	assert_string_equal(p.server_name, "chat.example.org");
	assert_false(p.is_tls);
	p = RIGHT("\x02\x00\x03\xe2\x82\xac");
	assert_string_equal(p.server_name, "\xe2\x82\xac");
	p = RIGHT("\x01\x00\x00\x02\x00\x00");
	assert_string_equal(p.alpn, "");
	assert_string_equal(p.server_name, "");
	/* an ALPN may be any bytes: what is no text is left out */
	p = RIGHT("\x01\x00\x02\x0a\x0a");
	assert_string_equal(p.alpn, "");
	p = RIGHT("\x01\x00\x21"
		  "0123456789abcdef0123456789abcdef0");
	assert_string_equal(p.alpn, "");
}

/* Worry: the name that we compare and the name that a worker compares are different ones. */
static void test_wrong_names(void **state)
{
	char tlv[3 + 300] = "\x02\x01\x00";
	struct passport p;

	(void)state;
	WRONG("\x02\x00\x0b"
	      "bank\0.evil.",
	      "its server name is no text");
	WRONG("\x02\x00\x05"
	      "bank\0",
	      "its server name is no text");
	WRONG("\x02\x00\x01\0", "its server name is no text");
	WRONG("\x02\x00\x05"
	      "a\r\nb:",
	      "its server name is no text");
	WRONG("\x02\x00\x04\x1b[2J", "its server name is no text");
	WRONG("\x02\x00\x02\xc3\x28", "its server name is no text");
	memset(tlv + 3, 'n', sizeof tlv - 3);
	expect_wrong(tlv, 3 + 256, "its server name has more than 255 bytes");
	memcpy(tlv, "\x02\x00\xff", 3);
	p = expect_right(tlv, 3 + 255);
	assert_int_equal(strlen(p.server_name), 255);
	WRONG("\x02\x00\x01"
	      "a\x02\x00\x01"
	      "b",
	      "it has the same TLV twice");
	WRONG("\x01\x00\x01"
	      "a\x01\x00\x01"
	      "a",
	      "it has the same TLV twice");
}

static void test_unique_id(void **state)
{
	char tlv[3 + 129] = "\x05\x00\x80";

	(void)state;
	expect_right(tlv, 3 + 128);
	tlv[2] = '\x81';
	expect_wrong(tlv, 3 + 129, "its unique id has more than 128 bytes");
	WRONG("\x05\x00\x01x\x05\x00\x01x", "it has the same TLV twice");
}

static void test_ssl(void **state)
{
	struct passport p;

	(void)state;
	/* as HAProxy 2.6 sends it for a client without a certificate: verify is 0 all the same */
	p = RIGHT("\x20\x00\x28\x01\x00\x00\x00\x00\x21\x00\x07TLSv1.3\x23\x00\x16"
		  "TLS_AES_256_GCM_SHA384");
	assert_true(p.is_tls);
	assert_false(p.is_verified);
	assert_string_equal(p.tls_version, "TLSv1.3");
	assert_string_equal(p.cipher, "TLS_AES_256_GCM_SHA384");
	assert_string_equal(p.client_name, "");
	p = RIGHT("\x20\x00\x0d\x05\x00\x00\x00\x00\x22\x00\x05"
		  "alice");
	assert_true(p.is_verified);
	assert_string_equal(p.client_name, "alice");
	p = RIGHT("\x20\x00\x05\x03\x00\x00\x00\x00");
	assert_true(p.is_verified);
	p = RIGHT("\x20\x00\x05\x07\x00\x00\x00\x01");
	assert_false(p.is_verified);
	p = RIGHT("\x20\x00\x05\x06\x00\x00\x00\x00"); /* a certificate without TLS: neither */
	assert_false(p.is_tls);
	assert_false(p.is_verified);
	p = RIGHT("\x20\x00\x0e\x01\x00\x00\x00\x01\x24\x00\x06SHA256"); /* not ours */
	assert_true(p.is_tls);
}

/* Worry: parts of the part lead out of it. */
static void test_wrong_ssl(void **state)
{
	static const char ends[] = "its SSL part does not end where it says";
	static const char shorter[] = "its SSL part is too short";

	(void)state;
	WRONG("\x20\x00\x00", shorter);
	WRONG("\x20\x00\x04\x01\x00\x00\x00", shorter);
	WRONG("\x20\x00\x06\x01\x00\x00\x00\x00\x21", ends);
	WRONG("\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x01", ends);
	/* its length would fit the header, but not the part */
	WRONG("\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x03\x04\x00\x00", ends);
	WRONG("\x20\x00\x08\x01\x00\x00\x00\x00\x21\xff\xff", ends);
	WRONG("\x20\x00\x0d\x05\x00\x00\x00\x00\x22\x00\x05"
	      "al\0ce",
	      "the client certificate's name has a NUL byte");
	WRONG("\x20\x00\x0b\x05\x00\x00\x00\x00\x22\x00\x00\x22\x00\x00",
	      "its SSL part says something twice");
	WRONG("\x20\x00\x05\x01\x00\x00\x00\x00\x20\x00\x05\x01\x00\x00\x00\x00",
	      "it has the same TLV twice");
}

/* Worry: a name that is too long becomes the name of somebody else. */
static void test_long_names_are_left_out(void **state)
{
	uint8_t tlv[3 + 5 + 3 + 128] = { 0x20, 0, 5 + 3 + 128, 0x05, 0, 0, 0, 0, 0x22, 0, 128 };
	struct passport p;

	(void)state;
	memset(tlv + 11, 'c', 128);
	p = expect_right(tlv, sizeof tlv);
	assert_true(p.is_verified);
	assert_string_equal(p.client_name, "");
	tlv[2]--;
	tlv[10]--;
	p = expect_right(tlv, sizeof tlv - 1);
	assert_int_equal(strlen(p.client_name), 127);
}

static void test_checksum(void **state)
{
	struct bytes b = with("\x01\x00\x02h2\x03\x00\x04\0\0\0\0\xe0\x00\x01z", 16);
	const size_t at = 28 + 5 + 3;
	uint32_t crc = htonl(proxy_crc32c(b.at, b.length, at));

	(void)state;
	memcpy(b.at + at, &crc, 4);
	proxy_expect_whole(b.at, b.length);
	for (size_t i = 16; i < b.length; i++) {
		if (i == 33 || i == 28 || i == 40) /* becomes another TLV */
			continue;
		b.at[i] ^= 0x01;
		proxy_expect_bad(b.at, b.length);
		b.at[i] ^= 0x01;
	}
	WRONG("\x03\x00\x03\0\0\0", "its checksum has not 4 bytes");
	WRONG("\x03\x00\x05\0\0\0\0\0", "its checksum has not 4 bytes");
	WRONG("\x03\x00\x04\0\0\0\0", "its checksum is wrong");
	WRONG("\x03\x00\x00", "its checksum has not 4 bytes");
}

static struct passport full_passport(void)
{
	struct passport p;

	memset(&p, 0, sizeof p);
	p.from = proxy_peer("192.0.2.1", 4660);
	p.to = proxy_peer("198.51.100.2", 443);
	p.is_tls = p.is_verified = true;
	snprintf(p.tls_version, sizeof p.tls_version, "TLSv1.2");
	snprintf(p.cipher, sizeof p.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
	snprintf(p.alpn, sizeof p.alpn, "http/1.1");
	snprintf(p.server_name, sizeof p.server_name, "chat.example.org");
	snprintf(p.client_name, sizeof p.client_name, "Alice M\xc3\xbcller");
	return p;
}

static void expect_round_trip(const struct passport *p, size_t unique, bool checksum)
{
	static const uint8_t id[128] = { 1, 2, 3 };
	uint8_t out[1024];
	const size_t length = proxy_header_write_passport(out, sizeof out, p, id, unique, checksum);
	struct passport back, expected = *p;
	struct proxy_header header;

	assert_true(length > 0);
	for (size_t size = 0; size < length; size++)
		assert_int_equal(proxy_header_write_passport(out, size, p, id, unique, checksum),
				 0);
	assert_int_equal(proxy_header_write_passport(out, length, p, id, unique, checksum), length);
	header = proxy_expect_whole(out, length);
	assert_memory_equal(&header.from, &p->from, sizeof p->from);
	assert_memory_equal(&header.to, &p->to, sizeof p->to);
	back = header.passport;
	memset(&expected.from, 0, sizeof expected.from);
	memset(&expected.to, 0, sizeof expected.to);
	assert_memory_equal(&back, &expected, sizeof back);
}

static void fill_text(char *text, size_t size)
{
	memset(text, 'x', size - 1);
}

/* Worry: what we tell a worker is not what we know. */
static void test_round_trip(void **state)
{
	struct passport p = full_passport(), plain = { .is_tls = false };

	(void)state;
	expect_round_trip(&p, 8, false);
	expect_round_trip(&p, 0, true);
	p.is_verified = false;
	memset(p.client_name, 0, sizeof p.client_name);
	memset(p.alpn, 0, sizeof p.alpn);
	expect_round_trip(&p, 128, true);
	memset(&plain, 0, sizeof plain);
	plain.from = proxy_peer("2001:db8::1", 1);
	plain.to = proxy_peer("2001:db8::2", 65535);
	expect_round_trip(&plain, 0, false);
	expect_round_trip(&plain, 0, true);
	p = full_passport();
	fill_text(p.tls_version, sizeof p.tls_version);
	fill_text(p.cipher, sizeof p.cipher);
	fill_text(p.alpn, sizeof p.alpn);
	fill_text(p.server_name, sizeof p.server_name);
	fill_text(p.client_name, sizeof p.client_name);
	expect_round_trip(&p, 128, true);
}

static void test_written_bytes(void **state)
{
	static const char expected[] = FIRST
		"\x00\x40" PAIR "\x20\x00\x19\x01\x00\x00\x00\x01\x21\x00\x07TLSv1.3\x23\x00\x07"
		"AES-128"
		"\x01\x00\x02h2\x02\x00\x0b"
		"example.org\x05\x00\x02id";
	struct passport p = full_passport();
	uint8_t out[200];

	(void)state;
	p.is_verified = false;
	*p.client_name = '\0';
	snprintf(p.tls_version, sizeof p.tls_version, "TLSv1.3");
	snprintf(p.cipher, sizeof p.cipher, "AES-128");
	snprintf(p.alpn, sizeof p.alpn, "h2");
	snprintf(p.server_name, sizeof p.server_name, "example.org");
	assert_int_equal(proxy_header_write_passport(out, sizeof out, &p, "id", 2, false),
			 sizeof expected - 1);
	assert_memory_equal(out, expected, sizeof expected - 1);
	assert_int_equal(proxy_header_write_passport(out, sizeof out, &p, out, 129, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_wrong_names),
		cmocka_unit_test(test_unique_id),
		cmocka_unit_test(test_ssl),
		cmocka_unit_test(test_wrong_ssl),
		cmocka_unit_test(test_long_names_are_left_out),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_written_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
