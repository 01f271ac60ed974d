/* Why: whoever is trusted to say who the client is must say it in exactly one way: what two
 * programs could read differently is refused here. Nothing is assumed of the bytes, and nothing is
 * read behind the header. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/proxy_layout.h"

/* What is left of the header. */
struct reader {
	const uint8_t *at;
	size_t left;
};

/* Takes one TLV; false where it does not fit. */
static bool take_tlv(struct reader *r, uint8_t *type_r, struct reader *value_r)
{
	size_t length;

	if (r->left < PROXY_TLV_HEAD)
		return false;
	length = (size_t)r->at[1] << 8 | r->at[2];
	if (length > r->left - PROXY_TLV_HEAD)
		return false;
	*type_r = r->at[0];
	*value_r = (struct reader){ r->at + PROXY_TLV_HEAD, length };
	r->at += PROXY_TLV_HEAD + length;
	r->left -= PROXY_TLV_HEAD + length;
	return true;
}

/* A name that is cut would be another name: what does not fit, or is no text, is left out. */
static void keep_text(char *out, size_t size, const struct reader *value)
{
	if (value->left >= size || !utf8_is_printable(value->at, value->left))
		return;
	memcpy(out, value->at, value->left);
	out[value->left] = '\0';
}

#define KEEP_TEXT(out, value) keep_text(out, sizeof(out), value)

/* NULL, or what is wrong. */
static const char *read_ssl_part(struct passport *passport, uint8_t type,
				 const struct reader *value)
{
	if (type == PROXY_TLV_SSL_VERSION)
		KEEP_TEXT(passport->tls_version, value);
	else if (type == PROXY_TLV_SSL_CIPHER)
		KEEP_TEXT(passport->cipher, value);
	else if (type != PROXY_TLV_SSL_CN)
		return NULL;
	else if (memchr(value->at, '\0', value->left))
		return "the client certificate's name has a NUL byte";
	else
		KEEP_TEXT(passport->client_name, value);
	return NULL;
}

static const char *read_ssl(struct passport *passport, struct reader value)
{
	const uint8_t bits = value.left > 0 ? value.at[0] : 0;
	uint32_t verify;

	if (value.left < PROXY_SSL_HEAD)
		return "its SSL part is too short";
	memcpy(&verify, value.at + 1, sizeof verify);
	passport->is_tls = (bits & PROXY_CLIENT_SSL) != 0;
	passport->is_verified = passport->is_tls && verify == 0 &&
				(bits & (PROXY_CLIENT_CERT_CONN | PROXY_CLIENT_CERT_SESS)) != 0;
	value.at += PROXY_SSL_HEAD;
	value.left -= PROXY_SSL_HEAD;
	for (unsigned seen = 0; value.left > 0;) {
		const char *why;
		struct reader part;
		uint8_t type;

		if (!take_tlv(&value, &type, &part))
			return "its SSL part does not end where it says";
		if (type >= PROXY_TLV_SSL_VERSION && type <= PROXY_TLV_SSL_CIPHER) {
			const unsigned bit = 1u << (type - PROXY_TLV_SSL_VERSION);

			if (seen & bit)
				return "its SSL part says something twice";
			seen |= bit;
		}
		why = read_ssl_part(passport, type, &part);
		if (why)
			return why;
	}
	return NULL;
}

static const char *read_authority(struct passport *passport, const struct reader *value)
{
	char *name = passport->server_name;

	if (value->left >= sizeof passport->server_name)
		return "its server name has more than 255 bytes";
	if (!utf8_is_printable(value->at, value->left))
		return "its server name is no text";
	keep_text(name, sizeof passport->server_name, value);
	for (size_t i = 0; i < value->left; i++)
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] - 'A' + 'a');
	return NULL;
}

static const char *check_crc(const uint8_t *bytes, size_t length, const struct reader *value)
{
	uint32_t said;

	if (value->left != sizeof said)
		return "its checksum has not 4 bytes";
	memcpy(&said, value->at, sizeof said);
	if (ntohl(said) != proxy_crc32c(bytes, length, (size_t)(value->at - bytes)))
		return "its checksum is wrong";
	return NULL;
}

static const char *read_tlv(struct passport *passport, uint8_t type, const struct reader *value,
			    const uint8_t *bytes, size_t length)
{
	switch (type) {
	case PROXY_TLV_ALPN:
		KEEP_TEXT(passport->alpn, value);
		return NULL;
	case PROXY_TLV_AUTHORITY:
		return read_authority(passport, value);
	case PROXY_TLV_CRC32C:
		return check_crc(bytes, length, value);
	case PROXY_TLV_UNIQUE_ID:
		return value->left > PROXY_UNIQUE_ID_MAX ? "its unique id has more than 128 bytes"
							 : NULL;
	case PROXY_TLV_SSL:
		return read_ssl(passport, *value);
	default:
		return NULL;
	}
}

/* Those that may come once; others are not ours to judge. */
static uint64_t tlv_bit(uint8_t type)
{
	return type == PROXY_TLV_NOOP || type > PROXY_TLV_SSL ? 0 : UINT64_C(1) << type;
}

static const char *read_tlvs(struct passport *passport, struct reader r, const uint8_t *bytes,
			     size_t length)
{
	uint64_t seen = 0;

	while (r.left > 0) {
		const char *why;
		struct reader value;
		uint8_t type;

		if (!take_tlv(&r, &type, &value))
			return "its TLVs do not end where it ends";
		if (seen & tlv_bit(type))
			return "it has the same TLV twice";
		seen |= tlv_bit(type);
		why = read_tlv(passport, type, &value, bytes, length);
		if (why)
			return why;
	}
	return NULL;
}

/* Of each family and protocol: the bytes of its two addresses, SIZE_MAX where they have no known
 * form. */
static size_t addresses_size(uint8_t family)
{
	static const size_t sizes[] = { SIZE_MAX, 12, 36, 216 };

	if ((family & 0x0f) == 0 || family >> 4 >= sizeof sizes / sizeof *sizes)
		return SIZE_MAX;
	return sizes[family >> 4];
}

static void set_v4(struct peer *peer, const uint8_t *host, const uint8_t *port)
{
	*peer = (struct peer){ .v4 = { .sin_family = AF_INET } };
	memcpy(&peer->v4.sin_addr, host, 4);
	memcpy(&peer->v4.sin_port, port, 2);
}

static void set_v6(struct peer *peer, const uint8_t *host, const uint8_t *port)
{
	*peer = (struct peer){ .v6 = { .sin6_family = AF_INET6 } };
	memcpy(&peer->v6.sin6_addr, host, 16);
	memcpy(&peer->v6.sin6_port, port, 2);
}

/* A whole header of version 2. Families and protocols that we do not relay count as UNSPEC, as the
 * source allows; their TLVs must be right all the same. */
static const char *read_v2(const uint8_t *bytes, size_t length, struct proxy_header *header)
{
	const uint8_t family = bytes[13];
	const size_t size = addresses_size(family);
	struct reader r = { bytes + PROXY_V2_FIRST, length - PROXY_V2_FIRST };
	struct passport passport = { .is_tls = false };
	const char *why;

	header->is_local = true;
	if ((bytes[12] & 0x0f) == PROXY_LOCAL || size == SIZE_MAX)
		return NULL;
	if (r.left < size)
		return "it is too short for its addresses";
	why = read_tlvs(&passport, (struct reader){ r.at + size, r.left - size }, bytes, length);
	if (why)
		return why;
	if (family == PROXY_TCP4) {
		set_v4(&header->from, r.at, r.at + 8);
		set_v4(&header->to, r.at + 4, r.at + 10);
	} else if (family == PROXY_TCP6) {
		set_v6(&header->from, r.at, r.at + 32);
		set_v6(&header->to, r.at + 16, r.at + 34);
	} else {
		return NULL;
	}
	header->is_local = false;
	header->passport = passport;
	return NULL;
}

/* Its first 16 bytes. A LOCAL one's family is ignored, as the source demands. */
static const char *check_v2(const uint8_t *bytes, size_t length)
{
	const uint8_t command = bytes[12] & 0x0f, family = bytes[13];

	if ((bytes[12] & 0xf0) != PROXY_VERSION_2)
		return "its version is neither 1 nor 2";
	if (command != PROXY_LOCAL && command != PROXY_PROXY)
		return "its command is neither LOCAL nor PROXY";
	if (command == PROXY_PROXY && (family >> 4 > 3 || (family & 0x0f) > 2))
		return "its address family or protocol does not exist";
	if (length > PROXY_V2_MAX)
		return "it is longer than 4096 bytes";
	return NULL;
}

static enum proxy_progress more(size_t have, size_t least, size_t *needed_r)
{
	*needed_r = least - have;
	return PROXY_MORE;
}

static enum proxy_progress bad(const char *why, const char **why_r)
{
	*why_r = why;
	return PROXY_BAD;
}

static enum proxy_progress progress_v2(const uint8_t *bytes, size_t have,
				       struct proxy_header *header_r, size_t *length_r,
				       size_t *needed_r, const char **why_r)
{
	struct proxy_header header;
	const char *why;
	size_t length;

	memset(&header, 0, sizeof header);
	if (have < PROXY_V2_FIRST)
		return more(have, PROXY_V2_FIRST, needed_r);
	length = PROXY_V2_FIRST + ((size_t)bytes[14] << 8 | bytes[15]);
	why = check_v2(bytes, length);
	if (why)
		return bad(why, why_r);
	if (have < length)
		return more(have, length, needed_r);
	why = read_v2(bytes, length, &header);
	if (why)
		return bad(why, why_r);
	*header_r = header;
	*length_r = length;
	return PROXY_DONE;
}

enum proxy_progress proxy_header_read(const void *bytes, size_t have, struct proxy_header *header_r,
				      size_t *length_r, size_t *needed_r, const char **why_r)
{
	const size_t known = have < PROXY_SIGNATURE_LENGTH ? have : PROXY_SIGNATURE_LENGTH;

	if (have > 0 && memcmp(bytes, PROXY_SIGNATURE, known) == 0)
		return progress_v2(bytes, have, header_r, length_r, needed_r, why_r);
	return proxy_v1_read(bytes, have, header_r, length_r, needed_r, why_r);
}
