/* Why: the worries are a good configuration that is refused or read as something else, and an
 * effective configuration that does not read back as itself, since that is what the roles are
 * given. SPDX-License-Identifier: ISC */
#include <nss.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "config/config.h"
#include "directory.h"
#include "whole.h"

static void the_smallest_file_is_enough(void **state)
{
	struct config *config = parse(GOOD);

	(void)state;
	assert_int_equal(config->pool_count, 1);
	assert_string_equal(config->pools[0].name, "web");
	assert_string_equal(config->pools[0].command, "node app.js");
	assert_int_equal(config->pools[0].delivery, DELIVERY_NODE);
	assert_false(config->needs_relays);
	assert_int_equal(config->pools[0].stop_timeout, 10000);
	assert_int_equal(config->pools[0].umask, CONFIG_UMASK_UNSET);
	assert_int_equal(config->pools[0].rlimit_nofile, CONFIG_RLIMIT_UNSET);
	assert_int_equal(config->listens[0].bind.count, 1);
	assert_int_equal(config->listens[0].pool_index, 0);
	assert_string_equal(config->limpet.user, "");
	assert_int_equal(config->limpet.log_level, LOG_INFO);
	expect_round_trip(config);
	config_free(&config);
	assert_null(config);
	config_free(&config);
}

/* Everything that printing could get wrong. */
static void what_is_printed_reads_back_as_itself(void **state)
{
	struct config *config =
		parse("[limpet]\nlog_file = ${:-  }a $${b} %\npid_file = ${:-$ }\nstats_period = "
		      "90s\nlog_level = debug\n"
		      "[listen:a]\nbind = :80\nbind = 127.0.0.1:81\nbind = [fe80::1%1]:82\nbind = "
		      "unix:/a b\npool = two\n"
		      "allow = 10.0.0.0/8 ::1\nallow = 192.168.0.0/16\ndeny =\nkeepalive = 0\n"
		      "[pool:two]\ncommand = \"a b\" 'c' %i%% ; # d\nenvironment = A= b "
		      "\nenvironment = B=%n\n"
		      "weight = 0:0.1\nweight = 1 3:1000\ninstances = 4\numask = 07\nrlimit_core = "
		      "unlimited\nnice = -5\n"
		      "stop_signal = SIGUSR2\nrlimit_nofile = 10\nshell = yes\n"
		      "[pool:one]\ncommand = node x\nadopt_ports = on\n");

	(void)state;
	assert_string_equal(config->limpet.log_file, "  a ${b} %");
	assert_string_equal(config->limpet.pid_file, "$ ");
	expect_round_trip(config);
	config_free(&config);
}

static void everything_counts_when_two_are_compared(void **state)
{
	static const char *const others[] = {
		"[pool:web]\ncommand = node app.jt\n[listen:http]\nbind = :3000\n",
		"[pool:wee]\ncommand = node app.js\n[listen:http]\nbind = :3000\n",
		"[pool:web]\ncommand = node app.js\n[listen:httq]\nbind = :3000\n",
		"[pool:web]\ncommand = node app.js\n[listen:http]\nbind = :3001\n",
		GOOD "bind = :3001\n",
		GOOD "nodelay = off\n",
		GOOD "[limpet]\nlog_level = error\n",
		GOOD "[pool:web]\nenvironment = A=1\n",
		GOOD "[pool:web]\nweight = 2\n",
		GOOD "[pool:web]\nkill_group = off\n",
		GOOD "deny = ::1\n",
		GOOD "pool = web\n[pool:x]\ncommand = node x\nadopt_ports = on\n",
		GOOD "[tls:a]\ndirectory = d\n",
		GOOD "tls_passthrough = on\nsni = a.org web\n",
	};
	struct config *config = parse(GOOD), *same = parse("; other lines\n\n" GOOD);

	(void)state;
	assert_true(config_equal(config, same));
	config_free(&same);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct config *other = parse(others[i]);

		assert_false(config_equal(config, other));
		config_free(&other);
	}
	config_free(&config);
}

static void memory_includes_nothing(void **state)
{
	(void)state;
	expect_error(GOOD "%include /etc/passwd\n", "f:5: %include is for files only");
}

static void the_command_line_makes_a_configuration(void **state)
{
	struct config *config = config_new();
	struct error e;

	(void)state;
	assert_true(config_set(config, "pool:app", "command", "node app.js", "the command", &e));
	assert_true(config_set(config, "pool:app", "instances", "2", "-i", &e));
	assert_true(
		config_set(config, "pool:app", "instances", "3", "-i", &e)); /* the last counts */
	assert_true(config_set(config, "listen:app", "bind", ":3000", "-b", &e));
	assert_true(config_set(config, "listen:app", "bind", ":3001", "-b", &e));
	assert_true(config_check(config, &e));
	assert_int_equal(config->pools[0].instances, 3);
	assert_int_equal(config->listens[0].bind.count, 2);
	expect_round_trip(config);
	assert_false(config_set(config, "listen:app", "bind", "3002", "-b", &e));
	assert_string_equal(e.text, "-b: bind: a port needs a colon in front: write \":3002\"");
	assert_false(config_set(config, "pool:a b", "instances", "1", "--name", &e));
	assert_string_equal(
		e.text,
		"--name: \"a b\" is no good name; a name has 1 to 32 letters, digits, _ or -");
	assert_true(config_set(config, "listen:app", "bind", ":3001", "-b", &e));
	assert_false(config_check(config, &e));
	assert_string_equal(e.text, "-b: bind = [::]:3001 is in [listen:app] already");
	config_free(&config);
	config = config_new();
	assert_false(config_check(config, &e));
	assert_string_equal(
		e.text,
		"there is no pool: add [pool:app] with, for example, command = node app.js");
	config_free(&config);
}

static void the_command_line_overrides_a_file(void **state)
{
	struct config *config;
	struct error e;

	(void)state;
	directory_write("good.ini", GOOD "[limpet]\nlog_level = error\n");
	config = config_load("good.ini", &e);
	assert_non_null(config);
	assert_true(config_set(config, "limpet", "log_level", "debug", "-v", &e));
	assert_true(config_check(config, &e));
	assert_int_equal(config->limpet.log_level, LOG_DEBUG);
	config_free(&config);
}

static void a_script_is_looked_for_in_the_directory(void **state)
{
	struct config *config;
	struct error e;

	(void)state;
	mkdir("app-web", 0700);
	directory_write("app-web/start", "#!/usr/bin/node\n");
	directory_write(
		"dir.ini",
		"[pool:web]\ncommand = ./start\ndirectory = app-%n\n[listen:http]\nbind = :3000\n");
	config = config_load("dir.ini", &e);
	assert_non_null(config);
	assert_int_equal(config->pools[0].delivery, DELIVERY_NODE);
	expect_round_trip(config);
	config_free(&config);
}

static void npm_is_replaced_before_anybody_sees_it(void **state)
{
	struct config *config;

	(void)state;
	directory_write("package.json",
			"{\"scripts\":{\"start\":\"NODE_ENV=production node server.js\"}}");
	config = parse("[pool:web]\ncommand = npm start\n[listen:http]\nbind = :3000\n");
	assert_string_equal(config->pools[0].command, "node server.js");
	assert_string_equal(config->pools[0].environment.items[0], "NODE_ENV=production");
	assert_int_equal(config->pools[0].delivery, DELIVERY_NODE);
	expect_round_trip(config);
	config_free(&config);
}

/* Two values that differ in one thing each. */
static void the_lines_of_lists_count_too(void **state)
{
	static const char *const pairs[][2] = {
		{ "[pool:w]\nserver = a:1\n", "[pool:w]\nserver = a:1 weight=2\n" },
		{ "[pool:w]\nserver = a:1\n", "[pool:w]\nserver = a:1 name=b\n" },
		{ "[pool:w]\nserver = a:1\n", "[pool:w]\nserver = a:2\n" },
		{ "[pool:w]\nserver = a:1\n", "[pool:w]\nserver = dns:a:1\n" },
		{ "[pool:w]\nserver = a:1\n", "[pool:w]\nserver = a:1\nserver = b:1\n" },
		{ "[pool:w]\nserver = a:1\nserver = b:1\n",
		  "[pool:w]\nserver = b:1\nserver = a:1\n" },
		{ "[pool:w]\nserver = a:1\n[tls:a]\ndirectory = d\n",
		  "[pool:w]\nserver = a:1\n[tls:b]\ndirectory = d\n" },
		{ "[pool:w]\nserver = a:1\n[tls:a]\ndirectory = d\n",
		  "[pool:w]\nserver = a:1\n[tls:a]\ndirectory = e\n" },
		{ "[pool:w]\nserver = a:1\n[listen:l]\ntls_passthrough = on\nsni = a w\n",
		  "[pool:w]\nserver = a:1\n[listen:l]\ntls_passthrough = on\nsni = *.a w\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		char texts[2][256];
		struct config *configs[2];

		for (int side = 0; side < 2; side++) {
			snprintf(texts[side], sizeof texts[side], "[listen:l]\nbind = :1\n%s",
				 pairs[i][side]);
			configs[side] = parse(texts[side]);
			expect_round_trip(configs[side]);
		}
		assert_false(config_equal(configs[0], configs[1]));
		config_free(&configs[0]);
		config_free(&configs[1]);
	}
}

/* 10^5 lines made of pieces of good ones: never a crash, and what is taken reads back. */
static void random_lines_are_taken_or_refused(void **state)
{
	static const char *const pieces[] = {
		"[limpet]",    "[listen:",     "[pool:",      "a]",         "]",
		"\n",          "\n",           "\n",          "=",          " = ",
		"command",     "node a",       "bind",        ":1",         ":2",
		"127.0.0.1:3", "unix:/x",      "weight",      "0:1",        "1",
		"on",          "environment",  "A=1",         "${HOME}",    "${X:-1}",
		"$${",         "instances",    "adopt_ports", "%i",         "%",
		"'",           "\"",           "\\",          ";",          "#",
		" ",           "delivery",     "fd",          "log_level",  "info",
		"5s",          "stop_timeout", "pool",        "%include x", "\t",
		"allow",       "::1",          "[tls:",       "server",     "a:1",
		"dns:b:2",     "weight=2",     "name=c",      "sni",        "a.org a",
		"tls",         "certificate",  "key",         "proxy",      "trusted",
		"require",     "port",         "socket",      "/s-%i",      "proxy_protocol"
	};
	size_t lines = 0, taken = 0;

	(void)state;
	srandom(2);
	while (lines < 100000) {
		char text[1024] = "[pool:a]\ncommand = node a\nadopt_ports = on\n";
		struct error e = { .text = "" };
		size_t count = (size_t)random() % 40;
		struct config *config;

		for (size_t i = 0; i < count; i++) {
			const char *piece =
				pieces[(size_t)random() % (sizeof pieces / sizeof *pieces)];

			lines += *piece == '\n';
			memcpy(text + strlen(text), piece, strlen(piece) + 1);
		}
		config = config_parse("f", text, strlen(text), &e);
		if (!config) {
			assert_true(*e.text);
			continue;
		}
		taken++;
		expect_round_trip(config);
		config_free(&config);
	}
	assert_true(taken > 100);
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
		cmocka_unit_test(the_smallest_file_is_enough),
		cmocka_unit_test(what_is_printed_reads_back_as_itself),
		cmocka_unit_test(everything_counts_when_two_are_compared),
		cmocka_unit_test(the_lines_of_lists_count_too),
		cmocka_unit_test(memory_includes_nothing),
		cmocka_unit_test(the_command_line_makes_a_configuration),
		cmocka_unit_test(the_command_line_overrides_a_file),
		cmocka_unit_test(a_script_is_looked_for_in_the_directory),
		cmocka_unit_test(npm_is_replaced_before_anybody_sees_it),
		cmocka_unit_test(random_lines_are_taken_or_refused),
	};

	log_to_writer(hide_line, NULL);
	__nss_configure_lookup("hosts", "files"); /* random names ask no server */
	return cmocka_run_group_tests(tests, directory_enter, directory_leave);
}
