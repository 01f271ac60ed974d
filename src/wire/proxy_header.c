/* Why: see the header; one bounded writer, no length arithmetic by its callers.
 * SPDX-License-Identifier: ISC */
#include "wire/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "wire/proxy_layout.h"

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
	if (family == PROXY_TCP4) {
		put(w, v4_bytes(from), 4);
		put(w, v4_bytes(to), 4);
		put_ports(w, from, to);
	} else if (family == PROXY_TCP6) {
		put(w, &from->v6.sin6_addr, 16);
		put(w, &to->v6.sin6_addr, 16);
		put_ports(w, from, to);
	}
}

static unsigned family_of(const struct peer *from, const struct peer *to)
{
	if (v4_bytes(from) && v4_bytes(to))
		return PROXY_TCP4;
	if (from->any.sa_family == AF_INET6 && to->any.sa_family == AF_INET6)
		return PROXY_TCP6;
	return PROXY_UNSPEC;
}

static void put_tlv(struct writer *w, unsigned type, const void *value, size_t length)
{
	const uint16_t order = htons((uint16_t)length);

	put_byte(w, type);
	put(w, &order, sizeof order);
	put(w, value, length);
}

/* A text of the passport; an empty one is not written. */
static void put_text(struct writer *w, unsigned type, const char *text, size_t size)
{
	const size_t length = strnlen(text, size);

	if (length > 0)
		put_tlv(w, type, text, length);
}

#define PUT_TEXT(w, type, text) put_text(w, type, text, sizeof(text))

static void begin(struct writer *w, const struct peer *from, const struct peer *to)
{
	const unsigned family = family_of(from, to);

	put(w, PROXY_SIGNATURE, PROXY_SIGNATURE_LENGTH);
	put_byte(w, PROXY_VERSION_2 | (family == PROXY_UNSPEC ? PROXY_LOCAL : PROXY_PROXY));
	put_byte(w, family);
	put(w, "\0\0", 2);
	put_addresses(w, family, from, to);
}

/* Fills the length in. */
static size_t end(struct writer *w)
{
	const size_t length = w->used - PROXY_V2_FIRST;
	uint16_t order;

	if (w->full || length > UINT16_MAX)
		return 0;
	order = htons((uint16_t)length);
	memcpy(w->out + PROXY_V2_FIRST - 2, &order, sizeof order);
	return w->used;
}

size_t proxy_header_write(void *out, size_t size, const struct peer *from, const struct peer *to,
			  const struct proxy_tlv *tlvs, size_t tlv_count)
{
	struct writer w = { .out = out, .size = size };

	begin(&w, from, to);
	for (size_t i = 0; i < tlv_count; i++)
		put_tlv(&w, tlvs[i].type, tlvs[i].value, tlvs[i].length);
	return end(&w);
}

/* Whether this very connection showed the certificate, or the one that it resumes, is not known. */
static void put_ssl(struct writer *w, const struct passport *passport)
{
	uint8_t value[PROXY_SSL_HEAD + 3 * PROXY_TLV_HEAD + sizeof passport->tls_version +
		      sizeof passport->client_name + sizeof passport->cipher];
	struct writer ssl = { .out = value, .size = sizeof value };
	const uint32_t verify = htonl(passport->is_verified ? 0 : 1);

	put_byte(&ssl, PROXY_CLIENT_SSL | (passport->is_verified ? PROXY_CLIENT_CERT_SESS : 0u));
	put(&ssl, &verify, sizeof verify);
	PUT_TEXT(&ssl, PROXY_TLV_SSL_VERSION, passport->tls_version);
	PUT_TEXT(&ssl, PROXY_TLV_SSL_CN, passport->client_name);
	PUT_TEXT(&ssl, PROXY_TLV_SSL_CIPHER, passport->cipher);
	put_tlv(w, PROXY_TLV_SSL, value, ssl.used);
}

/* The last TLV; it counts itself as zeros. */
static size_t end_with_checksum(struct writer *w)
{
	size_t length, hole;
	uint32_t crc;

	put_tlv(w, PROXY_TLV_CRC32C, "\0\0\0\0", PROXY_CRC_LENGTH);
	length = end(w);
	if (length == 0)
		return 0;
	hole = length - PROXY_CRC_LENGTH;
	crc = htonl(proxy_crc32c(w->out, length, hole));
	memcpy(w->out + hole, &crc, sizeof crc);
	return length;
}

size_t proxy_header_write_passport(void *out, size_t size, const struct passport *passport,
				   const void *unique, size_t unique_length, bool checksum)
{
	struct writer w = { .out = out, .size = size };

	if (unique_length > PROXY_UNIQUE_ID_MAX)
		return 0;
	begin(&w, &passport->from, &passport->to);
	if (passport->is_tls)
		put_ssl(&w, passport);
	PUT_TEXT(&w, PROXY_TLV_ALPN, passport->alpn);
	PUT_TEXT(&w, PROXY_TLV_AUTHORITY, passport->server_name);
	if (unique_length > 0)
		put_tlv(&w, PROXY_TLV_UNIQUE_ID, unique, unique_length);
	return checksum ? end_with_checksum(&w) : end(&w);
}

/* The source knows hexadecimal digits only: no "::ffff:192.0.2.1". */
static void print_v6(const struct in6_addr *address, char out[INET6_ADDRSTRLEN])
{
	const uint8_t *b = address->s6_addr;

	if (!IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN);
	else
		snprintf(out, INET6_ADDRSTRLEN, "::ffff:%x:%x", b[12] << 8 | b[13],
			 b[14] << 8 | b[15]);
}

static void print_host(unsigned family, const struct peer *p, char out[INET6_ADDRSTRLEN])
{
	if (family == PROXY_TCP4)
		inet_ntop(AF_INET, v4_bytes(p), out, INET6_ADDRSTRLEN);
	else
		print_v6(&p->v6.sin6_addr, out);
}

size_t proxy_header_write_v1(char *out, size_t size, const struct peer *from, const struct peer *to)
{
	const unsigned family = family_of(from, to);
	char line[128] = "PROXY UNKNOWN\r\n";
	char source[INET6_ADDRSTRLEN], target[INET6_ADDRSTRLEN];
	size_t length;

	if (family != PROXY_UNSPEC) {
		print_host(family, from, source);
		print_host(family, to, target);
		snprintf(line, sizeof line, "PROXY %s %s %s %u %u\r\n",
			 family == PROXY_TCP4 ? "TCP4" : "TCP6", source, target,
			 ntohs(port_of(from)), ntohs(port_of(to)));
	}
	length = strlen(line);
	if (length > size)
		return 0;
	memcpy(out, line, length);
	return length;
}
