/* Why: the checksum of PROXY protocol version 2 headers. Headers have some hundred bytes and few
 * have a checksum, so sixteen words are table enough. Source: RFC 4960 appendix B (Castagnoli,
 * reflected). SPDX-License-Identifier: ISC */
#include "wire/proxy_layout.h"

/* The remainders of the sixteen nibbles by 0x82f63b78. */
static const uint32_t nibbles[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t proxy_crc32c(const uint8_t *bytes, size_t length, size_t hole)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < length; i++) {
		crc ^= i >= hole && i - hole < PROXY_CRC_LENGTH ? 0 : bytes[i];
		crc = crc >> 4 ^ nibbles[crc & 15];
		crc = crc >> 4 ^ nibbles[crc & 15];
	}
	return ~crc;
}
