/* Why: foreign text goes into log lines, JSON and headers, and none of them may get bytes that are
 * no text. Source: RFC 3629. SPDX-License-Identifier: ISC */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the valid character of more than one byte at `text` (length > 0), 0 where there is
 * none. Overlong forms, surrogates and what lies above U+10FFFF are not valid. */
size_t utf8_length(const void *text, size_t length);

/* Characters only: valid UTF-8 without control characters (NUL, U+0001-001F, U+007F-009F). */
bool utf8_is_printable(const void *text, size_t length);

#endif
