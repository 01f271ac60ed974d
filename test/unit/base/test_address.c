/* Why: the worry is a client who is sent to another worker because his address was written in
 * another way, came over another port or another address family, or because many addresses share
 * one key. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/address.h"

#define SEED 0x1234567890abcdef

static struct peer peer_of(const char *host, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct peer peer;

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
		peer_set(&peer, (struct sockaddr *)&v4, sizeof v4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);
		peer_set(&peer, (struct sockaddr *)&v6, sizeof v6);
	}
	return peer;
}

static uint64_t key_of(const char *host)
{
	struct peer peer = peer_of(host, 1);

	return peer_key(&peer, 32, 64, SEED);
}

static void every_form_prints_as_it_is_read(void **state)
{
	static const char *const rows[][2] = {
		{ "127.0.0.1:80", "127.0.0.1:80" },
		{ "[::1]:65535", "[::1]:65535" },
		{ "[2001:DB8::0:1]:1", "[2001:db8::1]:1" },
		{ ":3000", "[::]:3000" },
		{ "*:3000", "[::]:3000" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "[::ffff:10.0.0.1]:80", "10.0.0.1:80" },
		{ "[fe80::1%1]:80", "[fe80::1%1]:80" },
		{ "unix:/run/app.sock", "unix:/run/app.sock" },
		{ "unix:/with blank:and colon", "unix:/with blank:and colon" },
		{ "localhost:80", "127.0.0.1:80" },
	};
	struct address address, again;
	char text[ADDRESS_TEXT];
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(address_parse(rows[i][0], &address, &e));
		assert_string_equal(address_print(&address, text), rows[i][1]);
		assert_true(address_parse(text, &again, &e));
		assert_true(address_equal(&address, &again));
	}
}

static void what_is_no_address_is_refused_with_a_sentence(void **state)
{
	static const char *const wrong[] = { "",
					     "80",
					     "127.0.0.1",
					     "127.0.0.1:",
					     ":65536",
					     ":-1",
					     ":1x",
					     "::1:80",
					     "[::1]",
					     "[::1]80",
					     "[::1:80",
					     "[127.0.0.1]:80",
					     "1.2.3:80",
					     "1.2.3.4.5:80",
					     "/run/app.sock",
					     "unix:",
					     "unix:run/app.sock",
					     ":80 ",
					     "[]:80",
					     "[fe80::1%]:80x",
					     ":" };
	struct address address;
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		e.text[0] = '\0';
		if (address_parse(wrong[i], &address, &e))
			fail_msg("\"%s\" was taken for an address", wrong[i]);
		assert_true(strlen(e.text) > 10);
	}
}

static void a_unix_path_has_at_most_107_bytes(void **state)
{
	char text[5 + 108 + 1] = "unix:/";
	struct address address;
	struct error e;

	(void)state;
	memset(text + 6, 'a', 106);
	assert_true(address_parse(text, &address, &e));
	memset(text + 6, 'a', 107);
	assert_false(address_parse(text, &address, &e));
	assert_non_null(strstr(e.text, "107 bytes"));
}

static void equal_addresses_differ_in_nothing_that_counts(void **state)
{
	struct address v4, mapped = { .length = sizeof mapped.v6 }, other;
	struct error e;

	(void)state;
	assert_true(address_parse("10.0.0.1:80", &v4, &e));
	mapped.v6.sin6_family = AF_INET6;
	mapped.v6.sin6_port = htons(80);
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.1", &mapped.v6.sin6_addr), 1);
	assert_true(address_equal(&v4, &mapped));
	assert_true(address_parse("10.0.0.1:81", &other, &e));
	assert_false(address_equal(&v4, &other));
	assert_true(address_parse("unix:/a", &other, &e));
	assert_false(address_equal(&v4, &other));
	other.length = 0;
	assert_false(address_equal(&v4, &other));
	assert_int_equal(address_port(&mapped), 80);
	assert_int_equal(address_port(&other), 0);
}

static void v4_and_v4_mapped_have_one_key(void **state)
{
	struct peer raw = { .v6 = { .sin6_family = AF_INET6 } };
	char text[ADDRESS_TEXT];

	(void)state;
	assert_true(key_of("192.0.2.7") == key_of("::ffff:192.0.2.7"));
	/* ... also in a peer that nobody has normalised */
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", &raw.v6.sin6_addr), 1);
	assert_true(peer_key(&raw, 32, 64, SEED) == key_of("192.0.2.7"));
	raw = peer_of("::ffff:192.0.2.7", 9);
	assert_string_equal(peer_print(&raw, text), "192.0.2.7:9");
}

static void the_port_never_matters(void **state)
{
	struct peer first4 = peer_of("192.0.2.7", 0), first6 = peer_of("2001:db8::7", 0);

	(void)state;
	for (unsigned port = 0; port < 65536; port++) {
		struct peer v4 = peer_of("192.0.2.7", (uint16_t)port);
		struct peer v6 = peer_of("2001:db8::7", (uint16_t)port);

		assert_true(peer_key(&v4, 32, 64, SEED) == peer_key(&first4, 32, 64, SEED));
		assert_true(peer_key(&v6, 32, 64, SEED) == peer_key(&first6, 32, 64, SEED));
	}
}

static void scope_and_flow_never_matter(void **state)
{
	struct peer a = peer_of("fe80::1", 1), b = a;

	(void)state;
	b.v6.sin6_scope_id = 7;
	b.v6.sin6_flowinfo = 9;
	assert_true(peer_key(&a, 32, 128, SEED) == peer_key(&b, 32, 128, SEED));
}

static void the_prefix_decides_how_much_of_the_address_counts(void **state)
{
	struct peer a = peer_of("10.1.2.3", 1), b = peer_of("10.1.2.255", 1),
		    c = peer_of("10.1.3.3", 1);
	struct peer x = peer_of("2001:db8:0:1::1", 1), y = peer_of("2001:db8:0:1:ffff::1", 1);
	struct peer z = peer_of("2001:db8:0:2::1", 1);

	(void)state;
	assert_true(peer_key(&a, 24, 64, SEED) == peer_key(&b, 24, 64, SEED));
	assert_true(peer_key(&a, 24, 64, SEED) != peer_key(&c, 24, 64, SEED));
	assert_true(peer_key(&a, 23, 64, SEED) == peer_key(&c, 23, 64, SEED));
	assert_true(peer_key(&a, 32, 64, SEED) != peer_key(&b, 32, 64, SEED));
	assert_true(peer_key(&x, 32, 64, SEED) == peer_key(&y, 32, 64, SEED));
	assert_true(peer_key(&x, 32, 128, SEED) != peer_key(&y, 32, 128, SEED));
	assert_true(peer_key(&x, 32, 64, SEED) != peer_key(&z, 32, 64, SEED));
}

static void another_seed_gives_another_key(void **state)
{
	struct peer peer = peer_of("10.1.2.3", 1);

	(void)state;
	assert_true(peer_key(&peer, 32, 64, 1) != peer_key(&peer, 32, 64, 2));
}

/* 10^6 neighbours (the worst case for a weak hash) over 16 bins of the key. With 15 degrees of
 * freedom chi-squared is above 44.3 once in 10^4 times; the keys are fixed, so the test is not a
 * dice. */
static void a_million_neighbours_spread_evenly(void **state)
{
	enum {
		COUNT = 1000000,
		BINS = 16
	};
	double expected = (double)COUNT / BINS;

	(void)state;
	for (unsigned shift = 0; shift <= 60; shift += 20) {
		size_t bins[BINS] = { 0 };
		double chi_squared = 0;

		for (uint32_t i = 0; i < COUNT; i++) {
			struct peer peer = { .v4 = { .sin_family = AF_INET } };

			peer.v4.sin_addr.s_addr = htonl(0x0a000000u + i);
			bins[peer_key(&peer, 32, 64, SEED) >> shift & (BINS - 1)]++;
		}
		for (size_t bin = 0; bin < BINS; bin++) {
			double off = (double)bins[bin] - expected;

			chi_squared += off * off / expected;
		}
		assert_true(chi_squared < 44.3);
	}
}

static void a_peer_without_address_is_no_other_peer(void **state)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	char text[ADDRESS_TEXT];
	struct peer peer;

	(void)state;
	peer_set(&peer, (struct sockaddr *)&local, sizeof local.sun_family);
	assert_string_equal(peer_print(&peer, text), "unix");
	assert_true(peer_key(&peer, 32, 64, SEED) != key_of("0.0.0.0"));
	peer_set(&peer, (struct sockaddr *)&v4, 4); /* cut short: nothing of it is read */
	assert_string_equal(peer_print(&peer, text), "unknown");
	peer_set(&peer, (struct sockaddr *)&v4, 0);
	assert_int_equal(peer.any.sa_family, AF_UNSPEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_prints_as_it_is_read),
		cmocka_unit_test(what_is_no_address_is_refused_with_a_sentence),
		cmocka_unit_test(a_unix_path_has_at_most_107_bytes),
		cmocka_unit_test(equal_addresses_differ_in_nothing_that_counts),
		cmocka_unit_test(v4_and_v4_mapped_have_one_key),
		cmocka_unit_test(the_port_never_matters),
		cmocka_unit_test(scope_and_flow_never_matter),
		cmocka_unit_test(the_prefix_decides_how_much_of_the_address_counts),
		cmocka_unit_test(another_seed_gives_another_key),
		cmocka_unit_test(a_million_neighbours_spread_evenly),
		cmocka_unit_test(a_peer_without_address_is_no_other_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
