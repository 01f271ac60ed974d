/* Why: what a name server says, fails to say, or says in part must never be taken for something
 * else: servers are taken away by it. SPDX-License-Identifier: ISC */
#include "dns.h"

#include "relay/lookup.h"

struct scene {
	struct event_base *base;
	struct dns dns;
	struct address_list name_servers;
	struct server server;
	struct lookup_question question;
	struct lookup *lookup;
	bool is_done;
	enum lookup_result result;
	size_t left_out;
	char why[256];
	char found[4096]; /* "10.0.0.1:80*1 ..." */
};

static void on_done(const struct lookup_answer *answer, void *arg)
{
	struct scene *scene = arg;
	size_t length = 0;
	char text[ADDRESS_TEXT];

	assert_false(scene->is_done);
	scene->is_done = true;
	scene->result = answer->result;
	scene->left_out = answer->left_out;
	scene->found[0] = '\0';
	snprintf(scene->why, sizeof scene->why, "%s", answer->why);
	for (size_t i = 0; i < answer->count; i++)
		length += (size_t)snprintf(scene->found + length, sizeof scene->found - length,
					   "%s%s*%g", i > 0 ? " " : "",
					   address_print(&answer->found[i].address, text),
					   answer->found[i].weight);
	lookup_end(&scene->lookup);
}

static bool is_done(void *arg)
{
	return ((const struct scene *)arg)->is_done;
}

static void scene_begin(struct scene *scene, enum server_kind kind, const char *host)
{
	*scene = (struct scene){ .base = event_base_new() };
	dns_begin(&scene->dns, scene->base);
	scene->name_servers = (struct address_list){ &scene->dns.local, 1 };
	scene->server = (struct server){ .kind = kind,
					 .host = (char *)(uintptr_t)host,
					 .port = kind == SERVER_SRV ? 0 : 80,
					 .weight = 1 };
	scene->question = (struct lookup_question){ .server = &scene->server,
						    .name_servers = &scene->name_servers };
}

static void run(struct scene *scene)
{
	scene->is_done = false;
	scene->lookup = lookup_begin(scene->base, &scene->question, on_done, scene);
	assert_true(loopback_until(scene->base, is_done, scene));
	assert_null(scene->lookup);
}

static void scene_end(struct scene *scene)
{
	dns_end(&scene->dns);
	event_base_free(scene->base);
}

/* Worry: only one family, or only the first address, is seen. */
static void test_all_addresses_are_found(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, "all.example");
	dns_add(&scene.dns, "all.example", ns_t_a, "10.0.0.1");
	dns_add(&scene.dns, "all.example", ns_t_aaaa, "2001:db8::1");
	dns_add(&scene.dns, "all.example", ns_t_a, "10.0.0.2");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_WHOLE);
	assert_non_null(strstr(scene.found, "10.0.0.1:80*1 10.0.0.2:80*1"));
	assert_non_null(strstr(scene.found, "[2001:db8::1]:80*1"));
	scene_end(&scene);
}

/* Worry: "there is none", "there is no such name" and "I do not know" are taken for one another. */
static void test_no_addresses(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, "odd.example");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_FAILED);
	assert_memory_equal(scene.why, "odd.example: ", 13);
	dns_set(&scene.dns, "odd.example", "");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_EMPTY);
	dns_add(&scene.dns, "odd.example", ns_t_a, NULL);
	dns_add(&scene.dns, "odd.example", ns_t_aaaa, NULL);
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_FAILED);
	scene_end(&scene);
}

/* Worry: the name server is down, and we wait for ever or run in circles. */
static void test_nobody_answers(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_ADDRESS, "all.example");
	dns_end(&scene.dns);
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_FAILED);
	dns_begin(&scene.dns, scene.base);
	scene_end(&scene);
}

/* Worry: the question for one family is lost, the other is answered, and half of the servers are
 * taken away. */
static void test_a_lost_family_is_missed(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_DNS, "half.example");
	dns_set(&scene.dns, "half.example", "10.0.0.1");
	dns_add(&scene.dns, "half.example", ns_t_aaaa, NULL);
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_WHOLE); /* there never was one */
	scene.question.expects_v6 = true;
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_PARTIAL);
	assert_string_equal(scene.found, "10.0.0.1:80*1");
	scene.dns.count--; /* now it is answered: there is none */
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_WHOLE);
	scene_end(&scene);
}

/* Worry: the reserve of an SRV record gets clients; weights or ports are lost. RFC 2782. */
static void test_srv(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_SRV, "_ws._tcp.app.example");
	scene.server.weight = 2;
	dns_set(&scene.dns, "b.example", "10.0.0.2 10.0.0.3");
	dns_add(&scene.dns, "a.example", ns_t_a, "10.0.0.1");
	dns_add(&scene.dns, "c.example", ns_t_a, "10.0.0.9");
	dns_add(&scene.dns, "_ws._tcp.app.example", ns_t_srv, "20 1 8080 c.example");
	dns_add(&scene.dns, "_ws._tcp.app.example", ns_t_srv, "10 0 8081 b.example");
	dns_add(&scene.dns, "_ws._tcp.app.example", ns_t_srv, "10 30 8082 a.example");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_WHOLE);
	assert_string_equal(scene.found, "10.0.0.1:8082*60 10.0.0.2:8081*2 10.0.0.3:8081*2");
	dns_add(&scene.dns, "_ws._tcp.app.example", ns_t_srv, "10 1 8083 gone.example");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_PARTIAL);
	assert_non_null(strstr(scene.why, "gone.example"));
	scene_end(&scene);
}

/* Worry: "decidedly not available" crashes, or is an address. */
static void test_srv_that_says_no(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_SRV, "_ws._tcp.no.example");
	dns_add(&scene.dns, "_ws._tcp.no.example", ns_t_srv, "0 0 0 .");
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_EMPTY);
	scene.dns.rows[0].data = NULL;
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_FAILED);
	scene.dns.rows[0].type = ns_t_a; /* no SRV of that name */
	scene.dns.rows[0].data = "10.0.0.1";
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_EMPTY);
	scene_end(&scene);
}

/* Worry: an answer of any size is swallowed, or one that needs TCP is lost; or what is left out is
 * not told. */
static void test_too_many_targets(void **state)
{
	static char targets[CONFIG_PLACES + 6][32];
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_SRV, "_ws._tcp.x");
	dns_add(&scene.dns, "t", ns_t_a, "10.0.0.1");
	for (size_t i = 0; i < CONFIG_PLACES + 6; i++) {
		snprintf(targets[i], sizeof targets[i], "0 1 %zu t", 1000 + i);
		dns_add(&scene.dns, "_ws._tcp.x", ns_t_srv, targets[i]);
	}
	run(&scene);
	assert_int_equal(scene.result, LOOKUP_WHOLE);
	assert_int_equal(scene.left_out, 6);
	assert_int_equal(scene.dns.asked_by_tcp, 1);
	scene_end(&scene);
}

/* Worry: a lookup that is given up speaks later, out of freed memory. */
static void test_a_lookup_can_be_given_up(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, SERVER_SRV, "_ws._tcp.app.example");
	dns_add(&scene.dns, "_ws._tcp.app.example", ns_t_srv, "10 0 8081 b.example");
	dns_add(&scene.dns, "b.example", ns_t_a, "10.0.0.1");
	for (int turns = 0; turns < 12; turns++) {
		scene.is_done = false;
		scene.lookup = lookup_begin(scene.base, &scene.question, on_done, &scene);
		for (int i = 0; i < turns && !scene.is_done; i++)
			event_base_loop(scene.base, EVLOOP_ONCE);
		lookup_end(&scene.lookup);
		lookup_end(&scene.lookup);
		scene.is_done = true; /* on_done would fail the test */
		loopback_settle(scene.base);
	}
	scene_end(&scene);
}

/* Worry: a path or a number is asked of a name server; or 1.2 is taken for 1.0.0.2. */
static void test_numbers_need_no_name_server(void **state)
{
	static const struct {
		const char *host, *expected; /* NULL: a name */
	} rows[] = { { "10.0.0.1", "10.0.0.1:80" },
		     { "::1", "[::1]:80" },
		     { "fe80::1%1", "[fe80::1%1]:80" },
		     { "unix:/run/x.sock", "unix:/run/x.sock" },
		     { "1.2", NULL },
		     { "localhost", NULL },
		     { "10.0.0.1.example", NULL } };
	struct server server = { .kind = SERVER_ADDRESS, .port = 80 };
	struct address address;
	char text[ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		server.host = (char *)(uintptr_t)rows[i].host;
		assert_int_equal(lookup_is_numeric(&server, &address), rows[i].expected != NULL);
		if (rows[i].expected)
			assert_string_equal(address_print(&address, text), rows[i].expected);
	}
	server.kind = SERVER_DNS;
	assert_false(lookup_is_numeric(&server, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_addresses_are_found),
		cmocka_unit_test(test_no_addresses),
		cmocka_unit_test(test_nobody_answers),
		cmocka_unit_test(test_a_lost_family_is_missed),
		cmocka_unit_test(test_srv),
		cmocka_unit_test(test_srv_that_says_no),
		cmocka_unit_test(test_too_many_targets),
		cmocka_unit_test(test_a_lookup_can_be_given_up),
		cmocka_unit_test(test_numbers_need_no_name_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
