/* Why: the demo worker is on the open network, so what it takes for a request is decided in one
 * strict, testable place that never sees a socket. Whatever two programs could read in two ways
 * (folded lines, spaces before a colon, bare CR or LF, two lengths) is refused: that is how
 * requests get smuggled. Source: RFC 9112. SPDX-License-Identifier: ISC */
#include <string.h>
#include <strings.h>

#include "demo/http_request.h"

static const struct {
	const char *name;
	size_t offset; /* of a struct http_text in struct http_fields */
} known_fields[] = {
	{ "Host", offsetof(struct http_fields, host) },
	{ "Upgrade", offsetof(struct http_fields, upgrade) },
	{ "Content-Length", offsetof(struct http_fields, content_length) },
	{ "Transfer-Encoding", offsetof(struct http_fields, transfer_encoding) },
	{ "Sec-WebSocket-Key", offsetof(struct http_fields, websocket_key) },
	{ "Sec-WebSocket-Version", offsetof(struct http_fields, websocket_version) },
};
#define KNOWN_FIELDS (sizeof known_fields / sizeof *known_fields)

bool http_text_equals(struct http_text text, const char *word)
{
	return text.at && text.length == strlen(word) && memcmp(text.at, word, text.length) == 0;
}

static bool equals_ignoring_case(struct http_text text, const char *word)
{
	return text.at && text.length == strlen(word) &&
	       strncasecmp(text.at, word, text.length) == 0;
}

static struct http_text trim(struct http_text text)
{
	while (text.length && (text.at[0] == ' ' || text.at[0] == '\t')) {
		text.at++;
		text.length--;
	}
	while (text.length && (text.at[text.length - 1] == ' ' || text.at[text.length - 1] == '\t'))
		text.length--;
	return text;
}

/* Cuts the part before `mark` off the front of *text; the whole of it where there is no mark. */
static struct http_text cut(struct http_text *text, char mark)
{
	const char *found = text->length ? memchr(text->at, mark, text->length) : NULL;
	struct http_text part = { text->at, found ? (size_t)(found - text->at) : text->length };
	const size_t used = part.length + (found ? 1 : 0);

	text->at += used;
	text->length -= used;
	return part;
}

bool http_text_lists(struct http_text list, const char *word)
{
	while (list.length)
		if (equals_ignoring_case(trim(cut(&list, ',')), word))
			return true;
	return false;
}

static bool is_token(struct http_text text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.length; i++) {
		const char c = text.at[i];
		const char letter = (char)(c | 0x20);

		if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') &&
		    !(c && strchr(others, c)))
			return false;
	}
	return text.length > 0;
}

/* No control characters; bytes over 0x7f are allowed in a value (obs-text). */
static bool is_field_value(struct http_text text)
{
	for (size_t i = 0; i < text.length; i++) {
		const unsigned char c = (unsigned char)text.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_target(struct http_text text)
{
	for (size_t i = 0; i < text.length; i++)
		if (text.at[i] <= 0x20 || text.at[i] >= 0x7f)
			return false;
	return text.length > 0;
}

/* "/path?query", or "http://host/path" as proxies send it. */
static int read_target(struct http_text target, struct http_request *request)
{
	static const char scheme[] = "http://";
	const size_t skip = sizeof scheme - 1;
	const char *slash;

	if (!is_target(target))
		return 400;
	if (target.length > skip && strncasecmp(target.at, scheme, skip) == 0) {
		target.at += skip;
		target.length -= skip;
		slash = memchr(target.at, '/', target.length);
		target.length = slash ? target.length - (size_t)(slash - target.at) : 1;
		target.at = slash ? slash : "/";
	}
	if (target.at[0] != '/')
		return 400;
	request->path = cut(&target, '?');
	return 200;
}

static int read_version(struct http_text version, struct http_request *request)
{
	if (http_text_equals(version, "HTTP/1.1"))
		request->keep_alive = true;
	else if (!http_text_equals(version, "HTTP/1.0"))
		return version.length == 8 && memcmp(version.at, "HTTP/", 5) == 0 ? 505 : 400;
	return 200;
}

static int read_request_line(struct http_text line, struct http_request *request)
{
	const struct http_text method = cut(&line, ' ');
	const struct http_text target = cut(&line, ' ');
	int status;

	if (!is_token(method))
		return 400;
	status = read_version(line, request);
	if (status != 200)
		return status;
	request->head = http_text_equals(method, "HEAD");
	if (!request->head && !http_text_equals(method, "GET"))
		return 405;
	return read_target(target, request);
}

/* A list that may be spread over several fields: each adds to what was said before. */
static void read_connection(struct http_text list, struct http_fields *fields)
{
	fields->connection_close |= http_text_lists(list, "close");
	fields->connection_keep_alive |= http_text_lists(list, "keep-alive");
	fields->connection_upgrade |= http_text_lists(list, "upgrade");
}

static bool read_field(struct http_text line, struct http_fields *fields)
{
	const bool has_colon = line.length && memchr(line.at, ':', line.length);
	const struct http_text name = cut(&line, ':');
	const struct http_text value = trim(line);

	if (!has_colon || !is_token(name) || !is_field_value(value))
		return false;
	if (equals_ignoring_case(name, "Connection"))
		read_connection(value, fields);
	for (size_t i = 0; i < KNOWN_FIELDS; i++) {
		struct http_text *field =
			(struct http_text *)((char *)fields + known_fields[i].offset);

		if (!equals_ignoring_case(name, known_fields[i].name))
			continue;
		if (field->at)
			return false; /* said twice, perhaps in two ways */
		*field = value;
	}
	return true;
}

/* The next line up to CRLF, or NULL text for a line that ends otherwise. */
static struct http_text next_line(struct http_text *rest)
{
	struct http_text line = cut(rest, '\n');

	if (line.length == 0 || line.at[line.length - 1] != '\r')
		return (struct http_text){ NULL, 0 };
	line.length--;
	return line;
}

static int judge_body(const struct http_fields *fields)
{
	if (fields->transfer_encoding.at)
		return fields->content_length.at ? 400 : 413;
	if (!fields->content_length.at)
		return 200;
	for (size_t i = 0; i < fields->content_length.length; i++) {
		const char digit = fields->content_length.at[i];

		if (digit < '0' || digit > '9')
			return 400;
		if (digit != '0')
			return 413;
	}
	return fields->content_length.length ? 200 : 400;
}

static int judge(struct http_request *request)
{
	const struct http_fields *fields = &request->fields;
	const bool is_1_1 = request->keep_alive;

	if (is_1_1 && !fields->host.at)
		return 400;
	request->keep_alive =
		!fields->connection_close && (is_1_1 || fields->connection_keep_alive);
	request->wants_websocket = is_1_1 && !request->head && fields->connection_upgrade &&
				   http_text_lists(fields->upgrade, "websocket");
	return judge_body(fields);
}

/* Where the blank line ends, 0: it is not there. Header lines that end in LF alone are found, and
 * then refused. */
static size_t find_end(const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\n\r\n", 3);
	const char *bare = memmem(bytes, length, "\n\n", 2);

	if (bare && (!end || bare < end))
		return (size_t)(bare - bytes) + 2;
	return end ? (size_t)(end - bytes) + 3 : 0;
}

/* A TLS hello, for one: whoever typed https:// by mistake is told at once. */
static bool cannot_become_request(const char *bytes, size_t length)
{
	return length > 0 && bytes[0] != '\r' && !is_token((struct http_text){ bytes, 1 });
}

int http_request_parse(const char *bytes, size_t length, struct http_request *request_r)
{
	const size_t most = length < HTTP_REQUEST_MAX ? length : HTTP_REQUEST_MAX;
	size_t skip = 0;
	struct http_text rest, line;
	int status;

	memset(request_r, 0, sizeof *request_r);
	/* RFC 9112 2.2: empty lines before a request are to be ignored. */
	while (most - skip >= 2 && bytes[skip] == '\r' && bytes[skip + 1] == '\n')
		skip += 2;
	request_r->length = find_end(bytes + skip, most - skip);
	if (request_r->length == 0 && most >= HTTP_REQUEST_MAX)
		return 431;
	if (request_r->length == 0)
		return cannot_become_request(bytes + skip, most - skip) ? 400 : 0;
	rest = (struct http_text){ bytes + skip, request_r->length };
	request_r->length += skip;
	line = next_line(&rest);
	status = line.at ? read_request_line(line, request_r) : 400;
	if (status != 200)
		return status;
	while ((line = next_line(&rest)).length > 0)
		if (!read_field(line, &request_r->fields))
			return 400;
	return line.at ? judge(request_r) : 400;
}
