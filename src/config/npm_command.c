/* Why: npm_command.h. package.json is JSON that somebody else wrote, so it is read by jansson, in
 * this file only: config has no other use for it. SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/command.h"
#include "config/npm_command.h"
#include "config/option.h"

#define PACKAGE_MOST (1u << 20)
#define BIN          "node_modules/.bin/"

/* What the user's command asks for: the script and what is handed on to it. */
struct request {
	const char *manager; /* npm, npx, yarn, pnpm */
	const char *script;
	char *const *arguments;
};

static void *checked(void *memory)
{
	if (!memory)
		fatal("no memory for a command");
	return memory;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *manager_of(const char *program)
{
	static const char *const managers[] = { "npm", "npx", "yarn", "pnpm" };

	for (size_t i = 0; i < sizeof managers / sizeof *managers; i++)
		if (strcmp(base_name(program), managers[i]) == 0)
			return managers[i];
	return NULL;
}

/* npm start, npm run NAME, yarn NAME, yarn run NAME, pnpm likewise, npx PROGRAM; then arguments.
 * npm keeps options for itself unless "--" stands before them. */
static bool request_read(char *const *words, struct request *request, struct error *e)
{
	bool is_npm = strcmp(request->manager, "npm") == 0;
	bool is_run =
		words[1] && (strcmp(words[1], "run") == 0 || strcmp(words[1], "run-script") == 0);
	char *const *script = words + 1 + (is_run && strcmp(request->manager, "npx") != 0);

	if (!*script || **script == '-')
		return error_set(
			e,
			"%s with options cannot be started without %s in between; write the "
			"program itself, such as command = node server.js",
			request->manager, request->manager);
	if (is_npm && !is_run && strcmp(*script, "start") != 0 && strcmp(*script, "test") != 0)
		return error_set(e,
				 "npm %.80s starts no worker; write the program itself, such as "
				 "command = node "
				 "server.js",
				 *script);
	request->script = *script;
	request->arguments = script + 1;
	if (*request->arguments && strcmp(*request->arguments, "--") == 0)
		request->arguments++;
	else if (is_npm && *request->arguments && **request->arguments == '-')
		return error_set(e,
				 "npm keeps %.80s for itself; write -- in front of it, or the "
				 "program itself",
				 *request->arguments);
	return true;
}

static char *path_in(const struct pool_config *pool, const char *name)
{
	char *directory = config_expand(pool, pool->directory, 0), *path = NULL;

	if (asprintf(&path, "%s%s%s", directory, *directory ? "/" : "", name) < 0)
		fatal("no memory for a path");
	free(directory);
	return path;
}

static json_t *package_load(const char *path, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	json_error_t fault = { .line = 0 };
	json_t *package = NULL;
	size_t length = 0;
	char *text = fd < 0 ? NULL : fd_read_all(fd, PACKAGE_MOST, &length);

	if (!text) {
		error_set(e,
			  "%.300s cannot be read (%s); write the program itself, such as command = "
			  "node "
			  "server.js",
			  path, strerror(errno));
	} else {
		package = json_loadb(text, length, JSON_REJECT_DUPLICATES, &fault);
		if (!package)
			error_set(e, "%.300s:%d: %s", path, fault.line, fault.text);
	}
	fd_close(&fd);
	free(text);
	return package;
}

static const char *script_named(const json_t *package, const char *before, const char *name)
{
	char key[128];

	if (snprintf(key, sizeof key, "%s%s", before, name) >= (int)sizeof key)
		return NULL;
	return json_string_value(json_object_get(json_object_get(package, "scripts"), key));
}

/* A script with others around it is more than its own text: npm runs preNAME before and postNAME
 * after. */
static char *script_text(const json_t *package, const char *path, const char *name, struct error *e)
{
	const char *text = script_named(package, "", name);

	if (!text)
		error_set(e,
			  "%.300s has no script \"%.80s\"; write the program itself, such as "
			  "command = "
			  "node server.js",
			  path, name);
	else if (script_named(package, "pre", name) || script_named(package, "post", name))
		error_set(e,
			  "%.300s has a script that runs before or after \"%.80s\"; run that at "
			  "deployment "
			  "and write the program itself: command = %.200s",
			  path, name, text);
	else
		return checked(strdup(text));
	return NULL;
}

/* Whether a shell would make more of it than command_split does. */
static bool needs_shell(const char *text)
{
	char quote = '\0';

	for (const char *c = text; *c; c++) {
		if (quote == '\'' ? *c != '\'' : strchr("$`\n", *c) != NULL)
			if (quote != '\'')
				return true;
		if (!quote && strchr("|&;<>()*?[]{}~#!", *c))
			return true;
		if (!quote && (*c == '\'' || *c == '"'))
			quote = *c;
		else if (*c == quote)
			quote = '\0';
		else if (*c == '\\' && quote != '\'' && c[1])
			c++;
	}
	return false;
}

static bool is_assignment(const char *word)
{
	size_t name =
		strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	return name > 0 && word[name] == '=' && !isdigit((unsigned char)*word);
}

/* What comes from a script knows nothing of %i and %n. */
static void print_doubled(const char *word, FILE *out)
{
	for (; *word; word++) {
		if (*word == '%')
			fputc('%', out);
		fputc(*word, out);
	}
}

static void print_word(const char *word, bool from_script, FILE *out)
{
	char *quoted = command_quote(word);

	fputc(' ', out);
	if (from_script)
		print_doubled(quoted, out);
	else
		fputs(quoted, out);
	free(quoted);
}

static bool pool_set(struct pool_config *pool, const char *name, const char *value, struct error *e)
{
	const struct option *option = option_find(&option_tables[SECTION_POOL], name);

	return option_set(option, pool, value, true, e);
}

/* node itself, or a program of the package that is a script for node. */
static char *program_resolve(const struct pool_config *pool, const char *program)
{
	char *name = NULL, *path;

	if (strcmp(base_name(program), "node") == 0 || strcmp(base_name(program), "nodejs") == 0 ||
	    strchr(program, '/'))
		return checked(strdup(program));
	if (asprintf(&name, BIN "%s", program) < 0)
		fatal("no memory for a path");
	path = path_in(pool, name);
	if (access(path, X_OK) != 0) {
		free(name);
		name = NULL;
	}
	free(path);
	return name;
}

/* Sets the pool's command to `words` and the user's own arguments. */
static bool command_set(struct pool_config *pool, char *const *words, char *const *arguments,
			struct error *e)
{
	char *program = program_resolve(pool, *words), *command = NULL;
	size_t length;
	FILE *out;
	bool good;

	if (!program)
		return error_set(e,
				 "%.80s is neither node nor a program in " BIN
				 "; write the program itself, "
				 "such as command = node server.js",
				 *words);
	out = checked(open_memstream(&command, &length));
	print_word(program, true, out);
	while (*++words)
		print_word(*words, true, out);
	for (; *arguments; arguments++)
		print_word(*arguments, false, out);
	fclose(out);
	good = pool_set(pool, "command", command + 1, e);
	free(command);
	free(program);
	return good;
}

static bool assignment_set(struct pool_config *pool, const char *word, struct error *e)
{
	char *text = NULL;
	size_t length;
	FILE *out = checked(open_memstream(&text, &length));
	bool good;

	print_doubled(word, out);
	fclose(out);
	good = pool_set(pool, "environment", text, e);
	free(text);
	return good;
}

/* "NODE_ENV=production node server.js": assignments, also behind env or cross-env, then a program.
 */
static bool script_take_over(struct pool_config *pool, const char *text, char *const *arguments,
			     struct error *e)
{
	char **words = needs_shell(text) ? NULL : command_split(text, e), **word = words;
	bool good = true;

	if (!words)
		return error_set(
			e,
			"the script \"%.200s\" needs a shell; write the program itself, such as "
			"command = node server.js",
			text);
	if (strcmp(*word, "env") == 0 || strcmp(*word, "cross-env") == 0)
		word++;
	for (; good && *word && is_assignment(*word); word++)
		good = assignment_set(pool, *word, e);
	if (good && *word)
		good = command_set(pool, word, arguments, e);
	else if (good)
		good = error_set(e,
				 "the script \"%.200s\" starts no program; write the program "
				 "itself, such as "
				 "command = node server.js",
				 text);
	command_words_free(&words);
	return good;
}

static bool script_resolve(struct pool_config *pool, const struct request *request, struct error *e)
{
	char *path = path_in(pool, "package.json"), *text = NULL;
	json_t *package = package_load(path, e);
	bool good = false;

	if (package)
		text = script_text(package, path, request->script, e);
	if (text)
		good = script_take_over(pool, text, request->arguments, e);
	json_decref(package);
	free(path);
	free(text);
	return good;
}

static bool request_resolve(struct pool_config *pool, char *const *words, struct request *request,
			    struct error *e)
{
	char *program[] = { NULL, NULL };

	if (!request_read(words, request, e))
		return false;
	if (strcmp(request->manager, "npx") != 0)
		return script_resolve(pool, request, e);
	program[0] = (char *)request->script;
	return command_set(pool, program, request->arguments, e);
}

bool npm_command_resolve(struct pool_config *pool, struct error *e)
{
	struct request request = { .manager = NULL };
	struct error sentence = { .text = "" };
	char *before;
	char **words;
	bool good = true;

	if (pool->shell || pool->delivery == DELIVERY_FD)
		return true;
	words = command_split(pool->command, &sentence);
	if (words)
		request.manager = manager_of(*words);
	if (request.manager) {
		before = checked(strdup(pool->command));
		good = request_resolve(pool, words, &request, &sentence);
		if (good)
			log_line(LOG_NOTICE, pool->name,
				 "instead of \"%s\" its program is started: %s", before,
				 pool->command);
		else
			error_set(e, "command = %.80s: %.800s", before, sentence.text);
		free(before);
	}
	command_words_free(&words);
	return good;
}
