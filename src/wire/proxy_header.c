/* Why: see the header; one bounded writer, no length arithmetic by its callers.
 * SPDX-License-Identifier: ISC */
#include "wire/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum {
	VERSION_2 = 0x20,
	COMMAND_LOCAL = 0x00,
	COMMAND_PROXY = 0x01
};
enum {
	FAMILY_UNSPEC = 0x00,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21
};

struct writer {
	uint8_t *out;
	size_t used, size;
	bool full;
};

static void put(struct writer *w, const void *bytes, size_t length)
{
	if (w->full || length > w->size - w->used) {
		w->full = true;
		return;
	}
	memcpy(w->out + w->used, bytes, length);
	w->used += length;
}

static void put_byte(struct writer *w, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	put(w, &byte, 1);
}

/* The four bytes of a v4 or v4-mapped address; NULL for others. */
static const void *v4_bytes(const struct peer *p)
{
	if (p->any.sa_family == AF_INET)
		return &p->v4.sin_addr;
	if (p->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&p->v6.sin6_addr))
		return &p->v6.sin6_addr.s6_addr[12];
	return NULL;
}

static uint16_t port_of(const struct peer *p) /* network order */
{
	return p->any.sa_family == AF_INET ? p->v4.sin_port : p->v6.sin6_port;
}

static void put_ports(struct writer *w, const struct peer *from, const struct peer *to)
{
	uint16_t ports[2] = { port_of(from), port_of(to) };

	put(w, ports, sizeof ports);
}

static void put_addresses(struct writer *w, unsigned family, const struct peer *from,
			  const struct peer *to)
{
	if (family == FAMILY_TCP4) {
		put(w, v4_bytes(from), 4);
		put(w, v4_bytes(to), 4);
		put_ports(w, from, to);
	} else if (family == FAMILY_TCP6) {
		put(w, &from->v6.sin6_addr, 16);
		put(w, &to->v6.sin6_addr, 16);
		put_ports(w, from, to);
	}
}

static unsigned family_of(const struct peer *from, const struct peer *to)
{
	if (v4_bytes(from) && v4_bytes(to))
		return FAMILY_TCP4;
	if (from->any.sa_family == AF_INET6 && to->any.sa_family == AF_INET6)
		return FAMILY_TCP6;
	return FAMILY_UNSPEC;
}

size_t proxy_header_write(void *out, size_t size, const struct peer *from, const struct peer *to,
			  const struct proxy_tlv *tlvs, size_t tlv_count)
{
	struct writer w = { .out = out, .size = size };
	unsigned family = family_of(from, to);
	size_t length_at;
	uint16_t length;

	put(&w, signature, sizeof signature);
	put_byte(&w,
		 family == FAMILY_UNSPEC ? VERSION_2 | COMMAND_LOCAL : VERSION_2 | COMMAND_PROXY);
	put_byte(&w, family);
	length_at = w.used;
	put(&w, "\0\0", 2);
	put_addresses(&w, family, from, to);
	for (size_t i = 0; i < tlv_count; i++) {
		uint16_t tlv_length = htons(tlvs[i].length);

		put_byte(&w, tlvs[i].type);
		put(&w, &tlv_length, sizeof tlv_length);
		put(&w, tlvs[i].value, tlvs[i].length);
	}
	if (w.full || w.used - length_at - 2 > UINT16_MAX)
		return 0;
	length = htons((uint16_t)(w.used - length_at - 2));
	memcpy(w.out + length_at, &length, sizeof length);
	return w.used;
}
