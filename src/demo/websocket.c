/* Why: frames of the demo worker's WebSockets, read and written without a socket in sight. A frame
 * is taken only when the whole of it has arrived; what is wrong with it is seen as soon as its head
 * is there, so that nobody can make us wait for, or keep, more than one message of 64 KiB. Source:
 * RFC 6455. SPDX-License-Identifier: ISC */
#include <sha1.h>
#include <string.h>

#include "base/log.h"
#include "demo/websocket.h"

/* The head of a frame as it stands on the wire. */
struct head {
	bool final, masked;
	unsigned reserved, opcode;
	uint64_t payload; /* length */
	size_t size;      /* of the head itself, mask included */
	unsigned char mask[4];
};

void websocket_begin(struct websocket *websocket)
{
	memset(websocket, 0, sizeof *websocket);
	websocket->fragments.limit = WEBSOCKET_MESSAGE_MAX;
}

void websocket_end(struct websocket *websocket)
{
	buffer_free(&websocket->fragments);
	websocket->opcode = WEBSOCKET_CONTINUATION;
}

static uint64_t read_number(const unsigned char *at, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | at[i];
	return number;
}

/* False: more bytes are needed. */
static bool read_head(const char *bytes, size_t length, struct head *head_r)
{
	const unsigned char *at = (const unsigned char *)bytes;
	size_t extra;

	if (length < 2)
		return false;
	head_r->final = at[0] & 0x80;
	head_r->reserved = at[0] & 0x70;
	head_r->opcode = at[0] & 0x0f;
	head_r->masked = at[1] & 0x80;
	head_r->payload = at[1] & 0x7f;
	extra = head_r->payload == 126 ? 2 : head_r->payload == 127 ? 8 : 0;
	head_r->size = 2 + extra + (head_r->masked ? 4 : 0);
	if (length < head_r->size)
		return false;
	if (extra)
		head_r->payload = read_number(at + 2, extra);
	if (head_r->masked)
		memcpy(head_r->mask, at + 2 + extra, sizeof head_r->mask);
	return true;
}

static bool is_shortest_form(const struct head *head)
{
	const size_t extra = head->size - 2 - (head->masked ? 4 : 0);

	return extra == 0 || (extra == 2 && head->payload > 125) ||
	       (extra == 8 && head->payload > 0xffff);
}

/* 0, or the code to close with. */
static uint16_t judge_head(const struct websocket *websocket, const struct head *head)
{
	const bool is_control = head->opcode & 0x08;
	const bool in_message = websocket->opcode != WEBSOCKET_CONTINUATION;

	if (!head->masked || head->reserved || !is_shortest_form(head))
		return WEBSOCKET_PROTOCOL_ERROR;
	if (head->opcode > WEBSOCKET_PONG || (head->opcode > WEBSOCKET_BINARY && !is_control))
		return WEBSOCKET_PROTOCOL_ERROR;
	if (is_control)
		return head->final && head->payload <= 125 ? 0 : WEBSOCKET_PROTOCOL_ERROR;
	if (in_message != (head->opcode == WEBSOCKET_CONTINUATION))
		return WEBSOCKET_PROTOCOL_ERROR;
	if (head->payload > WEBSOCKET_MESSAGE_MAX - buffer_length(&websocket->fragments))
		return WEBSOCKET_TOO_BIG;
	return 0;
}

static void unmask(char *bytes, size_t length, const unsigned char mask[4])
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)(bytes[i] ^ mask[i % 4]);
}

static enum websocket_event broken(struct websocket_frame *frame, uint16_t code)
{
	frame->code = code;
	return WEBSOCKET_BROKEN;
}

/* RFC 6455 7.4: which codes may stand in a frame. */
static bool is_wire_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
	       (code >= 3000 && code <= 4999);
}

static enum websocket_event read_close(struct websocket_frame *frame)
{
	frame->code = WEBSOCKET_NO_CODE;
	if (frame->length == 0)
		return WEBSOCKET_GOT_CLOSE;
	if (frame->length == 1)
		return broken(frame, WEBSOCKET_PROTOCOL_ERROR);
	frame->code = (uint16_t)read_number((const unsigned char *)frame->payload, 2);
	if (!is_wire_code(frame->code))
		return broken(frame, WEBSOCKET_PROTOCOL_ERROR);
	if (!websocket_is_utf8(frame->payload + 2, frame->length - 2))
		return broken(frame, WEBSOCKET_NOT_UTF8);
	return WEBSOCKET_GOT_CLOSE;
}

/* The fragments of a message that was whole at the last call: its payload has been used by now. */
static void forget_last_message(struct websocket *websocket)
{
	if (websocket->opcode == WEBSOCKET_CONTINUATION)
		buffer_free(&websocket->fragments);
}

/* Adds a fragment; true: the message is whole, and is put into *frame. */
static bool collect(struct websocket *websocket, struct websocket_frame *frame, bool final)
{
	if (frame->opcode != WEBSOCKET_CONTINUATION)
		websocket->opcode = frame->opcode;
	if (frame->length && !buffer_add(&websocket->fragments, frame->payload, frame->length))
		fatal("a websocket message outgrew the limit that was checked");
	if (!final)
		return false;
	frame->opcode = websocket->opcode;
	frame->length = buffer_length(&websocket->fragments);
	frame->payload = frame->length ? buffer_bytes(&websocket->fragments) : "";
	websocket->opcode = WEBSOCKET_CONTINUATION;
	return true;
}

static enum websocket_event read_data(struct websocket *websocket, struct websocket_frame *frame,
				      bool final)
{
	const bool is_whole = final && frame->opcode != WEBSOCKET_CONTINUATION;

	if (!is_whole && !collect(websocket, frame, final))
		return WEBSOCKET_NOTHING_TO_DO;
	if (frame->opcode == WEBSOCKET_TEXT && !websocket_is_utf8(frame->payload, frame->length))
		return broken(frame, WEBSOCKET_NOT_UTF8);
	return WEBSOCKET_GOT_MESSAGE;
}

enum websocket_event websocket_read(struct websocket *websocket, char *bytes, size_t length,
				    struct websocket_frame *frame_r)
{
	struct head head;

	memset(frame_r, 0, sizeof *frame_r);
	forget_last_message(websocket);
	if (!read_head(bytes, length, &head))
		return WEBSOCKET_INCOMPLETE;
	frame_r->code = judge_head(websocket, &head);
	if (frame_r->code)
		return WEBSOCKET_BROKEN;
	if (length - head.size < head.payload)
		return WEBSOCKET_INCOMPLETE;
	frame_r->opcode = (enum websocket_opcode)head.opcode;
	frame_r->length = (size_t)head.payload;
	frame_r->payload = bytes + head.size;
	frame_r->used = head.size + frame_r->length;
	unmask(bytes + head.size, frame_r->length, head.mask);
	switch (frame_r->opcode) {
	case WEBSOCKET_PONG:
		return WEBSOCKET_NOTHING_TO_DO;
	case WEBSOCKET_PING:
		return WEBSOCKET_GOT_PING;
	case WEBSOCKET_CLOSE:
		return read_close(frame_r);
	default:
		return read_data(websocket, frame_r, head.final);
	}
}

size_t websocket_head(enum websocket_opcode opcode, size_t length,
		      unsigned char out[WEBSOCKET_HEAD_MAX])
{
	const size_t extra = length > 0xffff ? 8 : length > 125 ? 2 : 0;

	out[0] = (unsigned char)(0x80 | opcode);
	out[1] = (unsigned char)(extra == 8 ? 127 : extra == 2 ? 126 : length);
	for (size_t i = 0; i < extra; i++)
		out[2 + i] = (unsigned char)((uint64_t)length >> (8 * (extra - 1 - i)));
	return 2 + extra;
}

/* RFC 4648 section 4, for a length that is not a multiple of 3. */
static void to_base64(const unsigned char *bytes, size_t length, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < length; i += 3) {
		const unsigned second = i + 1 < length ? bytes[i + 1] : 0;
		const unsigned third = i + 2 < length ? bytes[i + 2] : 0;
		const unsigned group = (unsigned)bytes[i] << 16 | second << 8 | third;

		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < length ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < length ? digits[group & 63] : '=';
	}
	*out = '\0';
}

/* 22 digits and "==": 16 bytes. */
static bool is_key(struct http_text key)
{
	if (!key.at || key.length != 24 || memcmp(key.at + 22, "==", 2) != 0)
		return false;
	for (size_t i = 0; i < 22; i++) {
		const char c = key.at[i];
		const char letter = (char)(c | 0x20);

		if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '+' &&
		    c != '/')
			return false;
	}
	return true;
}

bool websocket_accept(struct http_text key, char out[WEBSOCKET_ACCEPT_SIZE])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[SHA1_DIGEST_LENGTH];
	SHA1_CTX context;

	if (!is_key(key))
		return false;
	SHA1Init(&context);
	SHA1Update(&context, (const unsigned char *)key.at, key.length);
	SHA1Update(&context, (const unsigned char *)guid, sizeof guid - 1);
	SHA1Final(digest, &context);
	to_base64(digest, sizeof digest, out);
	return true;
}

/* Length of the sequence that starts with this byte, and the range its second byte must be in (RFC
 * 3629 section 4); 0: no sequence starts so. */
static size_t utf8_sequence(unsigned char first, unsigned char *low_r, unsigned char *high_r)
{
	*low_r = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	*high_r = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

bool websocket_is_utf8(const char *bytes, size_t length)
{
	const unsigned char *at = (const unsigned char *)bytes;
	const unsigned char *const end = at + length;

	while (at < end) {
		unsigned char low, high;
		const size_t size = utf8_sequence(*at, &low, &high);

		if (size == 0 || (size_t)(end - at) < size)
			return false;
		if (size > 1 && (at[1] < low || at[1] > high))
			return false;
		for (size_t i = 2; i < size; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		at += size;
	}
	return true;
}
