/* Why: a server line that is read as something else sends clients to a wrong machine, or, where its
 * name is another on each Limpet, to another server than yesterday.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "config/option.h"

static const struct option *row(enum section_kind kind, const char *name)
{
	const struct option *option = option_find(&option_tables[kind], name);

	assert_non_null(option);
	return option;
}

static struct pool_config pool;
static struct listen_config listener;

static int begin(void **state)
{
	(void)state;
	memset(&pool, 0, sizeof pool);
	memset(&listener, 0, sizeof listener);
	option_begin_all(&option_tables[SECTION_POOL], &pool);
	option_begin_all(&option_tables[SECTION_LISTEN], &listener);
	return 0;
}

static int end(void **state)
{
	(void)state;
	option_end_all(&option_tables[SECTION_POOL], &pool);
	option_end_all(&option_tables[SECTION_LISTEN], &listener);
	return 0;
}

static const struct server *expect_server(const char *line, const char *printed)
{
	const struct option *option = row(SECTION_POOL, "server");
	char *text = NULL, expected[512];
	struct error e;
	size_t length;
	FILE *out;

	if (!option_set(option, &pool, line, false, &e))
		fail_msg("%s is refused: %s", line, e.text);
	assert_int_equal(pool.server.count, 1);
	out = open_memstream(&text, &length);
	option_print(option, &pool, out);
	fclose(out);
	snprintf(expected, sizeof expected, "server = %s\n", printed);
	assert_string_equal(text, expected);
	free(text);
	return pool.server.items;
}

static void expect_refused(enum section_kind kind, const char *name, const char *line)
{
	void *object = kind == SECTION_POOL ? (void *)&pool : (void *)&listener;
	struct error e;

	if (option_set(row(kind, name), object, line, false, &e))
		fail_msg("%s = %s is taken", name, line);
	if (strncmp(e.text, name, strlen(name)) != 0)
		fail_msg("the sentence does not name %s: %s", name, e.text);
}

static void no_server(const char *line)
{
	expect_refused(SECTION_POOL, "server", line);
	assert_int_equal(pool.server.count, 0);
}

static void expect_all(const struct server *server, enum server_kind kind, const char *host,
		       unsigned port, const char *name)
{
	assert_int_equal(server->kind, kind);
	assert_string_equal(server->host, host);
	assert_int_equal(server->port, port);
	assert_string_equal(server->name, name);
	assert_true(server->weight == 1);
}

static void each_kind_has_its_form(void **state)
{
	(void)state;
	expect_all(expect_server("10.0.0.1:80", "10.0.0.1:80"), SERVER_ADDRESS, "10.0.0.1", 80,
		   "10.0.0.1:80");
	expect_all(expect_server("app:65535", "app:65535"), SERVER_ADDRESS, "app", 65535,
		   "app:65535");
	expect_all(expect_server("unix:/run/a:1", "unix:/run/a:1"), SERVER_ADDRESS, "unix:/run/a:1",
		   0, "unix:/run/a:1");
	expect_all(expect_server("dns:app.local.:1", "dns:app.local.:1"), SERVER_DNS, "app.local.",
		   1, "dns:app.local.:1");
	expect_all(expect_server("srv:_ws._tcp.a.org", "srv:_ws._tcp.a.org"), SERVER_SRV,
		   "_ws._tcp.a.org", 0, "srv:_ws._tcp.a.org");
	expect_all(expect_server("my_app:1", "my_app:1"), SERVER_ADDRESS, "my_app", 1, "my_app:1");
}

/* Several Limpets agree on what they hash, however each was written. */
static void names_have_one_form(void **state)
{
	(void)state;
	expect_all(expect_server("App.Example.ORG:80", "app.example.org:80"), SERVER_ADDRESS,
		   "app.example.org", 80, "app.example.org:80");
	expect_all(expect_server("[2001:DB8:0::0:1]:80", "[2001:db8::1]:80"), SERVER_ADDRESS,
		   "2001:db8::1", 80, "[2001:db8::1]:80");
	expect_all(expect_server("[fe80:0::1%eth0]:80", "[fe80::1%eth0]:80"), SERVER_ADDRESS,
		   "fe80::1%eth0", 80, "[fe80::1%eth0]:80");
	expect_all(expect_server("a:0080", "a:80"), SERVER_ADDRESS, "a", 80, "a:80");
	expect_all(expect_server("SRV._tcp:1", "srv._tcp:1"), SERVER_ADDRESS, "srv._tcp", 1,
		   "srv._tcp:1");
	expect_all(expect_server("srv:_WS._TCP.a", "srv:_ws._tcp.a"), SERVER_SRV, "_ws._tcp.a", 0,
		   "srv:_ws._tcp.a");
}

static void weight_and_name_may_follow(void **state)
{
	const struct server *server = expect_server("a:1 name=B", "a:1 name=B");

	(void)state;
	assert_string_equal(server->name, "B");
	server = expect_server("a:1\t weight=0.5   name=x=y ", "a:1 weight=0.5 name=x=y");
	assert_true(server->weight == 0.5);
	assert_string_equal(server->name, "x=y");
	expect_server("a:1 name=a:1 weight=1.000", "a:1");
	assert_true(expect_server("a:1 weight=0", "a:1 weight=0")->weight == 0);
	assert_true(expect_server("a:1 weight=999.999", "a:1 weight=999.999")->weight == 999.999);
	expect_server("a:1 weight=1000", "a:1 weight=1000");
}

/* Every weight that can be written reads back as itself. */
static void weights_lose_no_thousandth(void **state)
{
	char line[64], printed[64];

	(void)state;
	for (unsigned i = 0; i <= 1000000; i += i < 3000 ? 1 : 997) {
		double weight;

		snprintf(line, sizeof line, "a:1 weight=%u.%03u", i / 1000, i % 1000);
		if (!option_set(row(SECTION_POOL, "server"), &pool, line, false,
				&(struct error){ .text = "" }))
			fail_msg("%s is refused", line);
		weight = pool.server.items[0].weight;
		assert_int_equal((unsigned)(weight * 1000 + 0.5), i);
		snprintf(printed, sizeof printed, "a:1 weight=%g", weight);
		assert_true(expect_server(line, weight == 1 ? "a:1" : printed)->weight == weight);
		assert_true(expect_server(printed, weight == 1 ? "a:1" : printed)->weight ==
			    weight);
	}
}

static void no_server_is_guessed(void **state)
{
	static const char *const wrong[] = { "a",
					     "a:",
					     ":1",
					     "a:0",
					     "a:65536",
					     "a:1x",
					     "a:-1",
					     "a:+1",
					     "80",
					     "1.2.3:80",
					     "1.2.3.4.5:80",
					     "010.0.0.1:80",
					     "1.2.3.256:80",
					     "-a:1",
					     "a-:1",
					     "a..b:1",
					     ".a:1",
					     "a b:1",
					     "a/b:1",
					     "*:1",
					     "::1:80",
					     "[::1]",
					     "[::1]80",
					     "[::1:80",
					     "[1.2.3.4]:80",
					     "[]:80",
					     "[::1%eth0]:80",
					     "[fe80::1%]:80",
					     "[fe80::1%a b]:80",
					     "[fe80::1%0123456789abcdef]:80",
					     "unix:a",
					     "unix:",
					     "/a",
					     "dns:a",
					     "dns:",
					     "dns:1.2.3.4:80",
					     "dns:[::1]:80",
					     "dns:unix:/a",
					     "srv:",
					     "srv:a",
					     "srv:_a._tcp",
					     "srv:_a.b.c",
					     "srv:_a._tcp.b:80",
					     "http://a:80",
					     "a:1 weight=",
					     "a:1 weight=.5",
					     "a:1 weight=1.",
					     "a:1 weight=-1",
					     "a:1 weight=1e3",
					     "a:1 weight=inf",
					     "a:1 weight=0x1",
					     "a:1 weight=1000.001",
					     "a:1 weight=1.0000",
					     "a:1 weight=1 weight=1",
					     "a:1 name=",
					     "a:1 name=a name=a",
					     "a:1 2",
					     "a:1 b:1",
					     "a:1, b:1",
					     "weight=1" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		no_server(wrong[i]);
}

/* A name that relays cannot be told whole, a host that the name service does not know. */
static void lengths_are_bounded(void **state)
{
	char line[600], label[64 + 1] = "";

	(void)state;
	memset(label, 'a', 63);
	snprintf(line, sizeof line, "%s:1", label);
	expect_server(line, line);
	snprintf(line, sizeof line, "%sa:1", label);
	no_server(line);
	snprintf(line, sizeof line, "%s.%s:1", label, label); /* 129 bytes */
	no_server(line);
	snprintf(line, sizeof line, "%s.%s.%s.%.61s:1 name=a", label, label, label, label);
	expect_server(line, line);
	snprintf(line, sizeof line, "%s.%s.%s.%.62s:1 name=a", label, label, label, label);
	no_server(line);
	snprintf(line, sizeof line, "a:1 name=%s%s.", label, label);
	expect_server(line, line);
	snprintf(line, sizeof line, "a:1 name=%s%s..", label, label);
	no_server(line);
	snprintf(line, sizeof line, "unix:/%s%.43s", label, label);
	expect_server(line, line);
	snprintf(line, sizeof line, "unix:/%s%.44s", label, label);
	no_server(line);
}

static void lines_are_bounded(void **state)
{
	const struct option *server = row(SECTION_POOL, "server"),
			    *sni = row(SECTION_LISTEN, "sni");
	char line[64];
	struct error e;

	(void)state;
	for (int i = 0; i < 1024; i++)
		assert_true(option_set(server, &pool, "a:1", i > 0, &e));
	assert_false(option_set(server, &pool, "a:1", true, &e));
	assert_string_equal(e.text, "server: more than 1024 server lines");
	assert_true(option_set(server, &pool, "", true, &e));
	assert_int_equal(pool.server.count, 0);
	for (int i = 0; i < 4096; i++) {
		snprintf(line, sizeof line, "a%d.org web", i);
		assert_true(option_set(sni, &listener, line, i > 0, &e));
	}
	assert_false(option_set(sni, &listener, "a.org web", true, &e));
	assert_string_equal(e.text, "sni: more than 4096 server names");
}

static void expect_sni(const char *line, const char *name, const char *of_pool)
{
	struct error e;

	if (!option_set(row(SECTION_LISTEN, "sni"), &listener, line, false, &e))
		fail_msg("%s is refused: %s", line, e.text);
	assert_string_equal(listener.sni.items[0].name, name);
	assert_string_equal(listener.sni.items[0].pool, of_pool);
}

static void server_names_are_letters_digits_and_dashes(void **state)
{
	static const char *const wrong[] = { "a.org",       "a.org b c",       "* web",
					     "*a.org web",  "a.*.org web",     "*.*.org web",
					     "*. web",      "a..org web",      ".org web",
					     "a.org. web",  "-a.org web",      "a-.org web",
					     "a_b.org web", "1.2.3.4 web",     "[::1] web",
					     "a,b.org web", "\xc3\xa4.org web" };

	(void)state;
	expect_sni("a.org web", "a.org", "web");
	expect_sni("A-1.Example.ORG\t web ", "a-1.example.org", "web");
	expect_sni("*.A.org Web", "*.a.org", "Web");
	expect_sni("localhost web", "localhost", "web");
	expect_sni("xn--4ca.org web", "xn--4ca.org", "web");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		expect_refused(SECTION_LISTEN, "sni", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_kind_has_its_form, begin, end),
		cmocka_unit_test_setup_teardown(names_have_one_form, begin, end),
		cmocka_unit_test_setup_teardown(weight_and_name_may_follow, begin, end),
		cmocka_unit_test_setup_teardown(weights_lose_no_thousandth, begin, end),
		cmocka_unit_test_setup_teardown(no_server_is_guessed, begin, end),
		cmocka_unit_test_setup_teardown(lengths_are_bounded, begin, end),
		cmocka_unit_test_setup_teardown(lines_are_bounded, begin, end),
		cmocka_unit_test_setup_teardown(server_names_are_letters_digits_and_dashes, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
