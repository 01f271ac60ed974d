/* Why: the worry is a client who gets in past a deny list, or is kept out by an allow list that
 * names him. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/address.h"

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

static void blocks_print_as_they_are_read(void **state)
{
	static const char *const rows[][2] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },         { "10.1.2.3", "10.1.2.3/32" },
		{ "0.0.0.0/0", "0.0.0.0/0" },           { "::/0", "::/0" },
		{ "2001:db8::/32", "2001:db8::/32" },   { "::1", "::1/128" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" }
	};
	char text[ADDRESS_TEXT];
	struct cidr cidr;
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(cidr_parse(rows[i][0], &cidr, &e));
		assert_string_equal(cidr_print(&cidr, text), rows[i][1]);
	}
}

static void what_is_no_block_is_refused(void **state)
{
	static const char *const wrong[] = { "",
					     "/8",
					     "10.0.0.0/33",
					     "10.0.0.0/",
					     "10.0.0/8",
					     "::/129",
					     "10.0.0.0/-1",
					     "10.0.0.0/8x",
					     "host/8",
					     "10.0.0.0/0008",
					     "::ffff:10.0.0.0/8" };
	struct cidr cidr;
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (cidr_parse(wrong[i], &cidr, &e))
			fail_msg("\"%s\" was taken for a block", wrong[i]);
	assert_false(cidr_parse("10.1.2.3/8", &cidr, &e));
	assert_string_equal(e.text, "\"10.1.2.3/8\" has bits behind its prefix; write 10.0.0.0/8");
}

static bool matches(const char *block, const char *host)
{
	struct cidr cidr;
	struct cidr_list list = { .items = &cidr, .count = 1 };
	struct peer peer = peer_of(host, 1);
	struct error e;

	assert_true(cidr_parse(block, &cidr, &e));
	return cidr_match(&list, &peer);
}

static void a_block_holds_its_addresses_and_no_others(void **state)
{
	struct peer nobody = { .any.sa_family = AF_UNIX };
	struct cidr_list none = { .count = 0 };

	(void)state;
	assert_true(matches("10.0.0.0/8", "10.255.255.255"));
	assert_false(matches("10.0.0.0/8", "11.0.0.0"));
	assert_true(matches("10.0.0.0/9", "10.127.0.1"));
	assert_false(matches("10.0.0.0/9", "10.128.0.1"));
	assert_true(matches("10.0.0.0/8", "::ffff:10.2.3.4"));
	assert_false(matches("0.0.0.0/0", "2001:db8::1"));
	assert_true(matches("::/0", "1.2.3.4"));
	assert_true(matches("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(matches("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(matches("::1", "::1"));
	assert_false(matches("::1", "::2"));
	assert_false(cidr_match(&none, &nobody));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_print_as_they_are_read),
		cmocka_unit_test(what_is_no_block_is_refused),
		cmocka_unit_test(a_block_holds_its_addresses_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
