/* Why: see the header. SPDX-License-Identifier: ISC */
#include "base/utf8.h"

#include <stdint.h>

size_t utf8_length(const void *text, size_t length)
{
	const uint8_t *bytes = text;
	uint8_t first = bytes[0], low = 0x80, high = 0xbf;
	size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

	if (first < 0xc2 || first > 0xf4 || need > length)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return need;
}

/* Length of the printable character at `text`, 0 where there is none. */
static size_t printable_length(const uint8_t *text, size_t length)
{
	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (length > 1 && text[0] == 0xc2 && text[1] < 0xa0)
		return 0; /* U+0080 to U+009F */
	return utf8_length(text, length);
}

bool utf8_is_printable(const void *text, size_t length)
{
	const uint8_t *bytes = text;

	for (size_t i = 0; i < length;) {
		const size_t wide = printable_length(bytes + i, length - i);

		if (wide == 0)
			return false;
		i += wide;
	}
	return true;
}
