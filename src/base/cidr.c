/* Why: allow and deny lists; apart from address.c because a block is a set of addresses and not
 * one. Source: RFC 4632. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool cidr_is_v4(const struct cidr *cidr)
{
	return cidr->bits >= 96 && memcmp(cidr->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static bool bits_parse(const char *text, unsigned most, unsigned *bits_r)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 3 || text[digits])
		return false;
	*bits_r = (unsigned)strtoul(text, NULL, 10);
	return *bits_r <= most;
}

static bool cidr_cut(struct cidr *cidr)
{
	bool changed = false;

	for (unsigned bit = cidr->bits; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80u >> bit % 8);

		changed = changed || (cidr->bytes[bit / 8] & mask);
		cidr->bytes[bit / 8] = (uint8_t)(cidr->bytes[bit / 8] & ~mask);
	}
	return changed;
}

bool cidr_parse(const char *text, struct cidr *cidr_r, struct error *e)
{
	char host[INET6_ADDRSTRLEN], right[ADDRESS_TEXT];
	size_t length = strcspn(text, "/");
	unsigned bits, first = 0, most = 128;

	if (length >= sizeof host)
		return error_set(e, "\"%.80s\" is no address block", text);
	memcpy(host, text, length);
	host[length] = '\0';
	if (inet_pton(AF_INET, host, cidr_r->bytes + 12) == 1) {
		memcpy(cidr_r->bytes, mapped_prefix, sizeof mapped_prefix);
		first = 96;
		most = 32;
	} else if (inet_pton(AF_INET6, host, cidr_r->bytes) != 1) {
		return error_set(e, "\"%.80s\" is no address block", text);
	}
	bits = most;
	if (text[length] == '/' && !bits_parse(text + length + 1, most, &bits))
		return error_set(e, "\"%.80s\": the prefix is a number from 0 to %u", text, most);
	cidr_r->bits = first + bits;
	if (cidr_cut(cidr_r))
		return error_set(e, "\"%.80s\" has bits behind its prefix; write %s", text,
				 cidr_print(cidr_r, right));
	return true;
}

const char *cidr_print(const struct cidr *cidr, char out[ADDRESS_TEXT])
{
	bool v4 = cidr_is_v4(cidr);
	char host[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, cidr->bytes + (v4 ? 12 : 0), host, sizeof host);
	snprintf(out, ADDRESS_TEXT, "%s/%u", host, cidr->bits - (v4 ? 96 : 0));
	return out;
}

static bool cidr_holds(const struct cidr *cidr, const uint8_t bytes[16])
{
	unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (memcmp(cidr->bytes, bytes, whole) != 0)
		return false;
	return rest == 0 || ((cidr->bytes[whole] ^ bytes[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

bool cidr_match(const struct cidr_list *list, const struct peer *peer)
{
	uint8_t bytes[16];

	if (peer->any.sa_family == AF_INET) {
		memcpy(bytes, mapped_prefix, sizeof mapped_prefix);
		memcpy(bytes + 12, &peer->v4.sin_addr, 4);
	} else if (peer->any.sa_family == AF_INET6) {
		memcpy(bytes, &peer->v6.sin6_addr, sizeof bytes);
	} else {
		return false;
	}
	for (size_t i = 0; i < list->count; i++)
		if (cidr_holds(&list->items[i], bytes))
			return true;
	return false;
}
