/* Why: version 1 is text, and text is where parsers disagree: octal, signs, spaces, zones, numbers
 * that wrap. Here a line is read by its grammar and by nothing else. Source:
 * proxy-protocol.txt 2.1. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "wire/proxy_layout.h"

/* The line's beginnings, each with the length of its shortest line. */
static const struct kind {
	const char *text;
	size_t least;
	sa_family_t family;
} kinds[] = {
	{ "PROXY TCP4 ", sizeof "PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n" - 1, AF_INET },
	{ "PROXY TCP6 ", sizeof "PROXY TCP6 :: :: 0 0\r\n" - 1, AF_INET6 },
	{ "PROXY UNKNOWN\r\n", sizeof "PROXY UNKNOWN\r\n" - 1, AF_UNSPEC },
	{ "PROXY UNKNOWN ", sizeof "PROXY UNKNOWN \r\n" - 1, AF_UNSPEC },
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* A piece of the line, without NUL. */
struct piece {
	const char *at;
	size_t length;
};

/* What is left of the line up to the next space, which is taken too; all of it where there is none.
 */
static struct piece take(struct piece *line)
{
	const char *space = memchr(line->at, ' ', line->length);
	const struct piece piece = { line->at, space ? (size_t)(space - line->at) : line->length };
	const size_t taken = piece.length + (space ? 1 : 0);

	line->at += taken;
	line->length -= taken;
	return piece;
}

static bool read_port(struct piece piece, in_port_t *port_r)
{
	unsigned port = 0;

	if (piece.length == 0 || piece.length > 5 || (piece.at[0] == '0' && piece.length > 1))
		return false;
	for (size_t i = 0; i < piece.length; i++) {
		if (piece.at[i] < '0' || piece.at[i] > '9')
			return false;
		port = port * 10 + (unsigned)(piece.at[i] - '0');
	}
	*port_r = htons((in_port_t)port);
	return port <= UINT16_MAX;
}

/* An IPv4 address has one form, which is that of inet_ntop. So has one at the end of an IPv6
 * address; the hexadecimal groups may be written with zeros and in capitals, which cannot mean
 * anything else. */
static bool read_host(struct piece piece, struct peer *peer)
{
	char text[INET6_ADDRSTRLEN], canonical[INET6_ADDRSTRLEN];
	const bool is_v4 = peer->any.sa_family == AF_INET;
	void *address = is_v4 ? (void *)&peer->v4.sin_addr : (void *)&peer->v6.sin6_addr;

	if (piece.length == 0 || piece.length >= sizeof text)
		return false;
	memcpy(text, piece.at, piece.length);
	text[piece.length] = '\0';
	if (text[strspn(text, is_v4 ? "0123456789." : "0123456789abcdefABCDEF:.")] ||
	    strlen(text) != piece.length)
		return false;
	if (inet_pton(peer->any.sa_family, text, address) != 1)
		return false;
	return !strchr(text, '.') ||
	       (inet_ntop(peer->any.sa_family, address, canonical, sizeof canonical) &&
		strcasecmp(text, canonical) == 0);
}

/* The four words behind "PROXY TCPn ". NULL, or what is wrong. */
static const char *read_words(struct piece line, sa_family_t family, struct proxy_header *header)
{
	struct peer *from = &header->from, *to = &header->to;

	from->any.sa_family = to->any.sa_family = family;
	if (!read_host(take(&line), from))
		return "the source address is not in its canonical form";
	if (!read_host(take(&line), to))
		return "the destination address is not in its canonical form";
	if (!read_port(take(&line), family == AF_INET ? &from->v4.sin_port : &from->v6.sin6_port))
		return "the source port is no number from 0 to 65535 in its plain form";
	if (!read_port(line, family == AF_INET ? &to->v4.sin_port : &to->v6.sin6_port))
		return "the destination port is no number from 0 to 65535 in its plain form";
	return NULL;
}

/* The first kind that begins like these bytes; NULL: none. */
static const struct kind *kind_of(const char *bytes, size_t have)
{
	for (size_t i = 0; i < KINDS; i++) {
		const size_t length = strlen(kinds[i].text);

		if (memcmp(bytes, kinds[i].text, have < length ? have : length) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* While the kind is not known, the least is that of all which may still come. */
static size_t least_of(const char *bytes, size_t have)
{
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < KINDS; i++) {
		const size_t length = strlen(kinds[i].text);

		if (memcmp(bytes, kinds[i].text, have < length ? have : length) == 0 &&
		    kinds[i].least < least)
			least = kinds[i].least;
	}
	return least;
}

static enum proxy_progress bad(const char *why, const char **why_r)
{
	*why_r = why;
	return PROXY_BAD;
}

/* No line end yet: a line that can still become right, or not. */
static enum proxy_progress unfinished(const char *bytes, size_t have, size_t *needed_r,
				      const char **why_r)
{
	const size_t tail = have > 0 && bytes[have - 1] == '\r' ? 1 : 2; /* CR LF */
	size_t least = least_of(bytes, have);

	if (least < have + tail)
		least = have + tail;
	if (least > PROXY_V1_MAX)
		return bad("its line does not end within 107 bytes", why_r);
	*needed_r = least - have;
	return PROXY_MORE;
}

/* The length of the line without its end; `have` where there is no end yet. What UNKNOWN says is
 * ignored; elsewhere a CR or LF alone is an end that only some would see. */
static bool find_end(const char *bytes, size_t have, bool strict, size_t *length_r)
{
	for (size_t i = 0; i < have; i++) {
		if (bytes[i] == '\r' && i + 1 == have)
			break;
		if (bytes[i] == '\r' && bytes[i + 1] == '\n') {
			*length_r = i;
			return true;
		}
		if (strict && (bytes[i] == '\r' || bytes[i] == '\n'))
			return false;
	}
	*length_r = have;
	return true;
}

enum proxy_progress proxy_v1_read(const char *bytes, size_t have, struct proxy_header *header_r,
				  size_t *length_r, size_t *needed_r, const char **why_r)
{
	struct proxy_header header;
	const size_t seen = have < PROXY_V1_MAX ? have : PROXY_V1_MAX;
	const struct kind *kind = kind_of(bytes, seen);
	const char *why = NULL;
	size_t length, head;

	memset(&header, 0, sizeof header);
	if (!kind)
		return bad("it begins neither as version 1 nor as version 2 does", why_r);
	if (!find_end(bytes, seen, kind->family != AF_UNSPEC, &length))
		return bad("its line ends with CR or LF alone", why_r);
	if (length == seen)
		return unfinished(bytes, seen, needed_r, why_r);
	head = strlen(kind->text);
	header.is_local = kind->family == AF_UNSPEC;
	if (!header.is_local)
		why = read_words((struct piece){ bytes + head, length - head }, kind->family,
				 &header);
	if (why)
		return bad(why, why_r);
	*header_r = header;
	*length_r = length + 2;
	return PROXY_DONE;
}
