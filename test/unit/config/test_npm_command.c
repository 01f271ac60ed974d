/* Why: the worry is a worker that npm and a shell stand in front of: signals and the pid would be
 * theirs. And the other way round: a script that does more than run node must not be cut down to it
 * in silence. SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "config/npm_command.h"
#include "config/option.h"
#include "directory.h"

static struct pool_config pool;

/* The command that comes out, with the environment in front; or the sentence. */
static char *resolved(const char *command)
{
	struct error e = { .text = "" };
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	memset(&pool, 0, sizeof pool);
	pool.name = (char[]){ "web" };
	option_begin_all(&option_tables[SECTION_POOL], &pool);
	assert_true(option_set(option_find(&option_tables[SECTION_POOL], "command"), &pool, command,
			       false, &e));
	e.text[0] = '\0';
	if (npm_command_resolve(&pool, &e)) {
		for (size_t i = 0; i < pool.environment.count; i++)
			fprintf(out, "%s | ", pool.environment.items[i]);
		fputs(pool.command, out);
	} else {
		fprintf(out, "! %s", e.text);
	}
	option_end_all(&option_tables[SECTION_POOL], &pool);
	fclose(out);
	return text;
}

static void expect(const char *command, const char *expected)
{
	char *text = resolved(command);

	assert_string_equal(text, expected);
	free(text);
}

static void expect_refused(const char *command, const char *why)
{
	char *text = resolved(command);

	if (*text != '!' || !strstr(text, why))
		fail_msg("%s: expected a sentence with \"%s\", got: %s", command, why, text);
	free(text);
}

static void scripts(const char *scripts)
{
	char text[1024];

	snprintf(text, sizeof text, "{ \"name\": \"app\", \"scripts\": { %s } }", scripts);
	directory_write("package.json", text);
}

static void other_commands_are_left_alone(void **state)
{
	(void)state;
	remove("package.json");
	expect("node server.js", "node server.js");
	expect("python3 npm start", "python3 npm start");
	expect("/usr/bin/npmx start", "/usr/bin/npmx start");
}

static void the_scripts_own_command_is_started(void **state)
{
	(void)state;
	scripts("\"start\": \"node server.js\", \"serve\": \"node --inspect serve.js --x 'a b'\"");
	expect("npm start", "node server.js");
	expect("/usr/bin/npm start", "node server.js");
	expect("npm run start", "node server.js");
	expect("npm run serve", "node --inspect serve.js --x \"a b\"");
	expect("npm run-script serve", "node --inspect serve.js --x \"a b\"");
	expect("yarn start", "node server.js");
	expect("yarn serve", "node --inspect serve.js --x \"a b\"");
	expect("yarn run serve", "node --inspect serve.js --x \"a b\"");
	expect("pnpm start", "node server.js");
	expect("pnpm run serve", "node --inspect serve.js --x \"a b\"");
}

static void arguments_are_handed_on(void **state)
{
	(void)state;
	scripts("\"start\": \"node server.js\"");
	expect("npm start -- --port 3 --slot %i", "node server.js --port 3 --slot %i");
	expect("npm start one", "node server.js one");
	expect("yarn start --port 3", "node server.js --port 3");
	expect_refused("npm start --port 3", "npm keeps --port for itself");
}

static void assignments_become_environment(void **state)
{
	(void)state;
	scripts("\"start\": \"NODE_ENV=production A='b c' node server.js\","
		"\"env\": \"cross-env NODE_ENV=test node a.js\", \"percent\": \"F=%d node "
		"100%.js\"");
	expect("npm start", "NODE_ENV=production | A=b c | node server.js");
	expect("npm run env", "NODE_ENV=test | node a.js");
	expect("npm run percent", "F=%%d | node 100%%.js");
}

static void programs_of_the_package_are_found(void **state)
{
	(void)state;
	mkdir("node_modules", 0700);
	mkdir("node_modules/.bin", 0700);
	directory_write("node_modules/.bin/next", "#!/usr/bin/env node\n");
	chmod("node_modules/.bin/next", 0700);
	scripts("\"start\": \"next start\", \"other\": \"nosuch start\"");
	expect("npm start", "node_modules/.bin/next start");
	expect("npx next start -p 3", "node_modules/.bin/next start -p 3");
	expect_refused("npm run other",
		       "nosuch is neither node nor a program in node_modules/.bin/");
	expect_refused("npx nosuch", "nosuch is neither node");
	expect_refused("npx -y next", "npx with options");
}

static void what_needs_a_shell_is_refused(void **state)
{
	static const char *const needs[] = { "node a.js && node b.js",
					     "node a.js | tee log",
					     "node $MAIN",
					     "node a.js > log",
					     "node a.js; true",
					     "node *.js",
					     "node `cat main`",
					     "(node a.js)",
					     "node \\\"$MAIN\\\"",
					     "node a.js &",
					     "node ~/a.js" };
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
		snprintf(text, sizeof text, "\"start\": \"%s\"", needs[i]);
		scripts(text);
		expect_refused("npm start", "needs a shell; write the program itself");
	}
	scripts("\"start\": \"node 'a;b' \\\"c|d\\\" 'e$f'\""); /* quoted: no operator */
	expect("npm start", "node \"a;b\" \"c|d\" \"e$f\"");
	scripts("\"start\": \"node 'open\"");
	expect_refused("npm start", "needs a shell");
	scripts("\"start\": \"A=1\"");
	expect_refused("npm start", "starts no program");
}

static void hooks_are_not_skipped_in_silence(void **state)
{
	(void)state;
	scripts("\"prestart\": \"make\", \"start\": \"node server.js\"");
	expect_refused(
		"npm start",
		"runs before or after \"start\"; run that at deployment and write the program "
		"itself: command = node server.js");
	scripts("\"postserve\": \"make\", \"serve\": \"node server.js\"");
	expect_refused("npm run serve", "before or after");
}

static void what_npm_does_else_starts_no_worker(void **state)
{
	(void)state;
	scripts("\"start\": \"node server.js\"");
	expect_refused("npm", "npm with options");
	expect_refused("npm --prefix x start", "npm with options");
	expect_refused("npm install", "npm install starts no worker");
	expect_refused("npm run", "npm with options");
	expect_refused("npm run nosuch", "package.json has no script \"nosuch\"");
}

static void a_broken_package_is_told(void **state)
{
	(void)state;
	remove("package.json");
	expect_refused("npm start", "package.json cannot be read (No such file or directory)");
	directory_write("package.json", "{\n \"scripts\": {,} }");
	expect_refused("npm start", "package.json:2: ");
	directory_write("package.json", "[1]");
	expect_refused("npm start", "has no script \"start\"");
	directory_write("package.json", "{ \"scripts\": { \"start\": 7 } }");
	expect_refused("npm start", "has no script \"start\"");
	remove("package.json");
	mkdir("package.json", 0700);
	expect_refused("npm start", "cannot be read (Is a directory)");
	remove("package.json");
}

static void fd_pools_and_shells_keep_their_command(void **state)
{
	struct error e;

	(void)state;
	memset(&pool, 0, sizeof pool);
	pool.name = (char[]){ "web" };
	pool.command = (char[]){ "npm start" };
	pool.delivery = DELIVERY_FD;
	assert_true(npm_command_resolve(&pool, &e));
	assert_string_equal(pool.command, "npm start");
	pool.delivery = DELIVERY_AUTO;
	pool.shell = true;
	assert_true(npm_command_resolve(&pool, &e));
	assert_string_equal(pool.command, "npm start");
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
		cmocka_unit_test(other_commands_are_left_alone),
		cmocka_unit_test(the_scripts_own_command_is_started),
		cmocka_unit_test(arguments_are_handed_on),
		cmocka_unit_test(assignments_become_environment),
		cmocka_unit_test(programs_of_the_package_are_found),
		cmocka_unit_test(what_needs_a_shell_is_refused),
		cmocka_unit_test(hooks_are_not_skipped_in_silence),
		cmocka_unit_test(what_npm_does_else_starts_no_worker),
		cmocka_unit_test(a_broken_package_is_told),
		cmocka_unit_test(fd_pools_and_shells_keep_their_command),
	};

	log_to_writer(hide_line, NULL);
	return cmocka_run_group_tests(tests, directory_enter, directory_leave);
}
