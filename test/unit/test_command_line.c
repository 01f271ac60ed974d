/* Why: what a person types is split, quoted and parsed three times before it runs: it must come out
 * as it went in, and a slip must get a sentence, not a guess. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "command_line.h"

#define WORDS_MAX 80

/* Reads a line of given words ("limpet" is put in front); NULL ends them. */
static void read_words(struct command_line *line, const char *const *words)
{
	char *argv[WORDS_MAX + 2];
	int argc = 0;

	argv[argc++] = strdup("limpet");
	for (; words[argc - 1]; argc++)
		argv[argc] = strdup(words[argc - 1]);
	argv[argc] = NULL;
	command_line_read(line, argc, argv);
	/* The origin points into the words: the tests look at those of run and demo only. */
	while (argc > 0)
		free(argv[--argc]);
}
#define READ(line, ...) read_words(line, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_wrong(const char *sentence, const char *const *words)
{
	struct command_line line;

	read_words(&line, words);
	if (line.action != COMMAND_WRONG)
		fail_msg("not refused: %s ...", words[0]);
	if (!strstr(line.error.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, line.error.text);
	config_free(&line.config);
}
#define WRONG(sentence, ...) expect_wrong(sentence, (const char *const[]){ __VA_ARGS__, NULL })

/* A configuration file with one pool; the path is static. */
static const char *file(void)
{
	static const char text[] =
		"[pool:web]\ncommand = /bin/true\ndelivery = fd\n[listen:web]\nbind = :8080\n";
	static char path[] = "/tmp/limpet-test-XXXXXX";
	static bool is_there;
	FILE *out;

	if (is_there)
		return path;
	out = fdopen(mkstemp(path), "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	is_there = true;
	return path;
}

/* Worry: a letter does what another one should. */
static void test_actions(void **state)
{
	static const struct {
		const char *word, *same;
		enum command_action action;
	} rows[] = {
		{ "-t", "--test", COMMAND_TEST },
		{ "-T", "--dump", COMMAND_DUMP },
		{ "-V", "--version", COMMAND_VERSION },
		{ "-h", "--help", COMMAND_HELP },
		{ "--print-sample", "--print-sample", COMMAND_PRINT_SAMPLE },
		{ "--print-manual", "--print-manual", COMMAND_PRINT_MANUAL },
		{ "-q", "--quiet", COMMAND_START },
	};
	struct command_line line;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		READ(&line, rows[i].word, "-c", file());
		assert_int_equal(line.action, rows[i].action);
		config_free(&line.config);
		READ(&line, rows[i].same, "--config", file());
		assert_int_equal(line.action, rows[i].action);
		config_free(&line.config);
	}
	READ(&line, "--help", "-c", "/no/such/file"); /* helps though something else is wrong */
	assert_int_equal(line.action, COMMAND_HELP);
	assert_null(line.config);
}

/* Worry: what a letter says does not reach the configuration. */
static void test_values(void **state)
{
	struct command_line line;

	(void)state;
	READ(&line, "-c", file(), "-p", "/run/x.pid", "-u", "root", "-d", "-v");
	assert_int_equal(line.action, COMMAND_START);
	assert_true(line.detach);
	assert_string_equal(line.config->limpet.pid_file, "/run/x.pid");
	assert_string_equal(line.config->limpet.user, "root");
	assert_int_equal(line.config->limpet.log_level, LOG_DEBUG);
	config_free(&line.config);
	READ(&line, "-q", file()); /* the file as a word */
	assert_int_equal(line.config->limpet.log_level, LOG_WARNING);
	assert_false(line.detach);
	assert_string_equal(line.config->pools[0].name, "web");
	config_free(&line.config);
}

static void test_run(void **state)
{
	struct command_line line;

	(void)state;
	READ(&line, "run", "-b", ":3000", "-b", "[::1]:3001", "-i", "4", "--name", "shop", "-v",
	     "--", "/bin/sleep", "-i", "5");
	assert_int_equal(line.action, COMMAND_START);
	assert_string_equal(line.origin, "limpet run");
	assert_int_equal(line.config->pool_count, 1);
	assert_string_equal(line.config->pools[0].name, "shop");
	assert_int_equal(line.config->pools[0].instances, 4);
	assert_int_equal(line.config->pools[0].delivery, DELIVERY_FD);
	assert_false(line.config->pools[0].adopt_ports);
	assert_int_equal(line.config->listen_count, 1);
	assert_int_equal(line.config->listens[0].bind.count, 2);
	config_free(&line.config);
	READ(&line, "run", "node", "app.js"); /* a Node application opens its own ports */
	assert_int_equal(line.action, COMMAND_START);
	assert_string_equal(line.config->pools[0].name, "app");
	assert_int_equal(line.config->pools[0].delivery, DELIVERY_NODE);
	assert_true(line.config->pools[0].adopt_ports);
	assert_int_equal(line.config->listen_count, 0);
	config_free(&line.config);
}

static void test_demo(void **state)
{
	struct command_line line;
	char self[4096] = "", **argv;

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	READ(&line, "demo");
	assert_int_equal(line.action, COMMAND_START);
	assert_string_equal(line.origin, "limpet demo");
	assert_int_equal(line.config->pools[0].instances, 4);
	assert_int_equal(address_port(&line.config->listens[0].bind.items[0]), 3000);
	assert_int_equal(line.config->listens[0].bind.items[0].v4.sin_addr.s_addr,
			 htonl(INADDR_LOOPBACK));
	argv = config_argv(&line.config->pools[0], 0);
	assert_string_equal(argv[0], self);
	assert_string_equal(argv[1], "@demo");
	assert_null(argv[2]);
	config_argv_free(&argv);
	config_free(&line.config);
	READ(&line, "demo", "-b", "127.0.0.1:4000", "-i", "2");
	assert_int_equal(line.config->pools[0].instances, 2);
	assert_int_equal(line.config->listens[0].bind.count, 1);
	assert_int_equal(address_port(&line.config->listens[0].bind.items[0]), 4000);
	config_free(&line.config);
}

/* Worry: a word with a space, a quote or a per cent sign reaches the program as something else. */
static void test_words_arrive_as_typed(void **state)
{
	static const char *const nasty[] = {
		"run",  "-b",          ":3000", "--",         "/bin/echo", "two words",
		"it's", "\"quoted\"",  "'",     "''",         "",          "%i",
		"%%",   "100%",        "$HOME", "${PATH:-x}", "`id`",      "back\\slash",
		"\\",   "a;b|c&d>e",   "*",     "tab\there",  "-b",        "--",
		"#",    "caf\xc3\xa9", "~",     "=",          "[x]",       NULL
	};
	struct command_line line;
	char **argv;

	(void)state;
	read_words(&line, nasty);
	if (line.action != COMMAND_START)
		fail_msg("%s", line.error.text);
	argv = config_argv(&line.config->pools[0], 7);
	for (size_t i = 0; nasty[i + 4] || argv[i]; i++) {
		assert_non_null(nasty[i + 4]);
		assert_non_null(argv[i]);
		assert_string_equal(argv[i], nasty[i + 4]);
	}
	config_argv_free(&argv);
	config_free(&line.config);
}

/* Worry: the effective configuration, which the roles parse, says something else than the words. */
static void test_words_survive_printing(void **state)
{
	struct command_line line;
	struct config *again;
	struct error e = { "" };
	char *text = NULL, **argv;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	READ(&line, "run", "-b", ":3000", "--", "/bin/echo", "it's %i ${HOME} \"x\" \\ #", "");
	assert_int_equal(line.action, COMMAND_START);
	config_print(line.config, out);
	fclose(out);
	again = config_parse("printed", text, length, &e);
	if (!again)
		fail_msg("%s in:\n%s", e.text, text);
	argv = config_argv(&again->pools[0], 0);
	assert_string_equal(argv[1], "it's %i ${HOME} \"x\" \\ #");
	assert_string_equal(argv[2], "");
	assert_null(argv[3]);
	config_argv_free(&argv);
	config_free(&again);
	config_free(&line.config);
	free(text);
}

/* Worry: a slip is taken for something else, or the sentence does not say what to do. */
static void test_errors(void **state)
{
	(void)state;
	WRONG("-x: unknown", "-x");
	WRONG("--frob: unknown", "--frob");
	WRONG("-c: unknown, or its value is missing", "-c");
	WRONG("see limpet --help", "--config");
	WRONG("limpet run -i 4 -- node app.js", "run");
	WRONG("limpet run -i 4 -- node app.js", "run", "-i", "4", "--");
	WRONG("-b :3000", "run", "/bin/true");
	WRONG("-i", "run", "-b", ":3000", "-i", "many", "--", "/bin/true");
	WRONG("-b", "run", "-b", "not an address", "--", "/bin/true");
	WRONG("demo takes no \"now\"", "demo", "now");
	WRONG("\"b\"", "a", "b");
	WRONG("limpet run -- COMMAND", "-c", file(), "b");
	WRONG("go with run and demo", "-c", file(), "-i", "4");
	WRONG("go with run and demo", "-b", ":80", file());
	WRONG("go with run and demo", "--name", "x", file());
	WRONG("/no/such/file", "-t", "-c", "/no/such/file");
}

/* Worry: the 65th address is lost without a word. */
static void test_too_many_addresses(void **state)
{
	const char *words[2 + 65 + 1] = { "run" };

	(void)state;
	for (int i = 1; i <= 65; i++)
		words[i] = "-b:3000";
	words[66] = "/bin/true";
	expect_wrong("more than 64 -b", words);
}

/* Prints into a pipe by `print`. */
static void printed(void (*print)(void), char *text, size_t size)
{
	int out[2], own = dup(1);
	ssize_t length;

	fflush(stdout);
	assert_int_equal(pipe(out), 0);
	dup2(out[1], 1);
	print();
	fflush(stdout);
	dup2(own, 1);
	close(own);
	close(out[1]);
	length = read(out[0], text, size - 1);
	close(out[0]);
	assert_true(length > 0);
	text[length] = '\0';
}

/* Worry: the help does not fit a screen, or hides a letter. */
static void test_help(void **state)
{
	static const char *const words[] = { "-c", "-t",     "-T",         "-d",         "-p",
					     "-u", "-v",     "-q",         "-V",         "-b",
					     "-i", "--name", "limpet run", "limpet demo" };
	char text[8192];
	unsigned lines = 0;
	size_t width = 0;

	(void)state;
	printed(command_line_help, text, sizeof text);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		assert_non_null(strstr(text, words[i]));
	for (const char *at = text; *at; at += strcspn(at, "\n") + 1, lines++)
		width = strcspn(at, "\n") > width ? strcspn(at, "\n") : width;
	assert_in_range(lines, 10, 30);
	assert_in_range(width, 40, 80);
	printed(command_line_version, text, sizeof text);
	assert_int_equal(strncmp(text, "limpet ", 7), 0);
	assert_non_null(strstr(text, "libevent"));
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_demo),
		cmocka_unit_test(test_words_arrive_as_typed),
		cmocka_unit_test(test_words_survive_printing),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_many_addresses),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, remove_file);
}
