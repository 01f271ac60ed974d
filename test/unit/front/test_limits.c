/* Why: who is let in is a promise about security; each cell of it is tried.
 * SPDX-License-Identifier: ISC */
#include "loopback.h"

#include "front/limits.h"

static struct peer client(const char *text)
{
	struct address address;
	struct peer peer;
	struct error e;

	assert_true(address_parse(text, &address, &e));
	peer_set(&peer, &address.any, address.length);
	return peer;
}

static struct cidr_list list_of(struct cidr *block, const char *text)
{
	struct error e;

	assert_true(cidr_parse(text, block, &e));
	return (struct cidr_list){ block, 1 };
}

/* Worry: deny does not win over allow; a v4-mapped client slips through a v4 block. */
static void test_allow_and_deny(void **state)
{
	struct cidr allow, deny;
	struct listen_config config = { .name = (char *)(uintptr_t) "t" };
	const struct peer in = client("10.1.2.3:1"), mapped = client("[::ffff:10.1.2.3]:1");
	const struct peer bad = client("10.9.0.1:1"), mapped_bad = client("[::ffff:10.9.0.1]:1");
	const struct peer out = client("192.0.2.1:1"), v6 = client("[2001:db8::1]:1");
	const struct peer local = { .any.sa_family = AF_UNIX };

	(void)state;
	assert_int_equal(limits_check(&config, NULL, &out), END_HANDED_OVER);
	config.deny = list_of(&deny, "10.9.0.0/16");
	assert_int_equal(limits_check(&config, NULL, &in), END_HANDED_OVER);
	assert_int_equal(limits_check(&config, NULL, &v6), END_HANDED_OVER);
	assert_int_equal(limits_check(&config, NULL, &bad), END_DENIED);
	assert_int_equal(limits_check(&config, NULL, &mapped_bad), END_DENIED);
	config.allow = list_of(&allow, "10.0.0.0/8");
	assert_int_equal(limits_check(&config, NULL, &in), END_HANDED_OVER);
	assert_int_equal(limits_check(&config, NULL, &mapped), END_HANDED_OVER);
	assert_int_equal(limits_check(&config, NULL, &out), END_DENIED);
	assert_int_equal(limits_check(&config, NULL, &v6), END_DENIED);
	assert_int_equal(limits_check(&config, NULL, &bad), END_DENIED);
	assert_int_equal(limits_check(&config, NULL, &local), END_HANDED_OVER);
}

static void on_fall(void *arg)
{
	(void)arg;
}

/* Worry: one client more or one fewer than the limit says. */
static void test_numbers_are_exact(void **state)
{
	struct event_base *base = event_base_new();
	struct listen_config config = { .max_connections = 4, .max_per_client = 3 };
	const struct peer here = client("127.0.0.1:1"), there = client("127.0.0.2:1");
	struct address local;
	int listener = loopback_listen("127.0.0.1:0", 16, &local);
	struct census *census = census_new(base, &local, on_fall, NULL);
	int ours[4], theirs[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(limits_check(&config, census, &here),
				 i < 3 ? END_HANDED_OVER : END_CLIENT_LIMIT);
		assert_int_equal(limits_check(&config, census, &there), END_HANDED_OVER);
		assert_false(limits_full(&config, census));
		theirs[i] = loopback_connect(address_port(&local), 0);
		ours[i] = loopback_accept(listener);
		census_enter(census, i < 3 ? &here : &there, ours[i]);
	}
	assert_true(limits_full(&config, census));
	config.max_per_client = 0;
	assert_int_equal(limits_check(&config, census, &here), END_HANDED_OVER);
	config.max_connections = 0;
	assert_false(limits_full(&config, census));
	for (unsigned i = 0; i < 4; i++) {
		fd_close(&theirs[i]);
		fd_close(&ours[i]);
	}
	census_free(&census);
	fd_close(&listener);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allow_and_deny),
		cmocka_unit_test(test_numbers_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
