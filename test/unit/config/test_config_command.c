/* Why: a command that is split in another way than its writer thinks starts another program; one
 * whose kind is guessed wrong never gets a client. SPDX-License-Identifier: ISC */
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

static void expect_argv(const char *command, const char *expected)
{
	struct pool_config pool = { .name = (char[]){ "web" }, .command = (char *)command };
	char **argv = config_argv(&pool, 7), *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	for (char **word = argv; *word; word++)
		fprintf(out, "<%s>", *word);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	config_argv_free(&argv);
	assert_null(argv);
}

static void commands_are_split_by_quotes_and_nothing_else(void **state)
{
	struct pool_config pool = { .name = (char[]){ "web" },
				    .command = (char[]){ "a 'b %i" },
				    .shell = true };
	char **argv = config_argv(&pool, 3), *text;

	(void)state;
	assert_string_equal(argv[0], "/bin/sh");
	assert_string_equal(argv[1], "-c");
	assert_string_equal(argv[2], "a 'b 3");
	assert_null(argv[3]);
	config_argv_free(&argv);
	expect_argv("node app.js", "<node><app.js>");
	expect_argv("  a \t b  ", "<a><b>");
	expect_argv("a 'b c' \"d e\" f\\ g", "<a><b c><d e><f g>");
	expect_argv("a ''", "<a><>");
	expect_argv("a b'c'd\"e\"", "<a><bcde>");
	expect_argv("a 'b\\' \"c\\\"d\\\\e\\f\"", "<a><b\\><c\"d\\e\\f>");
	expect_argv("a $HOME *.js | & > ; #b", "<a><$HOME><*.js><|><&><>><;><#b>");
	expect_argv("a --slot=%i --pool=%n 100%%", "<a><--slot=7><--pool=web><100%>");
	text = config_expand(&pool, "/srv/%n/%i%%", 12);
	assert_string_equal(text, "/srv/web/12%");
	free(text);
}

static void weights_of_slots_that_are_not_named_are_one(void **state)
{
	struct config *config = parse(GOOD "[pool:web]\ninstances = 4\nweight = 1:0.5\n");

	(void)state;
	assert_true(config_weight(&config->pools[0], 0) == 1);
	assert_true(config_weight(&config->pools[0], 1) == 0.5);
	config_free(&config);
	config = parse(GOOD "[pool:web]\ninstances = 4\nweight = 3:2 5\n");
	assert_true(config_weight(&config->pools[0], 0) == 5);
	assert_true(config_weight(&config->pools[0], 3) == 2);
	config_free(&config);
}

static void expect_delivery(const char *command, bool shell, int expected)
{
	struct pool_config pool = { .name = (char[]){ "web" },
				    .command = (char *)command,
				    .directory = (char[]){ "" },
				    .socket = (char[]){ "" },
				    .shell = shell };

	if ((int)config_delivery_of(&pool) != expected)
		fail_msg("%s is taken for %d", command, (int)config_delivery_of(&pool));
	pool.delivery = DELIVERY_FD;
	assert_int_equal(config_delivery_of(&pool), DELIVERY_FD);
}

static void node_is_recognised(void **state)
{
	char path[8192];

	(void)state;
	mkdir("bin", 0700);
	directory_write("bin/cli", "#!/usr/bin/env node\nx");
	directory_write("bin/flags", "#!/usr/bin/env -S node --flag");
	directory_write("bin/python", "#!/usr/bin/python3\nnode");
	directory_write("bin/text", "node");
	directory_write("bin/empty", "");
	chmod("bin/cli", 0700);
	mkfifo("bin/fifo", 0700);
	snprintf(path, sizeof path, "%s/bin:%s", directory_path, getenv("PATH"));
	setenv("PATH", path, 1);
	expect_delivery("node app.js", false, DELIVERY_NODE);
	expect_delivery("/opt/node-20/bin/node app.js", false, DELIVERY_NODE);
	expect_delivery("nodejs app.js", false, DELIVERY_NODE);
	expect_delivery("\"node\" app.js", false, DELIVERY_NODE);
	expect_delivery("./bin/cli x", false, DELIVERY_NODE);
	expect_delivery("cli x", false, DELIVERY_NODE);
	expect_delivery("bin/flags", false, DELIVERY_NODE);
	expect_delivery("env A=1 node app.js", false, DELIVERY_NODE);
	expect_delivery("exec node app.js", true, DELIVERY_NODE);
	expect_delivery("A=1 node app.js", true, DELIVERY_NODE);
	expect_delivery("python3 node.py", false, DELIVERY_FD);
	expect_delivery("nodemon app.js", false, DELIVERY_FD);
	expect_delivery("bin/python", false, DELIVERY_FD);
	expect_delivery("bin/text", false, DELIVERY_FD);
	expect_delivery("bin/empty", false, DELIVERY_FD);
	expect_delivery("bin/fifo", false, DELIVERY_FD); /* and does not wait for a writer */
	expect_delivery("no-such-program", false, DELIVERY_FD);
	expect_delivery("it's", true, DELIVERY_FD);
}

static void servers_and_sockets_are_proxied_to(void **state)
{
	struct server server = { .kind = SERVER_ADDRESS };
	struct pool_config pool = { .name = (char[]){ "web" },
				    .command = (char[]){ "node app.js" },
				    .directory = (char[]){ "" },
				    .socket = (char[]){ "/run/app.sock" } };

	(void)state;
	assert_int_equal(config_delivery_of(&pool), DELIVERY_PROXY);
	*pool.socket = '\0';
	assert_int_equal(config_delivery_of(&pool), DELIVERY_NODE);
	pool.server = (struct server_list){ &server, 1 };
	assert_int_equal(config_delivery_of(&pool), DELIVERY_PROXY);
	*pool.command = '\0';
	assert_int_equal(config_delivery_of(&pool), DELIVERY_PROXY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_split_by_quotes_and_nothing_else),
		cmocka_unit_test(weights_of_slots_that_are_not_named_are_one),
		cmocka_unit_test(node_is_recognised),
		cmocka_unit_test(servers_and_sockets_are_proxied_to),
	};

	return cmocka_run_group_tests(tests, directory_enter, directory_leave);
}
