/* Why: what one program reads as 8.0.0.1 another reads as 10.0.0.1, and access lists stand in
 * between. Each row is a line that somebody's parser took, or one that everybody sends; the
 * verdicts are those of the specification (proxy-protocol.txt 2.1). SPDX-License-Identifier: ISC */
#include "proxy_reading.h"

#include <stdio.h>

#define REST " 192.0.2.2 1 2\r\n"
#define SIX  "2001:db8::2 1 2\r\n"

/* Lines that are right, and what they say; from NULL: the connection's own addresses hold. */
static const struct right {
	const char *line, *from;
	uint16_t from_port;
	const char *to;
	uint16_t to_port;
} rights[] = {
	{ "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1", 56324, "192.168.0.11",
	  443 },
	{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535,
	  "255.255.255.255", 65535 },
	{ "PROXY TCP4 0.0.0.0 1.0.0.10 0 1\r\n", "0.0.0.0", 0, "1.0.0.10", 1 },
	{ "PROXY TCP4 127.0.0.1 10.20.30.40 9 10000\r\n", "127.0.0.1", 9, "10.20.30.40", 10000 },
	{ "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "2001:db8::1", 56324, "2001:db8::2",
	  443 },
	{ "PROXY TCP6 :: :: 0 0\r\n", "::", 0, "::", 0 },
	{ "PROXY TCP6 ::1 fe80::1 1 2\r\n", "::1", 1, "fe80::1", 2 },
	/* "4 hexadecimal digits (upper or lower case)": zeros in front mean nothing else here */
	{ "PROXY TCP6 2001:0DB8:0:0:0:0:0:1 2001:db8::00ff 1 2\r\n", "2001:db8::1", 1,
	  "2001:db8::ff", 2 },
	{ "PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000 "
	  "0000:0000:0000:0000:0000:0000:0000:0001 1 2\r\n",
	  "::", 1, "::1", 2 },
	{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535 },
	/* haproxy and nginx print mapped addresses so */
	{ "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", "::ffff:192.0.2.1", 1,
	  "::ffff:192.0.2.2", 2 },
	{ "PROXY TCP6 ::FFFF:192.0.2.1 ::ffff:c000:202 1 2\r\n", "::ffff:192.0.2.1", 1,
	  "::ffff:192.0.2.2", 2 },
	{ "PROXY UNKNOWN\r\n", NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN \r\n", NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN anything at all, \x01\xff 99999999\r\n", NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	  NULL, 0, NULL, 0 },
	/* its end is CR LF and nothing else; what comes before is ignored */
	{ "PROXY UNKNOWN lone\nnewline and lone\rreturn\r\n", NULL, 0, NULL, 0 },
	{ "PROXY UNKNOWN \r\r\n", NULL, 0, NULL, 0 },
};

/* clang-format off */
static const char *const wrongs[] = {
	/* numbers: octal, hexadecimal, signs, spaces, too many digits, wrapped */
	"PROXY TCP4 010.0.0.1" REST, "PROXY TCP4 10.0.0.01" REST, "PROXY TCP4 10.00.0.1" REST,
	"PROXY TCP4 0x10.0.0.1" REST, "PROXY TCP4 10.0.0.0x1" REST, "PROXY TCP4 256.0.0.1" REST,
	"PROXY TCP4 1.2.3.999" REST, "PROXY TCP4 4294967296.0.0.1" REST, "PROXY TCP4 +1.2.3.4" REST,
	"PROXY TCP4 -1.2.3.4" REST, "PROXY TCP4 1.2.3.+4" REST, "PROXY TCP4 1.2.3.-4" REST,
	"PROXY TCP4 1.2.3" REST, "PROXY TCP4 1.2" REST, "PROXY TCP4 16909060" REST,
	"PROXY TCP4 1.2.3.4.5" REST, "PROXY TCP4 1..2.3" REST, "PROXY TCP4 .1.2.3" REST,
	"PROXY TCP4 1.2.3." REST, "PROXY TCP4 1.2.3.4." REST, "PROXY TCP4 1,2,3,4" REST,
	"PROXY TCP4 1.2.3.4/32" REST, "PROXY TCP4 1.2.3.4%eth0" REST, "PROXY TCP4 1.2.3.4:80" REST,
	"PROXY TCP4 localhost" REST, "PROXY TCP4 example.org" REST, "PROXY TCP4 [1.2.3.4]" REST,
	"PROXY TCP4 \xd9\xa1.2.3.4" REST, "PROXY TCP4 1.2.3.4\t" REST, "PROXY TCP4 \t1.2.3.4" REST,
	"PROXY TCP4 000.000.000.000" REST, "PROXY TCP4 1.2.3.4\v" REST, "PROXY TCP4 1e1.2.3.4" REST,
	"PROXY TCP4 192.0.2.1 010.0.0.1 1 2\r\n", "PROXY TCP4 192.0.2.1 10.0.0.08 1 2\r\n",
	"PROXY TCP4 192.0.2.1 1.2.3 1 2\r\n", "PROXY TCP4 192.0.2.1 1.2.3.256 1 2\r\n",
	"PROXY TCP4 192.0.2.1 - 1 2\r\n", "PROXY TCP4 192.0.2.1 * 1 2\r\n",
	/* ports */
	"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 99999 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 100000\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 65537 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 4294967297 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 18446744073709551617 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 00443\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 -65535 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1. 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 0x1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 0x2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1a 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2a\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 a1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 http 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 \t2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\t\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1e1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2.0\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1,2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 / 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 : 2\r\n",
	/* words: too few, too many, in the wrong place */
	"PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP4 192.0.2.1\r\n", "PROXY TCP4 192.0.2.1 \r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 \r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 2  \r\n", "PROXY TCP4 1 2 192.0.2.1 192.0.2.2\r\n",
	"PROXY TCP4 192.0.2.1:1 192.0.2.2:2\r\n", "PROXY TCP4 1 192.0.2.1 2 192.0.2.2\r\n",
	/* spaces */
	"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
	"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2  1 2\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1  2\r\n", " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
	"PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
	"PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1\t2\r\n",
	"PROXY TCP4 192.0.2.1\xa0" "192.0.2.2 1 2\r\n", "\r\nPROXY TCP4 192.0.2.1" REST,
	/* names */
	"proxy TCP4 192.0.2.1" REST, "Proxy TCP4 192.0.2.1" REST, "PROXY tcp4 192.0.2.1" REST,
	"PROXY Tcp4 192.0.2.1" REST, "PROXY TCP 192.0.2.1" REST, "PROXY TCP5 192.0.2.1" REST,
	"PROXY UDP4 192.0.2.1" REST, "PROXY UDP6 ::1 " SIX, "PROXY UNIX /a /b\r\n",
	"PROXY TCP46 192.0.2.1" REST, "PROXY TCP44 192.0.2.1" REST, "PROXYTCP4 192.0.2.1" REST,
	"PROXY unknown\r\n", "PROXY Unknown\r\n", "PROXY UNKNOWN2\r\n", "PROXY UNKNOWNS 1 2\r\n",
	"PROXY UNKNOWN\t\r\n", "PROXY UNKNOWN\rx\r\n", "PROXY UNKNOW\r\n", "PROXY \r\n", "PROXY\r\n",
	"PROXI TCP4 192.0.2.1" REST, "XPROXY TCP4 192.0.2.1" REST, "GET / HTTP/1.1\r\n\r\n",
	"SSH-2.0-OpenSSH\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\r\n\rX", "\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PROXY UNKNOWN\n", "PROXY UNKNOWN\r \n",
	/* ends */
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
	"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r \n", "PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n",
	"PROXY TCP4 192.0.2.1\n192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\v\r\n",
	"PROXY TCP4\n192.0.2.1 192.0.2.2 1 2\r\n",
	/* the wrong family */
	"PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP4 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
	"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP6 2001:db8::1 192.0.2.2 1 2\r\n",
	"PROXY TCP6 192.0.2.1 " SIX, "PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n",
	/* version 6: zones, lengths, double double colons, dotted ends */
	"PROXY TCP6 fe80::1%eth0 " SIX, "PROXY TCP6 fe80::1%1 " SIX, "PROXY TCP6 fe80::1% " SIX,
	"PROXY TCP6 [2001:db8::1] " SIX, "PROXY TCP6 2001:db8::1/128 " SIX,
	"PROXY TCP6 1::2::3 " SIX, "PROXY TCP6 1:2:3:4:5:6:7 " SIX, "PROXY TCP6 : " SIX,
	"PROXY TCP6 1:2:3:4:5:6:7:8:9 " SIX, "PROXY TCP6 1:2:3:4:5:6:7:8:: " SIX,
	"PROXY TCP6 12345::1 " SIX, "PROXY TCP6 00001::1 " SIX, "PROXY TCP6 g::1 " SIX,
	"PROXY TCP6 ::: " SIX, "PROXY TCP6 :1 " SIX, "PROXY TCP6 1: " SIX, "PROXY TCP6 1:::1 " SIX,
	"PROXY TCP6 ::ffff:010.0.0.1 " SIX, "PROXY TCP6 ::ffff:10.0.0.01 " SIX,
	"PROXY TCP6 ::ffff:10.0.0 " SIX, "PROXY TCP6 ::ffff:10.0.0.256 " SIX,
	"PROXY TCP6 ::ffff:0x0a.0.0.1 " SIX, "PROXY TCP6 2001:db8::192.0.2.1 " SIX,
	"PROXY TCP6 64:ff9b::192.0.2.1 " SIX, "PROXY TCP6 0:0:0:0:0:ffff:192.0.2.1 " SIX,
	"PROXY TCP6 ::00ffff:1 " SIX, "PROXY TCP6 -1::1 " SIX, "PROXY TCP6 +1::1 " SIX,
	"PROXY TCP6 0x1::1 " SIX, "PROXY TCP6 1.2.3.4:: " SIX, "PROXY TCP6 ::1.2.3.4:1 " SIX,
	"PROXY TCP6 2001:db8::1 2001:db8::2%1 1 2\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 1\r\n",
	"PROXY TCP6 2001:db8::1 2001:db8::2 01 2\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65536\r\n",
	"PROXY TCP6 2001:db8::1 2001:db8::2 1 2 \r\n", "PROXY TCP6 2001:db8::1  2001:db8::2 1 2\r\n",
	"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\n", "PROXY TCP6 localhost ip6-localhost 1 2\r\n",
};
/* No port in either family and either place. */
static const char *const no_ports[] = {
	"", "65536", "70000", "99999", "100000", "065535", "00", "01", "007", "+1", "-1", "-0", "+0", "1+", "0x1f", "1f",
	"0b1", "1.", "1.0", "1e3", "1_000", "1,000", "*", "?", "\x31\x7f", "http", "\xef\xbc\x91", "4294967376", "/80", ":80",
};
/* clang-format on */

static void test_right_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rights / sizeof *rights; i++) {
		const struct right *row = &rights[i];
		const struct proxy_header header = proxy_expect_whole(row->line, strlen(row->line));

		assert_int_equal(header.is_local, row->from == NULL);
		assert_false(header.passport.is_tls);
		if (!row->from)
			continue;
		proxy_expect_peer(&header.from, row->from, row->from_port);
		proxy_expect_peer(&header.to, row->to, row->to_port);
	}
}

static void test_wrong_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
		const struct reading r = proxy_look(wrongs[i], strlen(wrongs[i]));

		if (r.progress != PROXY_BAD)
			fail_msg("row %zu is not refused: %s", i, wrongs[i]);
		proxy_expect_bad(wrongs[i], strlen(wrongs[i]));
	}
}

static void test_wrong_ports(void **state)
{
	static const char *const forms[] = { "PROXY TCP4 192.0.2.1 192.0.2.2 %s 2\r\n",
					     "PROXY TCP4 192.0.2.1 192.0.2.2 2 %s\r\n",
					     "PROXY TCP6 2001:db8::1 2001:db8::2 %s 2\r\n",
					     "PROXY TCP6 2001:db8::1 2001:db8::2 2 %s\r\n" };
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		for (size_t k = 0; k < sizeof no_ports / sizeof *no_ports; k++) {
			const char *gap = strstr(forms[i], "%s");

			snprintf(line, sizeof line, "%.*s%s%s", (int)(gap - forms[i]), forms[i],
				 no_ports[k], gap + 2);
			proxy_expect_bad(line, strlen(line));
		}
}

/* Worry: a NUL ends the text for one parser and not for the other. */
static void test_nul_bytes(void **state)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 192.0.2.2 12 34\r\n";
	char copy[sizeof line - 1];

	(void)state;
	for (size_t i = 0; i < sizeof copy; i++) {
		memcpy(copy, line, sizeof copy);
		copy[i] = '\0';
		if (i == sizeof copy - 1) /* behind CR */
			assert_int_equal(proxy_look(copy, sizeof copy).progress, PROXY_BAD);
		else
			proxy_expect_bad(copy, sizeof copy);
	}
}

/* Worry: a line without end is read for ever, or one byte more than the longest is taken. */
static void test_length(void **state)
{
	char line[200] = "PROXY UNKNOWN ";

	(void)state;
	memset(line + 14, 'x', sizeof line - 14);
	memcpy(line + 105, "\r\n", 2);
	proxy_expect_whole(line, 107);
	for (size_t at = 106; at < 150; at++) {
		memset(line + 14, 'x', sizeof line - 14);
		memcpy(line + at, "\r\n", 2);
		assert_string_equal(proxy_expect_bad(line, at + 2),
				    "its line does not end within 107 bytes");
	}
	memset(line + 14, 'x', sizeof line - 14);
	for (size_t have = 0; have <= 105; have++)
		assert_int_equal(proxy_look(line, have).progress, PROXY_MORE);
	/* 106 bytes without CR can only become too long: it is refused as soon as that is known */
	for (size_t have = 106; have <= sizeof line; have++)
		assert_int_equal(proxy_look(line, have).progress, PROXY_BAD);
}

/* Worry: we are woken for every byte. The least that can still come is asked for. */
static void test_needed(void **state)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 192.0.2.2 12 34\r\n";

	(void)state;
	assert_int_equal(proxy_look("", 0).needed, 15);
	assert_int_equal(proxy_look("PROXY ", 6).needed, 9);
	assert_int_equal(proxy_look("PROXY TCP6", 10).needed, 12);
	assert_int_equal(proxy_look("PROXY TCP4 ", 11).needed, 21);
	assert_int_equal(proxy_look("PROXY UNKNOWN", 13).needed, 2);
	assert_int_equal(proxy_look("PROXY UNKNOWN ", 14).needed, 2);
	assert_int_equal(proxy_look("PROXY UNKNOWN\r", 14).needed, 1);
	assert_int_equal(proxy_look(line, sizeof line - 4).needed, 2);
	assert_int_equal(proxy_look(line, sizeof line - 3).needed, 2);
	assert_int_equal(proxy_look(line, sizeof line - 2).needed, 1);
}

/* Worry: what we send is not what we, or others, would take. */
static void test_written_lines(void **state)
{
	static const struct {
		const char *from, *to, *line;
	} rows[] = {
		{ "192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n" },
		{ "::ffff:192.0.2.1", "198.51.100.2",
		  "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n" },
		{ "2001:db8::1", "2001:db8::2", "PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n" },
		{ "::ffff:192.0.2.1", "2001:db8::2",
		  "PROXY TCP6 ::ffff:c000:201 2001:db8::2 4660 443\r\n" },
		{ "192.0.2.1", "2001:db8::2", "PROXY UNKNOWN\r\n" },
	};
	const struct peer none = { .any.sa_family = AF_UNIX }, four = proxy_peer("192.0.2.1", 1);
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct peer from = proxy_peer(rows[i].from, 4660);
		const struct peer to = proxy_peer(rows[i].to, 443);
		const size_t length = strlen(rows[i].line);

		memset(out, 0x5a, sizeof out);
		assert_int_equal(proxy_header_write_v1(out, length, &from, &to), length);
		assert_memory_equal(out, rows[i].line, length);
		assert_int_equal(out[length], 0x5a);
		proxy_expect_whole(out, length);
		assert_int_equal(proxy_header_write_v1(out, length - 1, &from, &to), 0);
	}
	assert_int_equal(proxy_header_write_v1(out, sizeof out, &none, &none), 15);
	assert_int_equal(proxy_header_write_v1(out, sizeof out, &four, &none), 15);
	assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_lines),   cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_wrong_ports),   cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_length),        cmocka_unit_test(test_needed),
		cmocka_unit_test(test_written_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
