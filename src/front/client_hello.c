/* Why: every byte here comes from anybody. All lengths are checked in one place, take(), and what
 * is not needed is skipped, not understood. SPDX-License-Identifier: ISC */
#include "front/client_hello.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	RECORD_HEAD = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 16384,
	HANDSHAKE_HEAD = 4,
	HANDSHAKE_CLIENT_HELLO = 1,
	RANDOM_LENGTH = 32,
	EXTENSION_SERVER_NAME = 0,
	NAME_HOST = 0,
	LABEL_MAX = 63
};

struct view {
	const uint8_t *at;
	size_t left;
};

/* The handshake message put together from its records. */
struct message {
	uint8_t bytes[CLIENT_HELLO_MAX];
	size_t length;
};

/* Takes `length` bytes; false where there are fewer. */
static bool take(struct view *view, size_t length, struct view *taken_r)
{
	if (length > view->left)
		return false;
	*taken_r = (struct view){ view->at, length };
	view->at += length;
	view->left -= length;
	return true;
}

/* A number of `size` bytes, 1 to 3. */
static bool take_number(struct view *view, size_t size, size_t *number_r)
{
	struct view bytes;

	if (!take(view, size, &bytes))
		return false;
	*number_r = 0;
	for (size_t i = 0; i < size; i++)
		*number_r = *number_r << 8 | bytes.at[i];
	return true;
}

/* A vector: its length in `size` bytes, then so many bytes; at least `least`. */
static bool take_vector(struct view *view, size_t size, size_t least, struct view *taken_r)
{
	size_t length;

	return take_number(view, size, &length) && length >= least && take(view, length, taken_r);
}

static bool is_label_byte(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
	       byte == '_';
}

/* Copies the name in lower case. No empty label, so none at the end either: RFC 6066 wants it
 * without trailing dot. */
static bool read_host(struct view name, char name_r[CLIENT_HELLO_NAME])
{
	size_t label = 0;

	if (name.left >= CLIENT_HELLO_NAME)
		return false;
	for (size_t i = 0; i < name.left; i++) {
		uint8_t byte = name.at[i];

		if (byte >= 'A' && byte <= 'Z')
			byte = (uint8_t)(byte - 'A' + 'a');
		label = byte == '.' ? 0 : label + 1;
		if (byte == '.' ? i == 0 || name_r[i - 1] == '.'
				: !is_label_byte(byte) || label > LABEL_MAX)
			return false;
		name_r[i] = (char)byte;
	}
	name_r[name.left] = '\0';
	return label > 0;
}

/* NULL, or what is wrong. Names of other types are skipped; of one type there is one. */
static const char *read_server_name(struct view extension, char name_r[CLIENT_HELLO_NAME])
{
	struct view list, name;
	bool named = false;
	size_t type;

	if (!take_vector(&extension, 2, 1, &list) || extension.left > 0)
		return "its server_name extension has a wrong length";
	while (list.left > 0) {
		if (!take_number(&list, 1, &type) || !take_vector(&list, 2, 1, &name))
			return "its server_name extension has a wrong length";
		if (type != NAME_HOST)
			continue;
		if (named)
			return "it names two hosts";
		named = true;
		if (!read_host(name, name_r))
			return "its server name is no host name";
	}
	return NULL;
}

static const char *read_extensions(struct view list, char name_r[CLIENT_HELLO_NAME])
{
	bool named = false;

	while (list.left > 0) {
		struct view extension;
		const char *why;
		size_t type;

		if (!take_number(&list, 2, &type) || !take_vector(&list, 2, 0, &extension))
			return "its extensions do not end where it ends";
		if (type != EXTENSION_SERVER_NAME)
			continue;
		if (named)
			return "it has two server_name extensions";
		named = true;
		why = read_server_name(extension, name_r);
		if (why)
			return why;
	}
	return NULL;
}

/* The whole message behind its head. */
static const char *read_hello(struct view hello, char name_r[CLIENT_HELLO_NAME])
{
	struct view skipped, extensions;
	size_t version;

	if (!take_number(&hello, 2, &version) || version >> 8 != 3)
		return "its version is that of no TLS";
	if (!take(&hello, RANDOM_LENGTH, &skipped) || !take_vector(&hello, 1, 0, &skipped) ||
	    skipped.left > 32 || !take_vector(&hello, 2, 2, &skipped) || skipped.left % 2 ||
	    !take_vector(&hello, 1, 1, &skipped))
		return "a length in it is wrong";
	if (hello.left == 0)
		return NULL; /* before TLS 1.3 there need be no extensions */
	if (!take_vector(&hello, 2, 0, &extensions) || hello.left > 0)
		return "its extensions do not end where it ends";
	return read_extensions(extensions, name_r);
}

static const char *check_record(const uint8_t *head, size_t have)
{
	const size_t length = have < RECORD_HEAD ? 1 : (size_t)head[3] << 8 | head[4];

	if ((have > 0 && head[0] != RECORD_HANDSHAKE) || (have > 1 && head[1] != 3))
		return "it does not begin with a handshake record of TLS";
	if (length == 0 || length > RECORD_MAX)
		return "a record's length is wrong";
	return NULL;
}

/* As its head says, which must be there. */
static size_t message_size(const struct message *message)
{
	const uint8_t *bytes = message->bytes;

	return HANDSHAKE_HEAD + ((size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]);
}

/* Takes what has come of the next record. *head_r and *body_r: bytes of its head that are there and
 * bytes of its body that are not. */
static const char *gather(struct view *in, struct message *message, size_t *head_r, size_t *body_r)
{
	const char *why = check_record(in->at, in->left);
	struct view head, body;
	size_t length;

	*head_r = in->left < RECORD_HEAD ? in->left : RECORD_HEAD;
	*body_r = 0;
	if (why || !take(in, RECORD_HEAD, &head)) {
		in->left = 0;
		return why;
	}
	length = (size_t)head.at[3] << 8 | head.at[4];
	*body_r = length > in->left ? length - in->left : 0;
	if (take(in, length - *body_r, &body)) {
		memcpy(message->bytes + message->length, body.at, body.left);
		message->length += body.left;
	}
	return NULL;
}

/* What the message still needs, 0 where it is whole. Before its head is there: the rest of that. */
static const char *measure(const struct message *message, size_t *missing_r)
{
	size_t length;

	if (message->length > 0 && message->bytes[0] != HANDSHAKE_CLIENT_HELLO)
		return "its first handshake message is no ClientHello";
	*missing_r = message->length < HANDSHAKE_HEAD ? HANDSHAKE_HEAD - message->length : 0;
	if (*missing_r > 0)
		return NULL;
	length = message_size(message);
	*missing_r = length > message->length ? length - message->length : 0;
	return NULL;
}

/* Record by record until the message is whole, or nothing is left. What comes behind it (early
 * data) is none of ours. */
static const char *collect(struct view in, struct message *message, size_t *needed_r)
{
	size_t head, body, missing;
	const char *why;

	message->length = 0;
	do {
		why = gather(&in, message, &head, &body);
		if (!why)
			why = measure(message, &missing);
		if (why)
			return why;
	} while (missing > 0 && in.left > 0);
	*needed_r = missing;
	if (missing > body) /* a further record must come, or the head of this one */
		*needed_r += RECORD_HEAD - head % RECORD_HEAD;
	return NULL;
}

static enum client_hello_progress bad(const char *why, const char **why_r)
{
	*why_r = why;
	return CLIENT_HELLO_BAD;
}

enum client_hello_progress client_hello_read(const void *bytes, size_t have,
					     char name_r[CLIENT_HELLO_NAME], size_t *needed_r,
					     const char **why_r)
{
	static struct message message; /* too large for the stack; of no use after this call */
	const struct view in = { bytes, have < CLIENT_HELLO_MAX ? have : CLIENT_HELLO_MAX };
	size_t needed;
	const char *why = collect(in, &message, &needed);

	if (why)
		return bad(why, why_r);
	if (needed > CLIENT_HELLO_MAX - in.left)
		return bad("it is longer than 16 KiB", why_r);
	if (needed > 0) {
		*needed_r = needed;
		return CLIENT_HELLO_MORE;
	}
	*name_r = '\0';
	why = read_hello((struct view){ message.bytes + HANDSHAKE_HEAD,
					message_size(&message) - HANDSHAKE_HEAD },
			 name_r);
	return why ? bad(why, why_r) : CLIENT_HELLO_DONE;
}
