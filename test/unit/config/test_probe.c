/* Why: a check that is understood otherwise than it was meant calls a dead server well, or a live
 * one dead. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/probe.h"

static struct probe parsed(const char *text)
{
	struct error e = { .text = "" };
	struct probe probe;

	if (!probe_parse(text, &probe, &e))
		fail_msg("%s is refused: %s", text, e.text);
	return probe;
}

static void expect_refused(const char *text)
{
	struct error e = { .text = "" };
	struct probe probe;

	if (probe_parse(text, &probe, &e))
		fail_msg("%s is taken", text);
	assert_true(*e.text);
	assert_int_equal(probe.kind, PROBE_OFF);
	assert_null(probe.path); /* nothing to free */
}

static void off_and_tcp_stand_alone(void **state)
{
	struct probe probe = parsed("off");

	(void)state;
	assert_int_equal(probe.kind, PROBE_OFF);
	probe_free(&probe);
	probe = parsed("tcp");
	assert_int_equal(probe.kind, PROBE_TCP);
	probe_free(&probe);
	expect_refused("");
	expect_refused("off now");
	expect_refused("tcp 80");
	expect_refused("TCP");
}

static void expect_http(const char *text, const char *method, const char *path, const char *host)
{
	struct probe probe = parsed(text);

	assert_int_equal(probe.kind, PROBE_HTTP);
	assert_string_equal(probe.method, method);
	assert_string_equal(probe.path, path);
	if (host)
		assert_string_equal(probe.host, host);
	else
		assert_null(probe.host);
	probe_free(&probe);
	assert_int_equal(probe.kind, PROBE_OFF);
	probe_free(&probe); /* twice is once */
}

static void http_is_a_request_line(void **state)
{
	(void)state;
	expect_http("http GET /", "GET", "/", NULL);
	expect_http("http  HEAD \t /a?b=c ", "HEAD", "/a?b=c", NULL);
	expect_http("http GET / expecting 2xx", "GET", "/", NULL);
	expect_http("http GET / host=a.org:80 expecting 204", "GET", "/", "a.org:80");
	expect_http("http GET / expecting 204 host=[::1]:80", "GET", "/", "[::1]:80");
	expect_http("http OPTIONS /* host=a", "OPTIONS", "/*", "a");
}

static void nothing_slips_into_the_request(void **state)
{
	char text[2048] = "http GET /";

	(void)state;
	expect_refused("http");
	expect_refused("http GET");
	expect_refused("http /");
	expect_refused("http get /");
	expect_refused("http DELETE /");
	expect_refused("http GET a");
	expect_refused("http GET http://a/");
	expect_refused("http GET /\x01");
	expect_refused("http GET /\r\nX:");
	expect_refused("http GET /\xc3\xa4");
	expect_refused("http GET /#a");
	expect_refused("http GET / host=");
	expect_refused("http GET / host=a/b");
	expect_refused("http GET / host=a@b");
	expect_refused("http GET / host=a host=b");
	expect_refused("http GET / expecting 200 expecting 201");
	expect_refused("http GET / HTTP/1.1");
	memset(text + strlen(text), 'a', PROBE_PATH_MOST - 1);
	expect_http(text, "GET", text + strlen("http GET "), NULL);
	text[strlen(text)] = 'a';
	expect_refused(text);
}

/* All three-digit numbers, by an oracle that is a function of the number. */
static void expect_codes(const char *text, bool (*expects)(unsigned))
{
	struct probe probe = parsed(text);

	for (unsigned status = 0; status < 1000; status++)
		if (probe_expects(&probe, status) != expects(status))
			fail_msg("%s and %u", text, status);
	probe_free(&probe);
}

static bool is_2xx(unsigned status)
{
	return status / 100 == 2;
}

static bool is_204(unsigned status)
{
	return status == 204;
}

static bool is_200_to_399(unsigned status)
{
	return status >= 200 && status <= 399;
}

static bool is_mixed(unsigned status)
{
	return status == 100 || status / 100 == 3 || (status >= 404 && status <= 599);
}

static void codes_are_ranges(void **state)
{
	(void)state;
	expect_codes("http GET /", is_2xx);
	expect_codes("http GET / expecting 2xx", is_2xx);
	expect_codes("http GET / expecting 204", is_204);
	expect_codes("http GET / expecting 204-204", is_204);
	expect_codes("http GET / expecting 200-399", is_200_to_399);
	expect_codes("http GET / expecting 3xx,2xx", is_200_to_399);
	expect_codes("http GET / expecting 100,3xx,404-599", is_mixed);
	expect_refused("http GET / expecting");
	expect_refused("http GET / expecting host=a");
	expect_refused("http GET / expecting 2");
	expect_refused("http GET / expecting 20x");
	expect_refused("http GET / expecting 099");
	expect_refused("http GET / expecting 600");
	expect_refused("http GET / expecting 6xx");
	expect_refused("http GET / expecting 2000");
	expect_refused("http GET / expecting 200-");
	expect_refused("http GET / expecting -200");
	expect_refused("http GET / expecting 200-199");
	expect_refused("http GET / expecting 200,");
	expect_refused("http GET / expecting ,200");
	expect_refused("http GET / expecting 200, 201");
}

static void ranges_are_bounded(void **state)
{
	char text[256] = "http GET / expecting 200";
	struct probe probe;

	(void)state;
	for (int i = 1; i < PROBE_RANGES; i++)
		memcpy(text + strlen(text), ",200", sizeof ",200");
	probe = parsed(text);
	assert_int_equal(probe.expected_count, PROBE_RANGES);
	probe_free(&probe);
	memcpy(text + strlen(text), ",200", sizeof ",200");
	expect_refused(text);
}

static void exec_keeps_its_command(void **state)
{
	struct probe probe = parsed("exec  curl -f 'http://a b/' %i");

	(void)state;
	assert_int_equal(probe.kind, PROBE_EXEC);
	assert_string_equal(probe.command, "curl -f 'http://a b/' %i");
	probe_free(&probe);
	expect_refused("exec");
	expect_refused("exec  ");
	expect_refused("exec 'a");
	expect_refused("exec a %d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_and_tcp_stand_alone),
		cmocka_unit_test(http_is_a_request_line),
		cmocka_unit_test(nothing_slips_into_the_request),
		cmocka_unit_test(codes_are_ranges),
		cmocka_unit_test(ranges_are_bounded),
		cmocka_unit_test(exec_keeps_its_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
