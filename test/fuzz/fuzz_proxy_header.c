/* Why: a trusted load balancer relays what a stranger sent, and a misconfigured one sends anything.
 * Whatever the bytes are: nothing behind them is read, and what is taken as right is so in every
 * piece and can be said again. SPDX-License-Identifier: ISC */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct reading {
	enum proxy_progress progress;
	struct proxy_header header;
	size_t length, needed;
	const char *why;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Of a copy whose end is the end of its memory. */
static struct reading look(const uint8_t *bytes, size_t have)
{
	struct reading r = { .length = 0, .needed = 0, .why = NULL };
	uint8_t *copy = malloc(have > 0 ? have : 1);

	must(copy != NULL);
	if (have > 0)
		memcpy(copy, bytes, have);
	r.progress = proxy_header_read(copy, have, &r.header, &r.length, &r.needed, &r.why);
	free(copy);
	must((r.progress == PROXY_MORE) == (r.needed > 0));
	must((r.progress == PROXY_DONE) == (r.length > 0));
	must((r.progress == PROXY_BAD) == (r.why != NULL));
	return r;
}

static bool is_terminated(const struct passport *p)
{
	return memchr(p->tls_version, '\0', sizeof p->tls_version) &&
	       memchr(p->cipher, '\0', sizeof p->cipher) && memchr(p->alpn, '\0', sizeof p->alpn) &&
	       memchr(p->server_name, '\0', sizeof p->server_name) &&
	       memchr(p->client_name, '\0', sizeof p->client_name);
}

/* What we tell a worker of this client is what we were told. */
static void check_round_trip(const struct proxy_header *header)
{
	struct passport passport = header->passport;
	uint8_t out[1024];
	struct reading again;
	size_t length;

	passport.from = header->from;
	passport.to = header->to;
	length = proxy_header_write_passport(out, sizeof out, &passport, "id", 2, true);
	again = look(out, length);
	must(again.progress == PROXY_DONE && again.length == length);
	must(again.header.is_local == header->is_local);
	must(header->is_local || again.header.from.any.sa_family == header->from.any.sa_family ||
	     again.header.from.any.sa_family == AF_INET); /* v4-mapped pairs */
	if (passport.is_tls)                              /* without, its parts are not written */
		must(memcmp(&again.header.passport, &header->passport, sizeof passport) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct reading whole = look(bytes, size);
	struct reading part;

	if (whole.progress == PROXY_MORE) {
		must(size + whole.needed <= PROXY_V2_MAX);
		return 0;
	}
	if (whole.progress != PROXY_DONE)
		return 0;
	must(whole.length <= size && whole.length <= PROXY_V2_MAX);
	must(is_terminated(&whole.header.passport));
	must(whole.header.is_local == (whole.header.from.any.sa_family == AF_UNSPEC));
	must(whole.header.from.any.sa_family == whole.header.to.any.sa_family);
	part = look(bytes, whole.length);
	must(part.progress == PROXY_DONE && part.length == whole.length);
	must(memcmp(&part.header, &whole.header, sizeof part.header) == 0);
	for (size_t have = 0; have < whole.length; have += 1 + have / 64) {
		part = look(bytes, have);
		must(part.progress == PROXY_MORE && have + part.needed <= whole.length);
	}
	check_round_trip(&whole.header);
	return 0;
}
