/* Why: what two programs can read in two ways is how requests get smuggled. Each row is one way to
 * write a request, and the status it must get. Source: RFC 9112. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "demo/http_request.h"

#define H "Host: x\r\n"

/* clang-format off */
static const struct {
	int status;
	const char *bytes;
} rows[] = {
	{ 200, "GET / HTTP/1.1\r\n" H "\r\n" },
	{ 200, "HEAD / HTTP/1.1\r\nhost:x\r\n\r\n" },
	{ 200, "GET / HTTP/1.0\r\n\r\n" },
	{ 200, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n" },
	{ 200, "GET /?a=b HTTP/1.1\r\n" H "\r\n" },
	{ 200, "GET http://x/whoami HTTP/1.1\r\n" H "\r\n" },
	{ 200, "GET http://x HTTP/1.1\r\n" H "\r\n" },
	{ 200, "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n" },
	{ 200, "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\t y \r\n\r\n" },
	{ 200, "GET / HTTP/1.1\r\n" H "Connection: a\r\nConnection: b\r\n\r\n" },
	{   0, "" },
	{   0, "GET / HT" },
	{   0, "GET / HTTP/1.1\r\n" H "\r" },
	{ 400, "GET / HTTP/1.1\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "Host: y\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\n" "Host: x\n\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: x\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "X : y\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "X: y\r\n folded\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H ": no name\r\n\r\n" },
	{ 400, "GET  / HTTP/1.1\r\n" H "\r\n" },
	{ 400, "GET / x HTTP/1.1\r\n" H "\r\n" },
	{ 400, "GET whoami HTTP/1.1\r\n" H "\r\n" },
	{ 400, "GET /\xff HTTP/1.1\r\n" H "\r\n" },
	{ 400, "GET /\r\n" H "\r\n" },
	{ 400, "GET / http/1.1\r\n" H "\r\n" },
	{ 400, "\x16\x03\x01 a TLS hello" },
	{ 400, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n" },
	{ 405, "POST / HTTP/1.1\r\n" H "\r\n" },
	{ 405, "OPTIONS * HTTP/1.1\r\n" H "\r\n" },
	{ 405, "get / HTTP/1.1\r\n" H "\r\n" },
	{ 413, "GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n" },
	{ 413, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n" },
	{ 505, "GET / HTTP/2.0\r\n" H "\r\n" },
};
/* clang-format on */

/* From memory of exactly that size, so that a read beyond it is seen by AddressSanitizer. */
static int parse(const char *bytes, size_t length, struct http_request *request)
{
	char *copy = malloc(length ? length : 1);
	int status;

	memcpy(copy, bytes, length);
	status = http_request_parse(copy, length, request);
	free(copy);
	return status;
}

static void each_way_to_write_a_request_has_its_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct http_request request;
		const int status = parse(rows[i].bytes, strlen(rows[i].bytes), &request);

		if (status != rows[i].status)
			print_error("row %zu: %d for %s\n", i, status, rows[i].bytes);
		assert_int_equal(status, rows[i].status);
		if (status == 200)
			assert_int_equal(request.length, strlen(rows[i].bytes));
	}
}

static void a_nul_is_no_end(void **state)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n";
	struct http_request request;

	(void)state;
	assert_int_equal(parse(bytes, sizeof bytes - 1, &request), 400);
}

/* A client may send byte by byte: no beginning of a request is taken for a whole or for a broken
 * one. */
static void every_beginning_of_a_request_is_incomplete(void **state)
{
	static const char bytes[] =
		"GET /whoami?x HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
	struct http_request request;

	(void)state;
	for (size_t length = 0; length < sizeof bytes - 1; length++)
		assert_int_equal(parse(bytes, length, &request), 0);
	assert_int_equal(parse(bytes, sizeof bytes - 1, &request), 200);
}

static void a_pipelined_request_is_left_alone(void **state)
{
	static const char first[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
	char both[2 * sizeof first];
	struct http_request request;

	(void)state;
	snprintf(both, sizeof both, "%s%s", first, first);
	assert_int_equal(http_request_parse(both, strlen(both), &request), 200);
	assert_int_equal(request.length, sizeof first - 1);
	assert_true(http_text_equals(request.path, "/a"));
}

static void a_header_is_bounded(void **state)
{
	static char bytes[HTTP_REQUEST_MAX + 1024];
	struct http_request request;
	const int start = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\nHost: x\r\nX: ");

	(void)state;
	memset(bytes + start, 'a', sizeof bytes - (size_t)start);
	assert_int_equal(parse(bytes, HTTP_REQUEST_MAX - 1, &request), 0);
	assert_int_equal(parse(bytes, HTTP_REQUEST_MAX, &request), 431);
	memcpy(bytes + HTTP_REQUEST_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(parse(bytes, HTTP_REQUEST_MAX, &request), 200);
	memcpy(bytes + HTTP_REQUEST_MAX - 4, "aaaa\r\n\r\n", 8);
	assert_int_equal(parse(bytes, sizeof bytes, &request), 431);
}

static bool keeps_alive(const char *version, const char *connection)
{
	char bytes[256];
	struct http_request request;

	snprintf(bytes, sizeof bytes, "GET / HTTP/%s\r\nHost: x\r\n%s\r\n", version, connection);
	assert_int_equal(http_request_parse(bytes, strlen(bytes), &request), 200);
	return request.keep_alive;
}

static void the_connection_stays_by_the_rules_of_its_version(void **state)
{
	(void)state;
	assert_true(keeps_alive("1.1", ""));
	assert_false(keeps_alive("1.1", "Connection: close\r\n"));
	assert_false(keeps_alive("1.1", "Connection: x , CLOSE\r\n"));
	assert_false(keeps_alive("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
	assert_false(keeps_alive("1.0", ""));
	assert_true(keeps_alive("1.0", "Connection: Keep-Alive\r\n"));
	assert_true(keeps_alive("1.1", "Connection: closed\r\n"));
}

static bool wants_websocket(const char *method, const char *version, const char *fields)
{
	char bytes[256];
	struct http_request request;

	snprintf(bytes, sizeof bytes, "%s /ws HTTP/%s\r\nHost: x\r\n%s\r\n", method, version,
		 fields);
	assert_int_equal(http_request_parse(bytes, strlen(bytes), &request), 200);
	return request.wants_websocket;
}

static void an_upgrade_is_asked_for_in_full(void **state)
{
	(void)state;
	assert_true(wants_websocket("GET", "1.1",
				    "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"));
	assert_false(wants_websocket("GET", "1.1", "Upgrade: websocket\r\n"));
	assert_false(wants_websocket("GET", "1.1", "Connection: Upgrade\r\n"));
	assert_false(wants_websocket("GET", "1.1", "Upgrade: h2c\r\nConnection: Upgrade\r\n"));
	assert_false(
		wants_websocket("GET", "1.0", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
	assert_false(
		wants_websocket("HEAD", "1.1", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_to_write_a_request_has_its_status),
		cmocka_unit_test(a_nul_is_no_end),
		cmocka_unit_test(every_beginning_of_a_request_is_incomplete),
		cmocka_unit_test(a_pipelined_request_is_left_alone),
		cmocka_unit_test(a_header_is_bounded),
		cmocka_unit_test(the_connection_stays_by_the_rules_of_its_version),
		cmocka_unit_test(an_upgrade_is_asked_for_in_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
