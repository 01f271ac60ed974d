/* Why: the demo worker is on the open network, so what it takes for a request is decided in one
 * strict, testable place that never sees a socket. Source: RFC 9112, RFC 9110.
 * SPDX-License-Identifier: ISC */
#ifndef DEMO_HTTP_REQUEST_H
#define DEMO_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_REQUEST_MAX 8192 /* bytes of a header, blank line included */

/* A piece of the parsed bytes: not terminated, valid as long as they are. */
struct http_text {
	const char *at; /* NULL: there was none */
	size_t length;
};

/* The header fields that the demo worker looks at. */
struct http_fields {
	struct http_text host, upgrade, content_length, transfer_encoding;
	struct http_text websocket_key, websocket_version;
	bool connection_close, connection_keep_alive, connection_upgrade;
};

struct http_request {
	size_t length;         /* bytes that the header took, blank line included */
	bool head;             /* HEAD: answer without the body */
	bool keep_alive;       /* the client wants the connection to stay */
	bool wants_websocket;  /* Upgrade: websocket, properly asked for by GET and HTTP/1.1 */
	struct http_text path; /* without the query */
	struct http_fields fields;
};

/* Reads the first header in the bytes. Returns 0: not complete yet; 200: *request_r is filled in;
 * else the status to answer with before closing: 400 malformed, 405 neither GET nor HEAD, 413 has a
 * body, 431 the header is longer than HTTP_REQUEST_MAX, 505 not HTTP/1. */
int http_request_parse(const char *bytes, size_t length, struct http_request *request_r);

/* Case-insensitive: is `word` an element of the comma-separated list? */
bool http_text_lists(struct http_text list, const char *word);
bool http_text_equals(struct http_text text, const char *word); /* exact case */

#endif
