/* Why: one form for every address that we bind, accept from, hash or match, so that a v4 client is
 * the same client however he came in. Source: ip(7), ipv6(7), unix(7), RFC 4291 2.5.5.2.
 * SPDX-License-Identifier: ISC */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

/* length 0: no address. `any.sa_family` tells the member in use. */
struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

/* A client's address only: 32 bytes instead of 112, because one is kept per waiting client. */
struct peer {
	union {
		struct sockaddr any; /* sa_family AF_UNSPEC or AF_UNIX: no address is known */
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

#define ADDRESS_TEXT 128 /* enough for any printed form, NUL included */

/* "host:port", "[v6]:port", ":port" (dual-stack any), "*:port", "unix:/path". `host` is a numeric
 * address or a name from /etc/hosts known at start ("localhost"). */
bool address_parse(const char *text, struct address *address_r, struct error *e);

/* The form that address_parse reads back; v4-mapped prints as v4. Returns `out`. */
const char *address_print(const struct address *address, char out[ADDRESS_TEXT]);
const char *peer_print(const struct peer *peer, char out[ADDRESS_TEXT]);
void peer_set(struct peer *peer, const struct sockaddr *address, socklen_t length);

uint16_t address_port(const struct address *address); /* 0 where there is none */
bool address_equal(const struct address *a, const struct address *b);

/* The affinity key: canonical bytes only (a tag, then 4 or 16; v4-mapped v6 is v4; never port,
 * scope or padding), cut to prefix4/prefix6 bits, hashed by XXH3-64 under `seed`. */
uint64_t peer_key(const struct peer *peer, unsigned prefix4, unsigned prefix6, uint64_t seed);

/* A list of CIDR blocks; a v4 block matches v4 and v4-mapped clients alike. */
struct cidr {
	uint8_t bytes[16]; /* v4 blocks are kept v4-mapped */
	unsigned bits;     /* of 128 */
};
struct cidr_list {
	struct cidr *items;
	size_t count;
};
bool cidr_parse(const char *text, struct cidr *cidr_r, struct error *e);
const char *cidr_print(const struct cidr *cidr, char out[ADDRESS_TEXT]);
bool cidr_match(const struct cidr_list *list, const struct peer *peer);

#endif
