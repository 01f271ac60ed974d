/* Why: every test of the reader asks it in the same careful way: of a copy of exact size, split at
 * every byte, with and without something behind. SPDX-License-Identifier: ISC */
#ifndef TEST_PROXY_READING_H
#define TEST_PROXY_READING_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "wire/proxy_header.h"

struct reading {
	enum proxy_progress progress;
	struct proxy_header header;
	size_t length, needed;
	const char *why;
};

/* One look at a copy whose end is the end of its memory. */
static inline struct reading proxy_look(const void *bytes, size_t have)
{
	struct reading r = { .length = SIZE_MAX, .needed = SIZE_MAX, .why = NULL };
	char *copy = malloc(have > 0 ? have : 1);

	assert_non_null(copy);
	if (have > 0)
		memcpy(copy, bytes, have);
	memset(&r.header, 0x5a, sizeof r.header);
	r.progress = proxy_header_read(copy, have, &r.header, &r.length, &r.needed, &r.why);
	free(copy);
	assert_true((r.progress == PROXY_MORE) == (r.needed != SIZE_MAX && r.needed > 0));
	assert_true((r.progress == PROXY_DONE) == (r.length != SIZE_MAX && r.length <= have));
	assert_true((r.progress == PROXY_BAD) == (r.why != NULL));
	return r;
}

/* A header that is right: the same at every split, nothing beyond it is asked for, and what stands
 * behind it is not looked at. Returns what it says. */
static inline struct proxy_header proxy_expect_whole(const void *bytes, size_t length)
{
	const struct reading whole = proxy_look(bytes, length);
	char *more = malloc(length + 64);

	if (whole.progress != PROXY_DONE)
		fail_msg("not taken: %s", whole.why ? whole.why : "more is wanted");
	assert_int_equal(whole.length, length);
	for (size_t have = 0; have < length; have++) {
		const struct reading part = proxy_look(bytes, have);

		if (part.progress != PROXY_MORE || part.needed > length - have)
			fail_msg("%zu of %zu bytes: progress %d, needed %zu", have, length,
				 part.progress, part.needed);
	}
	assert_non_null(more);
	memcpy(more, bytes, length);
	for (int fill = 0; fill < 256; fill += 15) {
		struct reading glued;

		memset(more + length, fill, 64);
		glued = proxy_look(more, length + 64);
		assert_int_equal(glued.progress, PROXY_DONE);
		assert_int_equal(glued.length, length);
		assert_memory_equal(&glued.header, &whole.header, sizeof whole.header);
	}
	free(more);
	return whole.header;
}

/* One that is wrong: found by its end at the latest, never taken on the way. */
static inline const char *proxy_expect_bad(const void *bytes, size_t length)
{
	const struct reading whole = proxy_look(bytes, length);
	bool was_bad = false;

	if (whole.progress != PROXY_BAD)
		fail_msg("taken as right, or more is wanted");
	for (size_t have = 0; have < length; have++) {
		const struct reading part = proxy_look(bytes, have);

		assert_int_not_equal(part.progress, PROXY_DONE);
		assert_false(was_bad && part.progress == PROXY_MORE);
		was_bad = part.progress == PROXY_BAD;
	}
	return whole.why;
}

static inline struct peer proxy_peer(const char *host, uint16_t port)
{
	struct peer p;

	memset(&p, 0, sizeof p);
	if (strchr(host, ':')) {
		p.v6.sin6_family = AF_INET6;
		p.v6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, host, &p.v6.sin6_addr), 1);
	} else {
		p.v4.sin_family = AF_INET;
		p.v4.sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, host, &p.v4.sin_addr), 1);
	}
	return p;
}

static inline void proxy_expect_peer(const struct peer *peer, const char *host, uint16_t port)
{
	const struct peer expected = proxy_peer(host, port);

	assert_memory_equal(peer, &expected, sizeof expected);
}

#endif
