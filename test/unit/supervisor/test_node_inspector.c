/* Why: two workers that are debugged on one port: the second one dies at its start, again and
 * again; and a word put in the wrong place is an argument of the application.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/node_inspector.h"

/* `line` split at single spaces, as the supervisor would have split the command. */
static char **words_of(const char *line)
{
	size_t count = 0;
	char **argv = calloc(strlen(line) + 2, sizeof *argv);

	assert_non_null(argv);
	while (*line) {
		const size_t length = strcspn(line, " ");

		argv[count++] = strndup(line, length);
		line += length + (line[length] == ' ');
	}
	return argv;
}

static void becomes(const char *line, size_t slot, const char *wanted)
{
	char **argv = words_of(line), **expected = words_of(wanted);
	size_t i;

	node_inspector_spread(&argv, slot);
	for (i = 0; expected[i]; i++) {
		assert_non_null(argv[i]);
		assert_string_equal(argv[i], expected[i]);
		free(argv[i]);
		free(expected[i]);
	}
	assert_null(argv[i]);
	free(argv);
	free(expected);
}

static void stays(const char *line)
{
	becomes(line, 3, line);
}

/* Worry: two slots get one port, or slot 0 another one than the user asked for. */
static void test_each_slot_its_port(void **state)
{
	(void)state;
	becomes("node --inspect app.js", 0, "node --inspect --inspect-port=9229 app.js");
	becomes("node --inspect app.js", 3, "node --inspect --inspect-port=9232 app.js");
	becomes("node --inspect=7000 app.js", 2, "node --inspect=7000 --inspect-port=7002 app.js");
	becomes("node --inspect=127.0.0.1:7000 app.js", 1,
		"node --inspect=127.0.0.1:7000 --inspect-port=7001 app.js");
	becomes("node --inspect=[::1]:7000 app.js", 1,
		"node --inspect=[::1]:7000 --inspect-port=7001 app.js");
	becomes("node --inspect-brk=7000 app.js", 1,
		"node --inspect-brk=7000 --inspect-port=7001 app.js");
	becomes("node --inspect-wait app.js", 1, "node --inspect-wait --inspect-port=9230 app.js");
}

/* Worry: a port that the user gave is lost behind an option that says none, or read from a host. */
static void test_port_of_its_own(void **state)
{
	(void)state;
	becomes("node --inspect-port=7000 --inspect app.js", 1,
		"node --inspect-port=7000 --inspect --inspect-port=7001 app.js");
	becomes("node --inspect --inspect-port 7000 app.js", 1,
		"node --inspect --inspect-port 7000 --inspect-port=7001 app.js");
	becomes("node --inspect=7000 --inspect-brk app.js", 1,
		"node --inspect=7000 --inspect-brk --inspect-port=7001 app.js");
	becomes("node --inspect=0 --inspect-port=7000 app.js", 1,
		"node --inspect=0 --inspect-port=7000 --inspect-port=7001 app.js");
	becomes("node --inspect=127.0.0.2 app.js", 1,
		"node --inspect=127.0.0.2 --inspect-port=9230 app.js");
	becomes("node --inspect=[::1] app.js", 1,
		"node --inspect=[::1] --inspect-port=9230 app.js");
	stays("node --inspect-port=7000 app.js"); /* no inspector */
}

/* Worry: our word comes before the user's, and so is overridden by it; or behind the script, and so
 * is the application's. */
static void test_place(void **state)
{
	(void)state;
	becomes("node --inspect --max-old-space-size=200 app.js --inspect=1", 1,
		"node --inspect --inspect-port=9230 --max-old-space-size=200 app.js --inspect=1");
	becomes("node --inspect", 1, "node --inspect --inspect-port=9230");
	becomes("node --inspect -- app.js -x", 1,
		"node --inspect --inspect-port=9230 -- app.js -x");
}

/* Worry: what follows an option as its value is taken for the script. */
static void test_values_of_options(void **state)
{
	(void)state;
	becomes("node -r ./trace.js --inspect app.js", 1,
		"node -r ./trace.js --inspect --inspect-port=9230 app.js");
	becomes("node --require ./trace.js --inspect app.js", 1,
		"node --require ./trace.js --inspect --inspect-port=9230 app.js");
	becomes("node --import ./a.mjs --inspect --conditions dev app.js", 1,
		"node --import ./a.mjs --inspect --inspect-port=9230 --conditions dev app.js");
}

/* Worry: a worker that is not debugged listens for a debugger all the same. */
static void test_left_alone(void **state)
{
	(void)state;
	stays("node app.js");
	stays("node app.js --inspect");
	stays("node -- app.js --inspect");
	stays("node --inspect-publish-uid=http app.js");
	stays("node --inspect=0 app.js"); /* any free port: no two can meet */
	stays("node --inspect=127.0.0.1:0 app.js");
	stays("node --inspector-is-mine app.js");
	stays("node");
	stays("");
}

/* Worry: the last slots get a port that does not exist. */
static void test_end_of_the_range(void **state)
{
	(void)state;
	becomes("node --inspect=65533 app.js", 2,
		"node --inspect=65533 --inspect-port=65535 app.js");
	becomes("node --inspect=65533 app.js", 3, "node --inspect=65533 app.js");
	stays("node --inspect=99999 app.js"); /* Node itself says what is wrong */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_slot_its_port),
		cmocka_unit_test(test_port_of_its_own),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_values_of_options),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_end_of_the_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
