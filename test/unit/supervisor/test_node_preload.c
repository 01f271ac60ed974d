/* Why: one wrong character in NODE_OPTIONS keeps every Node worker from starting, and a forgotten
 * one shows applications the wrong client. SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <jansson.h>

#include "base/log.h"
#include "config/config.h"
#include "supervisor/node_preload.h"
#include "supervisor/supervisor.h"

static struct supervisor supervisor;
static struct environment environment;

static int setup(void **state)
{
	if (scratch_begin(state) < 0)
		return -1;
	setenv("LIMPET_SHARE", scratch, 1);
	scratch_write(in_scratch("limpet-node.cjs"), "", 0644);
	environment = (struct environment){ .items = NULL };
	return 0;
}

static int teardown(void **state)
{
	environment_free(&environment);
	config_free(&supervisor.config);
	unsetenv("LIMPET_SHARE");
	return scratch_end(state);
}

static void prepare(const char *pool, const char *listen, const char *more)
{
	struct worker worker = { .index = 1 };
	struct error e = { "" };
	char text[4096];
	int length = snprintf(text, sizeof text,
			      "[pool:web]\ncommand = /bin/true\ninstances = 2\n%s\n"
			      "[listen:web]\nbind = 127.0.0.1:443\npool = web\n%s\n%s\n",
			      pool, listen, more);

	config_free(&supervisor.config);
	supervisor.config = config_parse("test", text, (size_t)length, &e);
	if (!supervisor.config)
		fail_msg("%s", e.text);
	worker.pool = &supervisor.config->pools[0];
	worker.child.owner = &supervisor;
	worker.child.slot.generation = 1;
	node_preload_environment(&environment, &worker);
}

static void expect(const char *name, const char *value)
{
	const char *found = environment_get(&environment, name);

	if (!value)
		assert_null(found);
	else if (!found)
		fail_msg("%s is missing", name);
	else
		assert_string_equal(found, value);
}

#define SITE "[tls:site]\ncertificate = c.pem\nkey = /etc/\"k\".pem\n"

/* Worry: workers that need nothing get a file to load, or those that need it get none. */
static void test_who_gets_it(void **state)
{
	char word[128];

	(void)state;
	prepare("delivery = node", "", "");
	expect("NODE_OPTIONS", NULL);
	prepare("delivery = fd", "tls = site", SITE);
	expect("NODE_OPTIONS", NULL);
	prepare("delivery = node", "proxy_protocol = pass\ntrusted = 10.0.0.0/8", "");
	expect("NODE_OPTIONS", NULL);
	prepare("delivery = node", "proxy_protocol = require\ntrusted = 10.0.0.0/8", "");
	snprintf(word, sizeof word, "--require=%s/limpet-node.cjs", scratch);
	expect("NODE_OPTIONS", word);
	expect("LIMPET_PRELOAD", word);
	expect("LIMPET_TLS", NULL);
	environment_free(&environment);
	prepare("delivery = node", "tls = site", SITE);
	expect("NODE_OPTIONS", word);
	expect("LIMPET_TLS", NULL); /* a relay ends it */
	environment_free(&environment);
	prepare("delivery = node", "",
		SITE "[pool:other]\ncommand = /bin/true\ndelivery = fd\n"
		     "[listen:other]\nbind = 127.0.0.1:444\npool = other\ntls = site\n"
		     "sni = www.example.org web\n");
	expect("NODE_OPTIONS", word);
}

/* Worry: the user's own options are lost, or a path with a space is two words. */
static void test_words(void **state)
{
	char directory[128], word[512], all[300];

	(void)state;
	snprintf(directory, sizeof directory, "%s/a \"b\\", scratch);
	assert_int_equal(mkdir(directory, 0755), 0);
	snprintf(word, sizeof word, "%s/limpet-node.cjs", directory);
	scratch_write(word, "", 0644);
	setenv("LIMPET_SHARE", directory, 1);
	environment_set(&environment, "NODE_OPTIONS", "--max-old-space-size=100");
	prepare("delivery = node", "tls = site", SITE);
	snprintf(all, sizeof all, "\"--require=%s/a \\\"b\\\\/limpet-node.cjs\"", scratch);
	expect("LIMPET_PRELOAD", all);
	snprintf(word, sizeof word, "--max-old-space-size=100 %s", all);
	expect("NODE_OPTIONS", word);
	snprintf(word, sizeof word, "%s/limpet-node.cjs", directory);
	unlink(word);
}

/* Worry: Node cannot start because of a file that is not there. */
static void test_missing_file(void **state)
{
	(void)state;
	unlink(in_scratch("limpet-node.cjs"));
	prepare("delivery = node", "tls = site", SITE);
	expect("NODE_OPTIONS", NULL);
	expect("LIMPET_PRELOAD", NULL);
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* Worry: the worker decrypts by other rules than the file says, or looks for its keys elsewhere. */
static void test_sections(void **state)
{
	json_t *all, *site;
	char here[512], path[600];

	(void)state;
	prepare("delivery = node\ntls_at = worker", "tls = site",
		SITE "policy = modern\nalpn = http/1.1\nsni_strict = on\nhandshake_timeout = 3s\n"
		     "[tls:unused]\ncertificate = x\nkey = y\n");
	all = json_loads(environment_get(&environment, "LIMPET_TLS"), 0, NULL);
	assert_int_equal(json_object_size(all), 1);
	site = json_object_get(all, "site");
	assert_non_null(getcwd(here, sizeof here));
	snprintf(path, sizeof path, "%s/c.pem", here);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(site, "certificates"), 0)), path);
	assert_string_equal(json_string_value(json_array_get(json_object_get(site, "keys"), 0)),
			    "/etc/\"k\".pem");
	assert_string_equal(text_of(site, "policy"), "modern");
	assert_string_equal(text_of(site, "minVersion"), "auto");
	assert_string_equal(text_of(site, "verify"), "off");
	assert_string_equal(text_of(site, "alpn"), "http/1.1");
	assert_string_equal(text_of(site, "clientCa"), "");
	assert_true(json_is_true(json_object_get(site, "sniStrict")));
	assert_int_equal(json_integer_value(json_object_get(site, "handshakeTimeout")), 3000);
	assert_int_equal(json_integer_value(json_object_get(site, "watchInterval")), 60000);
	json_decref(all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		TEST(test_who_gets_it),
		TEST(test_words),
		TEST(test_missing_file),
		TEST(test_sections),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
