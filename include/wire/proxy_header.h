/* Why: the PROXY protocol is how one program tells another whose connection this is. Both versions,
 * both directions, and nothing else: no socket is touched here. Source: "The PROXY protocol,
 * versions 1 & 2" (haproxy.org, doc/proxy-protocol.txt). SPDX-License-Identifier: ISC */
#ifndef WIRE_PROXY_HEADER_H
#define WIRE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "wire/passport.h"

#define PROXY_V1_MAX 107  /* with CRLF, without NUL */
#define PROXY_V2_MAX 4096 /* the whole header, as we take it */

enum proxy_tlv_type {
	PROXY_TLV_ALPN = 0x01,
	PROXY_TLV_AUTHORITY = 0x02,
	PROXY_TLV_CRC32C = 0x03,
	PROXY_TLV_NOOP = 0x04,
	PROXY_TLV_UNIQUE_ID = 0x05,
	PROXY_TLV_SSL = 0x20,
	PROXY_TLV_SSL_VERSION = 0x21,
	PROXY_TLV_SSL_CN = 0x22,
	PROXY_TLV_SSL_CIPHER = 0x23
};

/* --- Writing --- */

struct proxy_tlv {
	uint8_t type;
	uint16_t length;
	const void *value;
};

/* Writes one version 2 header; 0 where it would not fit. Clients without an address (UNIX sockets)
 * and pairs of different families get LOCAL, as the source demands. A v4-mapped pair is written as
 * v4. */
size_t proxy_header_write(void *out, size_t size, const struct peer *from, const struct peer *to,
			  const struct proxy_tlv *tlvs, size_t tlv_count);

/* Version 2 with all that the passport knows (SSL with its parts, ALPN, AUTHORITY), UNIQUE_ID
 * (`unique_length` 0: none) and, with `checksum`, CRC32C. */
size_t proxy_header_write_passport(void *out, size_t size, const struct passport *passport,
				   const void *unique, size_t unique_length, bool checksum);

/* Version 1: "PROXY TCP4 ...\r\n", or "PROXY UNKNOWN\r\n"; no NUL behind it. 0 where it would not
 * fit. */
size_t proxy_header_write_v1(char *out, size_t size, const struct peer *from,
			     const struct peer *to);

/* --- Reading --- */

enum proxy_progress {
	PROXY_MORE, /* so far so good; at least *needed_r more bytes belong to the header */
	PROXY_DONE, /* whole; *length_r bytes */
	PROXY_BAD   /* no header, or a wrong one: *why_r */
};

struct proxy_header {
	bool is_local;            /* LOCAL, UNKNOWN, or nothing that is TCP: the connection's own
				   * addresses hold, and nothing else is told */
	struct peer from, to;     /* unless is_local; v4-mapped addresses are as they were sent */
	struct passport passport; /* what TLVs said: is_tls, alpn, server_name ... */
};

/* Looks at the first `have` bytes of a connection, which may be more than the header. *needed_r is
 * never 0 and never leads beyond the header, so that no byte behind it need be taken: version 1 can
 * end as soon as its shortest form, and its length is known only when its line end is there;
 * version 2 has 16 bytes, then the rest as its length says. Strict: canonical numbers only, TLVs
 * that end exactly at the end, none of ours twice, a CRC that is there must hold. `why_r` is a
 * sentence for the log. The results that do not belong to the progress are not touched. */
enum proxy_progress proxy_header_read(const void *bytes, size_t have, struct proxy_header *header_r,
				      size_t *length_r, size_t *needed_r, const char **why_r);

#endif
