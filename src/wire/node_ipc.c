/* Why: see the header. A line is parsed into jansson's tree, the few fields that matter are copied
 * out, and the tree is gone with the arena. SPDX-License-Identifier: ISC */
#include "wire/node_ipc.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/json_arena.h"

/* JavaScript's numbers are exact up to here. */
#define EXACT_MAX    9007199254740992.0
#define EXACT_DIGITS 16

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* Anything but a number that an int64 holds is `absent`. */
static int64_t number_of(const json_t *object, const char *name, int64_t absent)
{
	const json_t *value = json_object_get(object, name);
	double number;

	if (!json_is_number(value))
		return absent;
	number = json_number_value(value);
	if (!(fabs(number) <= EXACT_MAX))
		return absent;
	return (int64_t)number;
}

static bool sequence_of(const json_t *object, const char *name, uint64_t *number_r)
{
	int64_t number = number_of(object, name, -1);

	if (number < 0)
		return false;
	*number_r = (uint64_t)number;
	return true;
}

/* dgram passes on what the application gave, and that may be "3000". */
static int64_t port_of(const json_t *object)
{
	const char *text = text_of(object, "port");
	char *end;
	long long port;

	if (!text)
		return number_of(object, "port", -1);
	port = strtoll(text, &end, 10);
	return *text && !*end ? port : -1;
}

static enum node_address_type type_of(const json_t *object)
{
	const json_t *value = json_object_get(object, "addressType");
	const char *text = json_string_value(value);

	if (!value || json_is_null(value))
		return NODE_ADDRESS_NONE;
	if (text && strcmp(text, "udp4") == 0)
		return NODE_UDP4;
	if (text && strcmp(text, "udp6") == 0)
		return NODE_UDP6;
	switch (number_of(object, "addressType", 0)) {
	case 4:
		return NODE_TCP4;
	case 6:
		return NODE_TCP6;
	case -1:
		return NODE_PATH;
	default:
		return NODE_ADDRESS_INVALID;
	}
}

/* false: it does not fit, or has a NUL inside (an abstract socket: not of the file system, not
 * ours). */
static bool copy_text(const json_t *value, char *out, size_t size)
{
	size_t length = json_string_length(value);

	if (!json_is_string(value))
		return !value || json_is_null(value);
	if (length >= size || strlen(json_string_value(value)) != length)
		return false;
	memcpy(out, json_string_value(value), length + 1);
	return true;
}

/* The text must outlive the arena. */
static char *data_of(const json_t *object)
{
	const json_t *value = json_object_get(object, "data");
	char *text, *copy;

	if (!value || json_is_null(value))
		return NULL;
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text)
		return NULL;
	copy = strdup(text);
	json_arena_give(text);
	if (!copy)
		fatal("out of memory");
	return copy;
}

static void take_place(const json_t *object, struct node_message *m)
{
	const json_t *backlog = json_object_get(object, "backlog");

	m->address_type = type_of(object);
	if (!copy_text(json_object_get(object, "address"), m->address, sizeof m->address))
		m->address_type = NODE_ADDRESS_INVALID;
	m->port = port_of(object);
	m->fd = number_of(object, "fd", -1);
	m->index = number_of(object, "index", 0);
	m->flags = number_of(object, "flags", 0);
	m->backlog = json_is_number(backlog) ? number_of(object, "backlog", 0) : 0;
	m->readable_all = json_is_true(json_object_get(object, "readableAll"));
	m->writable_all = json_is_true(json_object_get(object, "writableAll"));
	m->data = data_of(object);
}

/* Our own key comes back, or it is none of ours. */
static enum node_act take_key(const json_t *object, struct node_message *m, enum node_act act)
{
	const json_t *key = json_object_get(object, "key");

	return copy_text(key, m->key, sizeof m->key) ? act : NODE_BAD;
}

static enum node_act take_act(const json_t *object, const char *act, struct node_message *m)
{
	if (strcmp(act, "queryServer") == 0) {
		if (!sequence_of(object, "seq", &m->seq))
			return NODE_BAD;
		take_place(object, m);
		return NODE_QUERY_SERVER;
	}
	if (strcmp(act, "listening") == 0) {
		take_place(object, m);
		return take_key(object, m, NODE_LISTENING);
	}
	if (strcmp(act, "close") == 0)
		return take_key(object, m, NODE_CLOSE);
	if (strcmp(act, "online") == 0)
		return NODE_ONLINE;
	if (strcmp(act, "exitedAfterDisconnect") == 0)
		return sequence_of(object, "seq", &m->seq) ? NODE_EXITED_AFTER_DISCONNECT
							   : NODE_BAD;
	return NODE_INTERNAL_OTHER;
}

/* Of cmd NODE_CLUSTER. */
static enum node_act take_cluster(const json_t *object, struct node_message *m)
{
	const char *act = text_of(object, "act");

	sequence_of(object, "seq", &m->seq);
	if (act)
		return take_act(object, act, m);
	if (!sequence_of(object, "ack", &m->ack))
		return json_object_get(object, "ack") ? NODE_BAD : NODE_INTERNAL_OTHER;
	m->accepted = json_is_true(json_object_get(object, "accepted"));
	return NODE_ACK;
}

/* Node's rule of what is internal: isInternal() in child_process.js. */
static enum node_act take_message(const json_t *value, struct node_message *m)
{
	const char *cmd = text_of(value, "cmd");

	if (!cmd || strncmp(cmd, "NODE_", 5) != 0 || cmd[5] == '\0')
		return NODE_USER;
	if (strcmp(cmd, "NODE_CLUSTER") == 0)
		return take_cluster(value, m);
	if (strcmp(cmd, "NODE_HANDLE") == 0)
		return NODE_HANDLE;
	if (strcmp(cmd, "NODE_HANDLE_ACK") == 0)
		return NODE_HANDLE_ACK;
	if (strcmp(cmd, "NODE_HANDLE_NACK") == 0)
		return NODE_HANDLE_NACK;
	return NODE_INTERNAL_OTHER;
}

/* Steps over exactly this text. */
static bool pass_text(const char **at, const char *end, const char *text)
{
	size_t length = strlen(text);

	if ((size_t)(end - *at) < length || memcmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* Steps over a whole number as JSON.stringify writes it, if a double holds it exactly. */
static bool pass_number(const char **at, const char *end, uint64_t *number_r)
{
	const char *first = *at;

	for (*number_r = 0; *at < end && isdigit((unsigned char)**at); (*at)++) {
		if (*at - first == EXACT_DIGITS)
			return false;
		*number_r = *number_r * 10 + (uint64_t)(**at - '0');
	}
	return *at > first && *first != '0' && *number_r <= (uint64_t)EXACT_MAX;
}

/* The two lines that answer every client, if they stand there to the byte as Node writes them;
 * whatever differs in anything is read as any other JSON. Both ways give the same result. */
static bool take_usual(const char *at, const char *end, struct node_message *m)
{
	struct node_message ack = *m;

	if (pass_text(&at, end, "{\"cmd\":\"NODE_HANDLE_ACK\"}")) {
		m->act = NODE_HANDLE_ACK;
		return at == end;
	}
	if (!pass_text(&at, end, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":") ||
	    !pass_number(&at, end, &ack.ack) ||
	    !pass_text(&at, end, ",\"accepted\":true,\"seq\":") ||
	    !pass_number(&at, end, &ack.seq) || !pass_text(&at, end, "}") || at != end)
		return false;
	ack.act = NODE_ACK;
	ack.accepted = true;
	*m = ack;
	return true;
}

/* All of JavaScript's numbers are doubles, and 1e20 is written as a long integer: so integers are
 * read as reals. */
void node_ipc_parse(const char *line, size_t length, struct node_message *message_r)
{
	json_t *value;

	*message_r = (struct node_message){ .act = NODE_BAD, .port = -1, .fd = -1 };
	if (take_usual(line, line + length, message_r))
		return;
	message_r->act = NODE_BAD;
	json_arena_open();
	value = json_loadb(line, length, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL,
			   NULL);
	if (value) {
		message_r->act = take_message(value, message_r);
		json_decref(value);
	}
	json_arena_close();
	if (message_r->act == NODE_BAD)
		node_message_clear(message_r);
}

void node_message_clear(struct node_message *message)
{
	free(message->data);
	message->data = NULL;
}
