/* Why: writer and reader of version 2 must mean the same bytes. Source: proxy-protocol.txt 2.2.
 * Only for src/wire/proxy_header*.c and their tests. SPDX-License-Identifier: ISC */
#ifndef WIRE_PROXY_LAYOUT_H
#define WIRE_PROXY_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "wire/proxy_header.h"

#define PROXY_SIGNATURE        "\r\n\r\n\0\r\nQUIT\n"
#define PROXY_SIGNATURE_LENGTH 12
#define PROXY_V2_FIRST         16 /* signature, version and command, family and protocol, length */
#define PROXY_TLV_HEAD         3  /* type, length */
#define PROXY_SSL_HEAD         5  /* client bits, verify */
#define PROXY_CRC_LENGTH       4
#define PROXY_UNIQUE_ID_MAX    128

enum {
	PROXY_VERSION_2 = 0x20,
	PROXY_LOCAL = 0x00,
	PROXY_PROXY = 0x01
};
enum {
	PROXY_UNSPEC = 0x00,
	PROXY_TCP4 = 0x11,
	PROXY_TCP6 = 0x21
};
enum proxy_client_bits {
	PROXY_CLIENT_SSL = 0x01,
	PROXY_CLIENT_CERT_CONN = 0x02, /* showed a certificate in this connection */
	PROXY_CLIENT_CERT_SESS = 0x04  /* at least once in the TLS session */
};

/* RFC 4960 appendix B, as HAProxy has it. The four bytes at `hole` count as zeros (SIZE_MAX: none).
 */
uint32_t proxy_crc32c(const uint8_t *bytes, size_t length, size_t hole);

/* proxy_header_read of what does not begin as version 2 does; `have` may be 0. */
enum proxy_progress proxy_v1_read(const char *bytes, size_t have, struct proxy_header *header_r,
				  size_t *length_r, size_t *needed_r, const char **why_r);

#endif
