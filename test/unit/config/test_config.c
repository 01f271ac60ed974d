/* Why: the worries are a wrong configuration that is taken, a good one that is refused, and an
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "config/config.h"
#include "directory.h"

#define GOOD "[pool:web]\ncommand = node app.js\n[listen:http]\nbind = :3000\n"

static char table_path[4096];

static struct config *parse(const char *text)
{
	struct error e = { .text = "" };
	struct config *config = config_parse("f", text, strlen(text), &e);

	if (!config)
		fail_msg("refused: %s", e.text);
	return config;
}

static void expect_error(const char *text, const char *sentence)
{
	struct error e = { .text = "" };
	struct config *config = config_parse("f", text, strlen(text), &e);

	assert_null(config);
	assert_string_equal(e.text, sentence);
}

static char *printed(const struct config *config, size_t *length_r)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length_r);

	config_print(config, out);
	fclose(out);
	return text;
}

static void expect_round_trip(const struct config *config)
{
	struct error e = { .text = "" };
	size_t length, again_length;
	char *text = printed(config, &length), *again_text;
	struct config *again = config_parse("printed", text, length, &e);

	if (!again)
		fail_msg("what was printed is refused: %s\n%s", e.text, text);
	assert_true(config_equal(config, again));
	again_text = printed(again, &again_length);
	assert_string_equal(text, again_text);
	config_free(&again);
	free(text);
	free(again_text);
}

static void the_smallest_file_is_enough(void **state)
{
	struct config *config = parse(GOOD);

	(void)state;
	assert_int_equal(config->pool_count, 1);
	assert_string_equal(config->pools[0].name, "web");
	assert_string_equal(config->pools[0].command, "node app.js");
	assert_int_equal(config->pools[0].delivery, DELIVERY_NODE);
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
		GOOD "pool = web\n[pool:x]\ncommand = node x\nadopt_ports = on\n"
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

static void the_sample_is_a_good_configuration(void **state)
{
	char *text = NULL;
	struct error e;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct config *config;

	(void)state;
	config_print_sample(out);
	fclose(out);
	config = config_parse("sample", text, length, &e);
	assert_non_null(config);
	config_free(&config);
	/* ... also with every default written out */
	for (char *c = text; (c = strstr(c, "\n;")); c++)
		c[1] = ' ';
	config = config_parse("sample", text, length, &e);
	if (!config)
		fail_msg("%s", e.text);
	expect_round_trip(config);
	config_free(&config);
	free(text);
}

static void the_manual_has_every_option(void **state)
{
	char *text = NULL, item[64];
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	config_print_manual(out);
	fclose(out);
#define EXPECT_ITEM(type, name, standard, min, max, reload, help)                                  \
	snprintf(item, sizeof item,                                                                \
		 *(standard ? standard : "x") ? ".TP\n.BR %s \"" : ".TP\n.B %s\n", #name);         \
	assert_non_null(strstr(text, item));
	LIMPET_OPTIONS(EXPECT_ITEM)
	LISTEN_OPTIONS(EXPECT_ITEM)
	POOL_OPTIONS(EXPECT_ITEM)
	free(text);
}

/* 10^5 lines made of pieces of good ones: never a crash, and what is taken reads back. */
static void random_lines_are_taken_or_refused(void **state)
{
	static const char *const pieces[] = {
		"[limpet]", "[listen:",   "[pool:",    "a]",          "]",       "\n",
		"\n",       "\n",         "=",         " = ",         "command", "node a",
		"bind",     ":1",         ":2",        "127.0.0.1:3", "unix:/x", "weight",
		"0:1",      "1",          "on",        "environment", "A=1",     "${HOME}",
		"${X:-1}",  "$${",        "instances", "adopt_ports", "%i",      "%",
		"'",        "\"",         "\\",        ";",           "#",       " ",
		"delivery", "fd",         "log_level", "info",        "5s",      "stop_timeout",
		"pool",     "%include x", "\t",        "allow",       "::1"
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
		cmocka_unit_test(each_wrong_configuration_has_its_sentence),
		cmocka_unit_test(too_many_listeners_are_refused),
		cmocka_unit_test(too_many_sections_are_refused),
		cmocka_unit_test(the_effective_configuration_is_bounded),
		cmocka_unit_test(memory_includes_nothing),
		cmocka_unit_test(the_command_line_makes_a_configuration),
		cmocka_unit_test(the_command_line_overrides_a_file),
		cmocka_unit_test(commands_are_split_by_quotes_and_nothing_else),
		cmocka_unit_test(weights_of_slots_that_are_not_named_are_one),
		cmocka_unit_test(node_is_recognised),
		cmocka_unit_test(a_script_is_looked_for_in_the_directory),
		cmocka_unit_test(npm_is_replaced_before_anybody_sees_it),
		cmocka_unit_test(only_root_can_start_workers_as_others),
		cmocka_unit_test(the_sample_is_a_good_configuration),
		cmocka_unit_test(the_manual_has_every_option),
		cmocka_unit_test(random_lines_are_taken_or_refused),
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
