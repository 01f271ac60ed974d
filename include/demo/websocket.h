/* Why: frames of the demo worker's WebSockets, read and written without a socket in sight, so that
 * each rule about them can be tested. Source: RFC 6455. SPDX-License-Identifier: ISC */
#ifndef DEMO_WEBSOCKET_H
#define DEMO_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "demo/http_request.h"

#define WEBSOCKET_MESSAGE_MAX (64 * 1024)
#define WEBSOCKET_FRAME_MAX                                                                        \
	(WEBSOCKET_MESSAGE_MAX + 14) /* with the longest head of a masked frame */
#define WEBSOCKET_HEAD_MAX    10     /* of a frame that we send: unmasked */
#define WEBSOCKET_ACCEPT_SIZE 29     /* NUL included */

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0x0,
	WEBSOCKET_TEXT = 0x1,
	WEBSOCKET_BINARY = 0x2,
	WEBSOCKET_CLOSE = 0x8,
	WEBSOCKET_PING = 0x9,
	WEBSOCKET_PONG = 0xa
};

enum websocket_code { /* RFC 6455 7.4.1 */
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_NO_CODE = 1005, /* never on the wire: the close frame was empty */
	WEBSOCKET_NOT_UTF8 = 1007,
	WEBSOCKET_TOO_BIG = 1009
};

/* One per connection; zeroed and begun before use. */
struct websocket {
	struct buffer fragments;      /* of the message that is not complete yet */
	enum websocket_opcode opcode; /* of that message; WEBSOCKET_CONTINUATION: there is none */
};

enum websocket_event {
	WEBSOCKET_INCOMPLETE,    /* more bytes are needed */
	WEBSOCKET_NOTHING_TO_DO, /* a fragment was kept, or a pong came */
	WEBSOCKET_GOT_MESSAGE,   /* opcode TEXT (valid UTF-8) or BINARY, payload, length */
	WEBSOCKET_GOT_PING,      /* payload, length: to be sent back as a pong */
	WEBSOCKET_GOT_CLOSE,     /* code */
	WEBSOCKET_BROKEN         /* code: close the connection with it and read no more */
};

struct websocket_frame {
	size_t used; /* bytes of the input to drop, when payload is no longer needed */
	enum websocket_opcode opcode;
	const char *
		payload; /* in the input or in the websocket; valid until the next call on either */
	size_t length;
	uint16_t code;
};

void websocket_begin(struct websocket *websocket);
void websocket_end(struct websocket *websocket); /* frees what it holds */

/* Reads the first frame of the input, which is unmasked in place. */
enum websocket_event websocket_read(struct websocket *websocket, char *bytes, size_t length,
				    struct websocket_frame *frame_r);

/* The head of an unfragmented frame with `length` bytes of payload; returns its size. */
size_t websocket_head(enum websocket_opcode opcode, size_t length,
		      unsigned char out[WEBSOCKET_HEAD_MAX]);

/* Sec-WebSocket-Accept for the client's key. False: the key is not the base64 form of 16 bytes. */
bool websocket_accept(struct http_text key, char out[WEBSOCKET_ACCEPT_SIZE]);

bool websocket_is_utf8(const char *bytes,
		       size_t length); /* RFC 3629: no surrogates, no overlong forms */

#endif
