/* Why: address.h; every text form and every byte order of an address is handled here, so that the
 * rest of the program never looks into a sockaddr.
 * SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/address.h"

#define UNIX_PREFIX "unix:"

static void v4_from_mapped(struct sockaddr_in *v4, const struct sockaddr_in6 *v6)
{
	struct sockaddr_in result = { .sin_family = AF_INET, .sin_port = v6->sin6_port };

	memcpy(&result.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
	*v4 = result;
}

static void address_set_any(struct address *address, in_port_t port)
{
	*address = (struct address){ .length = sizeof address->v6 };
	address->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
}

static void address_set(struct address *address, const struct sockaddr *any, in_port_t port)
{
	*address = (struct address){ .length = 0 };
	if (any->sa_family == AF_INET) {
		memcpy(&address->v4, any, sizeof address->v4);
		address->length = sizeof address->v4;
		address->v4.sin_port = htons(port);
		return;
	}
	memcpy(&address->v6, any, sizeof address->v6);
	address->length = sizeof address->v6;
	address->v6.sin6_port = htons(port);
	if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
		v4_from_mapped(&address->v4, &address->v6);
		address->length = sizeof address->v4;
	}
}

static bool address_parse_unix(const char *path, struct address *address, struct error *e)
{
	size_t length = strlen(path);

	if (*path != '/')
		return error_set(
			e, "a unix socket needs an absolute path, such as unix:/run/app.sock");
	if (length >= sizeof address->local.sun_path)
		return error_set(e, "a unix socket path has at most %zu bytes, this one has %zu",
				 sizeof address->local.sun_path - 1, length);
	*address = (struct address){ .length = sizeof address->local };
	address->local.sun_family = AF_UNIX;
	memcpy(address->local.sun_path, path, length + 1);
	return true;
}

static bool port_parse(const char *text, in_port_t *port_r, struct error *e)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port;

	if (digits == 0 || text[digits] || digits > 5)
		return error_set(e, "expected a port from 0 to 65535, not \"%.80s\"", text);
	port = strtoul(text, NULL, 10);
	if (port > 65535)
		return error_set(e, "expected a port from 0 to 65535, not \"%.80s\"", text);
	*port_r = (in_port_t)port;
	return true;
}

/* Cuts "host:port" or "[v6]:port" in place. */
static bool host_split(char *text, char **host_r, char **port_r, struct error *e)
{
	char *colon = strrchr(text, ':');

	if (!colon && strspn(text, "0123456789") == strlen(text))
		return error_set(e, "a port needs a colon in front: write \":%.80s\"", text);
	if (!colon || (*text == '[' && colon[-1] != ']'))
		return error_set(e, "the port is missing: write \"%.80s:PORT\"", text);
	*colon = '\0';
	*host_r = text;
	*port_r = colon + 1;
	if (*text == '[') {
		colon[-1] = '\0';
		*host_r = text + 1;
		if (!strchr(text + 1, ':'))
			return error_set(e, "only an IPv6 address stands in [], not \"%.80s\"",
					 text + 1);
		return true;
	}
	if (strchr(text, ':'))
		return error_set(e, "an IPv6 address stands in []: write \"[%.80s]:%.20s\"", text,
				 colon + 1);
	return true;
}

/* Where a name has both kinds of addresses the IPv4 one counts, whatever the order of the resolver:
 * "localhost:3000" must mean the same on every machine. */
static const struct addrinfo *resolved_best(const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		if (i->ai_family == AF_INET)
			return i;
	return list;
}

/* getaddrinfo takes 1.2 for 1.0.0.2 and 010.0.0.1 for 8.0.0.1, as in 1983. */
static bool is_dotted_quad(const char *host)
{
	struct in_addr bytes;

	return inet_pton(AF_INET, host, &bytes) == 1;
}

static bool host_resolve(const char *host, in_port_t port, struct address *address, struct error *e)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST,
				  .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int fault = getaddrinfo(host, NULL, &hints, &list);

	/* A mistyped address is never worth a question to a server. */
	if (fault == EAI_NONAME && !strchr(host, ':') && host[strspn(host, "0123456789.")]) {
		hints.ai_flags = AI_PASSIVE;
		fault = getaddrinfo(host, NULL, &hints, &list);
	} else if (fault == 0 && list->ai_family == AF_INET && !is_dotted_quad(host)) {
		freeaddrinfo(list);
		fault = EAI_NONAME;
	}
	if (fault)
		return error_set(e, "\"%.80s\" is no address, and no host name known here (%s)",
				 host, gai_strerror(fault));
	address_set(address, resolved_best(list)->ai_addr, port);
	freeaddrinfo(list);
	return true;
}

bool address_parse(const char *text, struct address *address_r, struct error *e)
{
	char copy[512];
	char *host = NULL, *port_text = NULL;
	in_port_t port = 0;

	if (strncmp(text, UNIX_PREFIX, sizeof UNIX_PREFIX - 1) == 0)
		return address_parse_unix(text + sizeof UNIX_PREFIX - 1, address_r, e);
	if (*text == '/')
		return error_set(e, "a unix socket is written unix:%.107s", text);
	if (strlen(text) >= sizeof copy)
		return error_set(e, "\"%.80s...\" is too long for an address", text);
	memcpy(copy, text, strlen(text) + 1);
	if (!host_split(copy, &host, &port_text, e) || !port_parse(port_text, &port, e))
		return false;
	if (*host == '\0' || strcmp(host, "*") == 0) {
		address_set_any(address_r, port);
		return true;
	}
	return host_resolve(host, port, address_r, e);
}

static const char *print_v4(const struct sockaddr_in *v4, char out[ADDRESS_TEXT])
{
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
	snprintf(out, ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
	return out;
}

static const char *print_v6(const struct sockaddr_in6 *v6, char out[ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in v4;

	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		v4_from_mapped(&v4, v6);
		return print_v4(&v4, out);
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
	if (v6->sin6_scope_id) /* as a number: interface names change */
		snprintf(out, ADDRESS_TEXT, "[%s%%%u]:%u", host, v6->sin6_scope_id,
			 ntohs(v6->sin6_port));
	else
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
	return out;
}

const char *address_print(const struct address *address, char out[ADDRESS_TEXT])
{
	if (address->length == 0) {
		snprintf(out, ADDRESS_TEXT, "none");
		return out;
	}
	switch (address->any.sa_family) {
	case AF_INET:
		return print_v4(&address->v4, out);
	case AF_INET6:
		return print_v6(&address->v6, out);
	default:
		snprintf(out, ADDRESS_TEXT, UNIX_PREFIX "%.*s", (int)sizeof address->local.sun_path,
			 address->local.sun_path);
		return out;
	}
}

const char *peer_print(const struct peer *peer, char out[ADDRESS_TEXT])
{
	switch (peer->any.sa_family) {
	case AF_INET:
		return print_v4(&peer->v4, out);
	case AF_INET6:
		return print_v6(&peer->v6, out);
	default:
		snprintf(out, ADDRESS_TEXT, "%s",
			 peer->any.sa_family == AF_UNIX ? "unix" : "unknown");
		return out;
	}
}

void peer_set(struct peer *peer, const struct sockaddr *address, socklen_t length)
{
	*peer = (struct peer){ .any.sa_family = AF_UNSPEC };
	if (length < (socklen_t)sizeof address->sa_family)
		return;
	if (address->sa_family == AF_INET && length >= (socklen_t)sizeof peer->v4) {
		memcpy(&peer->v4, address, sizeof peer->v4);
	} else if (address->sa_family == AF_INET6 && length >= (socklen_t)sizeof peer->v6) {
		memcpy(&peer->v6, address, sizeof peer->v6);
		if (IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr))
			v4_from_mapped(&peer->v4, &peer->v6);
	} else if (address->sa_family == AF_UNIX) {
		peer->any.sa_family = AF_UNIX;
	}
}

uint16_t address_port(const struct address *address)
{
	if (address->length == 0)
		return 0;
	if (address->any.sa_family == AF_INET)
		return ntohs(address->v4.sin_port);
	if (address->any.sa_family == AF_INET6)
		return ntohs(address->v6.sin6_port);
	return 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
	struct address x, y;

	if (a->length == 0 || b->length == 0)
		return a->length == b->length;
	if (a->any.sa_family == AF_UNIX || b->any.sa_family == AF_UNIX)
		return a->any.sa_family == b->any.sa_family &&
		       strncmp(a->local.sun_path, b->local.sun_path, sizeof a->local.sun_path) == 0;
	address_set(&x, &a->any, address_port(a)); /* v4-mapped becomes v4 */
	address_set(&y, &b->any, address_port(b));
	if (x.any.sa_family != y.any.sa_family || address_port(&x) != address_port(&y))
		return false;
	if (x.any.sa_family == AF_INET)
		return x.v4.sin_addr.s_addr == y.v4.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&x.v6.sin6_addr, &y.v6.sin6_addr) &&
	       x.v6.sin6_scope_id == y.v6.sin6_scope_id;
}

/* Clears everything behind the first `bits` bits. */
static void bits_cut(uint8_t *bytes, size_t size, unsigned bits)
{
	for (size_t i = 0; i < size; i++) {
		unsigned before = (unsigned)i * 8;

		if (bits <= before)
			bytes[i] = 0;
		else if (bits - before < 8)
			bytes[i] = (uint8_t)(bytes[i] & (0xff00u >> (bits - before)));
	}
}

/* The tag keeps 1.2.3.4 apart from a v6 address whose bytes happen to begin alike. */
uint64_t peer_key(const struct peer *peer, unsigned prefix4, unsigned prefix6, uint64_t seed)
{
	uint8_t bytes[1 + 16] = { 0 };
	struct peer canonical;
	size_t length = 0;

	peer_set(&canonical, &peer->any, sizeof peer->v6);
	if (canonical.any.sa_family == AF_INET) {
		bytes[0] = 4;
		length = 4;
		memcpy(bytes + 1, &canonical.v4.sin_addr, 4);
		bits_cut(bytes + 1, 4, prefix4);
	} else if (canonical.any.sa_family == AF_INET6) {
		length = 16;
		bytes[0] = 6;
		memcpy(bytes + 1, &canonical.v6.sin6_addr, 16);
		bits_cut(bytes + 1, 16, prefix6);
	}
	return XXH3_64bits_withSeed(bytes, 1 + length, seed);
}
