/* Why: what the demo worker says: its few routes, and the form of an HTTP answer. A new route is
 * one row. Source: RFC 9110, RFC 9112, RFC 6455 4.2.2. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "demo/answer.h"
#include "demo/page.h"
#include "demo/websocket.h"

struct content {
	const char *type;
	const char *extra; /* further header fields, each with CRLF */
	const void *body;
	size_t length;
};

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 400, "Bad Request" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 413, "Content Too Large" },
	{ 426, "Upgrade Required" },
	{ 431, "Request Header Fields Too Large" },
	{ 505, "HTTP Version Not Supported" },
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	fatal("no reason phrase for status %d", status);
}

/* RFC 9110 6.6.1 wants a date; it is made once per second. */
static const char *date_now(void)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static time_t printed;
	static char text[64];
	const time_t now = time(NULL);
	struct tm at;

	if (now == printed || !gmtime_r(&now, &at))
		return text;
	snprintf(text, sizeof text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		 days + 3 * at.tm_wday, at.tm_mday, months + 3 * at.tm_mon, at.tm_year + 1900,
		 at.tm_hour, at.tm_min, at.tm_sec);
	printed = now;
	return text;
}

static void add(struct buffer *out, const void *bytes, size_t length)
{
	if (length && !buffer_add(out, bytes, length))
		fatal("an answer outgrew the limit of the demo's output");
}

static void add_answer(struct buffer *out, int status, const struct content *content,
		       bool keep_alive, bool head)
{
	char text[1024];
	const int length =
		snprintf(text, sizeof text,
			 "HTTP/1.1 %d %s\r\n"
			 "Date: %s\r\n"
			 "Content-Type: %s\r\n"
			 "Content-Length: %zu\r\n"
			 "Cache-Control: no-store\r\n"
			 "X-Content-Type-Options: nosniff\r\n"
			 "Connection: %s\r\n"
			 "%s\r\n",
			 status, reason_of(status), date_now(), content->type, content->length,
			 keep_alive ? "keep-alive" : "close", content->extra);

	if (length < 0 || (size_t)length >= sizeof text)
		fatal("the head of an answer is too long");
	add(out, text, (size_t)length);
	if (!head)
		add(out, content->body, content->length);
}

/* The client's address without the port; v4-mapped as IPv4. */
static unsigned print_client(const struct peer *peer, char *out, socklen_t size)
{
	const struct in6_addr *v6 = &peer->v6.sin6_addr;

	if (peer->any.sa_family == AF_INET && inet_ntop(AF_INET, &peer->v4.sin_addr, out, size))
		return ntohs(peer->v4.sin_port);
	if (peer->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6) &&
	    inet_ntop(AF_INET, &v6->s6_addr[12], out, size))
		return ntohs(peer->v6.sin6_port);
	if (peer->any.sa_family == AF_INET6 && inet_ntop(AF_INET6, v6, out, size))
		return ntohs(peer->v6.sin6_port);
	snprintf(out, size, "unix");
	return 0;
}

size_t answer_whoami(const struct answer_context *context, char out[ANSWER_WHOAMI_SIZE])
{
	const struct demo_identity *who = context->identity;
	char client[INET6_ADDRSTRLEN];
	const unsigned port = print_client(context->peer, client, sizeof client);
	const int length =
		snprintf(out, ANSWER_WHOAMI_SIZE,
			 "{\"slot\":%" PRIu64 ",\"pid\":%d,\"generation\":%" PRIu64
			 ",\"pool\":\"%s\",\"client\":\"%s\",\"port\":%u,\"scheme\":\"%s\"}\n",
			 who->slot, (int)who->pid, who->generation, who->pool, client, port,
			 context->is_tls ? "https" : "http");

	if (length < 0 || length >= ANSWER_WHOAMI_SIZE)
		fatal("whoami is too long");
	return (size_t)length;
}

static void say(struct buffer *out, const struct answer_context *context, int status,
		const struct content *content)
{
	add_answer(out, status, content, context->keep_alive, context->request->head);
}

static void say_page(struct buffer *out, const struct answer_context *context)
{
	const struct content page = { "text/html; charset=utf-8",
				      "Content-Security-Policy: default-src 'none'; style-src "
				      "'unsafe-inline'; script-src 'unsafe-inline'; "
				      "img-src data:; connect-src 'self'; base-uri 'none'; "
				      "form-action 'none'; frame-ancestors 'none'\r\n"
				      "Referrer-Policy: no-referrer\r\n",
				      page_html, page_html_length };

	say(out, context, 200, &page);
}

static void say_whoami(struct buffer *out, const struct answer_context *context)
{
	char text[ANSWER_WHOAMI_SIZE];
	const struct content json = { "application/json", "", text, answer_whoami(context, text) };

	say(out, context, 200, &json);
}

static void say_health(struct buffer *out, const struct answer_context *context)
{
	say(out, context, 200, &(const struct content){ "text/plain", "", "ok\n", 3 });
}

static void say_upgrade_required(struct buffer *out, const struct answer_context *context)
{
	static const char text[] = "This is a WebSocket.\n";

	say(out, context, 426,
	    &(const struct content){ "text/plain",
				     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", text,
				     sizeof text - 1 });
}

static const struct {
	const char *path;
	void (*say)(struct buffer *out, const struct answer_context *context);
} routes[] = {
	{ "/", say_page },
	{ "/whoami", say_whoami },
	{ "/ws", say_upgrade_required },
	{ "/health", say_health },
};

void answer_request(struct buffer *out, const struct answer_context *context)
{
	static const char text[] = "Nothing is here. Try / or /whoami.\n";

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (http_text_equals(context->request->path, routes[i].path)) {
			routes[i].say(out, context);
			return;
		}
	say(out, context, 404, &(const struct content){ "text/plain", "", text, sizeof text - 1 });
}

void answer_refusal(struct buffer *out, int status)
{
	char text[128];
	const int length = snprintf(text, sizeof text, "%d %s\n", status, reason_of(status));
	const struct content content = { "text/plain", status == 405 ? "Allow: GET, HEAD\r\n" : "",
					 text, (size_t)length };

	add_answer(out, status, &content, false, false);
}

bool answer_upgrade(struct buffer *out, const struct http_request *request)
{
	char accept[WEBSOCKET_ACCEPT_SIZE], text[256];
	int length;

	if (!http_text_equals(request->fields.websocket_version, "13")) {
		add_answer(out, 426,
			   &(const struct content){
				   "text/plain",
				   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "", 0 },
			   false, false);
		return false;
	}
	if (!websocket_accept(request->fields.websocket_key, accept)) {
		answer_refusal(out, 400);
		return false;
	}
	length = snprintf(
		text, sizeof text,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	add(out, text, (size_t)length);
	return true;
}
