/* Why: the worries are a wrong configuration that is taken, one that is refused with a sentence
 * that helps nobody, and conclusions (who accepts, how many slots) that do not follow from what is
 * written. SPDX-License-Identifier: ISC */
#include <nss.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/config.h"
#include "directory.h"
#include "whole.h"

static char table_path[4096];

/* One block of wrong_config.txt: "title\nlines...\n=> sentence\n". */
static void check_block(char *block)
{
	char *lines = strchr(block, '\n') + 1, *sentence = strstr(block, "\n=> ");
	struct error e = { .text = "" };
	struct config *config;

	assert_non_null(sentence);
	*sentence = '\0';
	sentence += strlen("\n=> ");
	sentence[strcspn(sentence, "\n")] = '\0';
	lines[-1] = '\0';
	directory_write("wrong.ini", "");
	if (lines < sentence - strlen("\n=> ")) {
		FILE *file = fopen("wrong.ini", "w");

		fprintf(file, "%s\n", lines);
		fclose(file);
	}
	config = config_load("wrong.ini", &e);
	if (config)
		fail_msg("%s: was taken", block);
	if (strcmp(e.text, sentence) != 0)
		fail_msg("%s:\nexpected: %s\n     got: %s", block, sentence, e.text);
}

static void each_wrong_configuration_has_its_sentence(void **state)
{
	FILE *file = fopen(table_path, "r");
	size_t length = 0, count = 0;
	char *text = NULL, *block, *next;

	(void)state;
	assert_non_null(file);
	assert_true(getdelim(&text, &length, '\0', file) > 0);
	fclose(file);
	for (block = strstr(text, "\n== "); block; block = next) {
		next = strstr(block + 1, "\n== ");
		if (next)
			*next = '\0';
		check_block(block + strlen("\n== "));
		if (next)
			*next = '\n';
		count++;
	}
	assert_true(count >= 60);
	free(text);
}

static void too_many_listeners_are_refused(void **state)
{
	char *text = NULL;
	struct error e;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct config *config;

	(void)state;
	fputs("[pool:a]\ncommand = node x\n[listen:a]\n", out);
	for (int i = 0; i < 1024; i++)
		fprintf(out, "bind = 127.0.0.1:%d\n", 1000 + i);
	fflush(out);
	config = config_parse("f", text, length, &e);
	assert_non_null(config);
	expect_round_trip(config);
	config_free(&config);
	fputs("[listen:b]\nbind = :80\n", out);
	fclose(out);
	assert_null(config_parse("f", text, length, &e));
	assert_string_equal(e.text, "f:1029: more than 1024 addresses to listen on");
	free(text);
}

static void too_many_sections_are_refused(void **state)
{
	char *text = NULL;
	struct error e;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	for (int i = 0; i < 1025; i++)
		fprintf(out, "[pool:p%d]\n", i);
	fclose(out);
	assert_null(config_parse("f", text, length, &e));
	assert_string_equal(e.text, "f:1025: more than 1024 sections [pool:NAME]");
	free(text);
}

static void the_effective_configuration_is_bounded(void **state)
{
	char *text = NULL, big[60000];
	struct error e;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	for (int i = 0; i < 30000; i++)
		memcpy(big + 2 * i, "${", 2); /* three bytes each when printed */
	fputs(GOOD "[pool:web]\n", out);
	for (int i = 0; i < 64; i++)
		fprintf(out, "environment = A=%.40000s\n", big + i % 2);
	fclose(out);
	assert_null(config_parse("f", text, length, &e));
	free(text);
	text = NULL;
	memset(big, 'x', sizeof big);
	big[50000] = '\0';
	setenv("BIG", big, 1);
	out = open_memstream(&text, &length);
	fputs(GOOD "[pool:web]\n", out);
	for (int i = 0; i < 100; i++)
		fputs("environment = A=${BIG}\n", out);
	fclose(out);
	assert_null(config_parse("f", text, length, &e));
	assert_non_null(strstr(e.text, "the configuration is longer than 4194304 bytes"));
	free(text);
}

/* Run as nobody where the tests run as root: returns 0 when the sentence is right. */
static int check_as_nobody(void)
{
	static const char text[] = GOOD "[pool:web]\nuser = root\n";
	struct error e = { .text = "" };
	struct config *config;

	directory_write("user.ini", text);
	chmod(".", 0755);
	if (geteuid() == 0 && seteuid(65534) < 0)
		return 1;
	config = config_load("user.ini", &e);
	if (config)
		return 2;
	if (strcmp(e.text, "user.ini:6: user: only root can start workers as somebody else; start "
			   "Limpet as root or "
			   "take the line out") != 0)
		return 3;
	/* a role that has dropped its rights reads what the supervisor printed */
	config = config_parse("f", text, strlen(text), &e);
	if (!config)
		return 4;
	config_free(&config);
	return 0;
}

static void only_root_can_start_workers_as_others(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(check_as_nobody());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void expect_slots(const struct pool_config *pool, size_t locals, size_t slots)
{
	assert_int_equal(pool->locals, locals);
	assert_int_equal(pool->slots, slots);
}

static void slots_are_workers_and_places(void **state)
{
	struct config *config =
		parse(GOOD "[pool:web]\ninstances = 4\n[listen:x]\nbind = :1\npool = mixed\n"
			   "[listen:y]\nbind = :2\npool = far\n[listen:http]\npool = web\n"
			   "[pool:mixed]\ncommand = ./app\ninstances = 3\nport = 5000\n"
			   "server = a:1\nserver = dns:b:2\nserver = srv:_c._tcp.d\nserver = e:3\n"
			   "[pool:far]\nserver = a:1\nserver = unix:/b\n");
	const struct pool_config *mixed = &config->pools[1];

	(void)state;
	expect_slots(&config->pools[0], 4, 4);
	expect_slots(mixed, 3, 3 + 1 + CONFIG_PLACES + CONFIG_PLACES + 1);
	expect_slots(&config->pools[2], 0, 2);
	assert_int_equal(config_server_slot(mixed, 0), 3);
	assert_int_equal(config_server_slot(mixed, 1), 4);
	assert_int_equal(config_server_slot(mixed, 2), 4 + CONFIG_PLACES);
	assert_int_equal(config_server_slot(mixed, 3), 4 + 2 * CONFIG_PLACES);
	assert_int_equal(config_server_places(&mixed->server.items[3]), 1);
	expect_round_trip(config);
	config_free(&config);
}

static void expect_delivery(const char *lines, int delivery, bool proxied)
{
	char text[1024];
	struct config *config;

	snprintf(text, sizeof text, "[listen:http]\nbind = :80\n[pool:web]\n%s", lines);
	config = parse(text);
	if ((int)config->pools[0].delivery != delivery || config->pools[0].proxied != proxied)
		fail_msg("%s has delivery %d", lines, config->pools[0].delivery);
	assert_int_equal(config->listens[0].relayed, proxied);
	assert_int_equal(config->needs_relays, proxied);
	assert_true(config->listens[0].tls_index == SIZE_MAX);
	expect_round_trip(config);
	config_free(&config);
}

static void delivery_follows_from_what_is_given(void **state)
{
	(void)state;
	expect_delivery("command = node a\n", DELIVERY_NODE, false);
	expect_delivery("command = ./a\n", DELIVERY_FD, false);
	expect_delivery("command = ./a\nport = 4000\n", DELIVERY_FD, false);
	expect_delivery("command = ./a\nsocket = /a-%i\n", DELIVERY_PROXY, true);
	expect_delivery("command = node a\nsocket = /a-%i\n", DELIVERY_PROXY, true);
	expect_delivery("command = node a\nsocket = /a-%i\ndelivery = listen\n", DELIVERY_LISTEN,
			true);
	expect_delivery("command = ./a\ndelivery = listen\n", DELIVERY_LISTEN, true);
	expect_delivery("command = ./a\ndelivery = listen\nport = 4000\n", DELIVERY_LISTEN, true);
	expect_delivery("command = ./a\ndelivery = proxy\nport = 4000\n", DELIVERY_PROXY, true);
	expect_delivery("server = a:1\n", DELIVERY_PROXY, true);
	expect_delivery("command = node a\nport = 4000\nserver = a:1\n", DELIVERY_PROXY, true);
}

#define SECTION_WEB "[tls:web]\ncertificate = c\nkey = k\n"

/* One listener of two pools, node and far; the lines are of that listener. */
static struct config *parse_listener(const char *lines, const char *node_lines)
{
	char text[1024];

	snprintf(text, sizeof text,
		 "[pool:node]\ncommand = node a\n%s[pool:far]\nserver = a:1\n"
		 "[listen:far]\nbind = :81\npool = far\n[listen:node]\nbind = :82\npool = node\n"
		 "[tls:other]\ndirectory = d\n" SECTION_WEB "[listen:it]\nbind = :80\n%s",
		 node_lines, lines);
	return parse(text);
}

static void expect_relayed(const char *lines, const char *node_lines, bool relayed)
{
	struct config *config = parse_listener(lines, node_lines);

	if (config->listens[2].relayed != relayed)
		fail_msg("%s is %srelayed", lines, relayed ? "not " : "");
	assert_true(config->needs_relays); /* for the listener of far, which stands before it */
	expect_round_trip(config);
	config_free(&config);
}

static void relays_get_what_they_must(void **state)
{
	struct config *config;

	(void)state;
	expect_relayed("pool = node\n", "", false);
	expect_relayed("pool = far\n", "", true);
	expect_relayed("pool = node\ntls = web\n", "", true);
	expect_relayed("pool = node\ntls = web\n", "tls_at = worker\n", false);
	expect_relayed("pool = far\ntls = web\n", "tls_at = worker\n", true);
	expect_relayed("pool = node\ntls_passthrough = on\n", "", false);
	expect_relayed("pool = far\ntls_passthrough = on\n", "", true);
	expect_relayed("pool = node\ntls = web\nsni = a.org far\n", "", true);
	config =
		parse_listener("pool = node\ntls = web\nsni = *.B.org far\nsni = c.org node\n", "");
	assert_int_equal(config->listens[2].tls_index, 1);
	assert_int_equal(config->listens[2].pool_index, 0);
	assert_string_equal(config->listens[2].sni.items[0].name, "*.b.org");
	assert_int_equal(config->listens[2].sni.items[0].pool_index, 1);
	assert_int_equal(config->listens[2].sni.items[1].pool_index, 0);
	assert_false(config->listens[1].relayed);
	config_free(&config);
}

static void expect_taken(const char *text)
{
	struct config *config = parse(text);

	expect_round_trip(config);
	config_free(&config);
}

/* What lies right beside a refused configuration. */
static void what_goes_together_is_taken(void **state)
{
	char text[512];

	(void)state;
	expect_taken(GOOD "proxy_protocol = require\ntrusted = 10.0.0.0/8\n");
	expect_taken(GOOD
		     "proxy_protocol = pass\ntrusted = ::1\ntls_passthrough = on\nsni = a web\n");
	expect_taken("[pool:a]\ncommand = ./a\n[listen:a]\nbind = unix:/a\n"
		     "proxy_protocol = require\n");
	expect_taken(GOOD "proxy_protocol = require\ntrusted = ::1\ntls = web\n" SECTION_WEB);
	expect_taken(GOOD SECTION_WEB "client_ca = a\nverify = optional\ncrl = b\n");
	expect_taken(GOOD SECTION_WEB "directory = d\nocsp_staple = o\npolicy = modern\n"
				      "min_version = 1.3\nalpn = h2 http/1.1\n");
	expect_taken(GOOD SECTION_WEB "ciphers = x\nmin_version = 1.2\n");
	/* a pool that only server names lead to; ports side by side, and beside a listener's */
	expect_taken(GOOD
		     "tls = web\npool = web\nsni = a.org chat\n" SECTION_WEB
		     "[pool:chat]\ncommand = ./c\ninstances = 2\ndelivery = proxy\nport = 3001\n");
	expect_taken("[pool:a]\ncommand = ./a\ninstances = 2\ndelivery = proxy\nport = 4000\n"
		     "[pool:b]\ncommand = ./b\ninstances = 2\ndelivery = listen\nport = 4002\n"
		     "[listen:a]\nbind = 192.0.2.1:4000\npool = a\n[listen:b]\nbind = [::]:4001\n"
		     "v6only = on\npool = b\n");
	expect_taken("[pool:a]\ncommand = ./a\ninstances = 1\nsocket = /run/%n.sock\n"
		     "[pool:b]\ncommand = ./b\nsocket = /run/%n-%i.sock\n"
		     "[listen:a]\nbind = :1\npool = a\n[listen:b]\nbind = :2\npool = b\n");
	expect_taken(
		"[pool:a]\nserver = a:1 name=0\nserver = a:2 name=1\nserver = dns:a:1\n"
		"check = tcp\ncheck_interval = 500ms\ncheck_timeout = 500ms\n"
		"max_connection_age = 1h\nmax_connection_age_jitter = 5m\n[listen:a]\nbind = :1\n");
	/* the last port, and a path of 107 bytes */
	expect_taken(GOOD "[pool:web]\ninstances = 2\nport = 65534\n");
	snprintf(text, sizeof text,
		 "[pool:a]\ncommand = ./a\ninstances = 11\nsocket = /%0*d%%i\n[listen:a]\nbind = "
		 ":1\n",
		 104, 0);
	expect_taken(text);
	expect_taken(GOOD "[limpet]\nresolver = 127.0.0.1:53\nresolver = [::1]:5353\nrelays = 3\n");
}

static void hide_line(const char *line, size_t length, void *arg)
{
	(void)line;
	(void)length;
	(void)arg;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_wrong_configuration_has_its_sentence),
		cmocka_unit_test(too_many_listeners_are_refused),
		cmocka_unit_test(too_many_sections_are_refused),
		cmocka_unit_test(the_effective_configuration_is_bounded),
		cmocka_unit_test(only_root_can_start_workers_as_others),
		cmocka_unit_test(slots_are_workers_and_places),
		cmocka_unit_test(delivery_follows_from_what_is_given),
		cmocka_unit_test(relays_get_what_they_must),
		cmocka_unit_test(what_goes_together_is_taken),
	};
	const char *source = getenv("srcdir");

	if (!realpath(source ? source : ".", table_path))
		return 1;
	snprintf(table_path + strlen(table_path), sizeof table_path - strlen(table_path), "/%s",
		 "test/scenario/wrong_config.txt");
	log_to_writer(hide_line, NULL);
	__nss_configure_lookup("hosts", "files"); /* random names ask no server */
	return cmocka_run_group_tests(tests, directory_enter, directory_leave);
}
