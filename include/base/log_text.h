/* Why: a line of the log is made of foreign bytes as well as of ours; here they are put together
 * and escaped, so that no worker and no client can forge a line, a field, or a terminal sequence.
 * Source: RFC 8259 section 7, RFC 3629. SPDX-License-Identifier: ISC */
#ifndef BASE_LOG_TEXT_H
#define BASE_LOG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A bounded text: what does not fit is cut, and `...` says so. size > 2 * LOG_TEXT_TAIL. */
struct log_text {
	char *data;
	size_t size, length;
	bool cut;
};

#define LOG_TEXT_TAIL 8 /* bytes kept free for "..." and the end of the line */

enum log_text_kind {
	LOG_TEXT_ASCII, /* all but 0x20-0x7e as \xNN */
	LOG_TEXT_UTF8,  /* control characters and invalid bytes as \xNN */
	LOG_TEXT_JSON,  /* the inside of a JSON string; invalid bytes as the text \xNN */
};

void log_text_add(struct log_text *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_text_escape(struct log_text *out, enum log_text_kind kind, const char *text,
		     size_t length);

/* Ends the line with `tail` (shorter than LOG_TEXT_TAIL - 3). */
void log_text_end(struct log_text *out, const char *tail);

#endif
