/* Why: log_text.h. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log_text.h"
#include "base/utf8.h"

/* All or nothing: an escape cut in the middle would read as something else. */
static void add_whole(struct log_text *out, const char *bytes, size_t length)
{
	if (out->cut || length > out->size - LOG_TEXT_TAIL - out->length) {
		out->cut = true;
		return;
	}
	memcpy(out->data + out->length, bytes, length);
	out->length += length;
}

void log_text_add(struct log_text *out, const char *format, ...)
{
	char piece[256];
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(piece, sizeof piece, format, ap);
	va_end(ap);
	if (length >= (int)sizeof piece)
		length = (int)sizeof piece - 1;
	if (length > 0)
		add_whole(out, piece, (size_t)length);
}

/* U+0080 to U+009F are control characters too: some terminals obey them. */
static bool is_control(const uint8_t *text, size_t length)
{
	return length == 2 && text[0] == 0xc2 && text[1] < 0xa0;
}

static void escape_byte(struct log_text *out, enum log_text_kind kind, uint8_t byte)
{
	char piece[8];
	int length;

	if (kind != LOG_TEXT_JSON)
		length = snprintf(piece, sizeof piece, "\\x%02x", byte);
	else if (byte == '"' || byte == '\\')
		length = snprintf(piece, sizeof piece, "\\%c", byte);
	else if (byte > 0 && byte < 0x80) /* \u0000 is legal, and many readers stop at it */
		length = snprintf(piece, sizeof piece, "\\u%04x", byte);
	else
		length = snprintf(piece, sizeof piece, "\\\\x%02x", byte);
	add_whole(out, piece, (size_t)length);
}

static bool is_plain(enum log_text_kind kind, uint8_t byte)
{
	if (byte < 0x20 || byte > 0x7e)
		return false;
	return kind != LOG_TEXT_JSON || (byte != '"' && byte != '\\');
}

void log_text_escape(struct log_text *out, enum log_text_kind kind, const char *text, size_t length)
{
	const uint8_t *bytes = (const uint8_t *)text;

	for (size_t i = 0; i < length && !out->cut;) {
		size_t wide = 0;

		if (is_plain(kind, bytes[i])) {
			add_whole(out, text + i++, 1);
			continue;
		}
		if (kind != LOG_TEXT_ASCII && bytes[i] >= 0x80)
			wide = utf8_length(bytes + i, length - i);
		if (wide > 0 && !is_control(bytes + i, wide)) {
			add_whole(out, text + i, wide);
			i += wide;
		} else {
			escape_byte(out, kind, bytes[i++]);
		}
	}
}

void log_text_end(struct log_text *out, const char *tail)
{
	size_t length = strlen(tail);

	if (out->cut) {
		memcpy(out->data + out->length, "...", 3);
		out->length += 3;
	}
	memcpy(out->data + out->length, tail, length);
	out->length += length;
	if (out->length < out->size)
		out->data[out->length] = '\0';
}
