/* Why: the PROXY protocol is how one program tells another whose connection this is. Here: writing
 * version 2. Source: "The PROXY protocol, versions 1 & 2", section 2.2 (haproxy.org,
 * doc/proxy-protocol.txt). SPDX-License-Identifier: ISC */
#ifndef WIRE_PROXY_HEADER_H
#define WIRE_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum proxy_tlv_type {
	PROXY_TLV_UNIQUE_ID = 0x05
};

struct proxy_tlv {
	uint8_t type;
	uint16_t length;
	const void *value;
};

/* Writes one header; 0 where it would not fit. Clients without an address (UNIX sockets) and pairs
 * of different families get LOCAL, as the source demands. A v4-mapped pair is written as v4. */
size_t proxy_header_write(void *out, size_t size, const struct peer *from, const struct peer *to,
			  const struct proxy_tlv *tlvs, size_t tlv_count);

#endif
