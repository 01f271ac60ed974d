/* Why: what a pool's command means for one slot, and what kind of program it is.
 * Source: execve(2) "Interpreter scripts". SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/command.h"
#include "config/config.h"

#define BLANKS       " \t"
#define SCRIPT_BYTES 256 /* of the #! line, as the kernel */

static void *checked(void *memory)
{
	if (!memory)
		fatal("no memory for a command");
	return memory;
}

char *config_expand(const struct pool_config *pool, const char *text, size_t slot)
{
	return command_expand(text, pool->name, slot);
}

char **config_argv(const struct pool_config *pool, size_t slot)
{
	struct error e;
	char **argv;

	if (pool->shell) {
		argv = checked(calloc(4, sizeof *argv));
		argv[0] = checked(strdup("/bin/sh"));
		argv[1] = checked(strdup("-c"));
		argv[2] = config_expand(pool, pool->command, slot);
		return argv;
	}
	argv = command_split(pool->command, &e);
	if (!argv)
		fatal("pool %s has an unchecked command: %s", pool->name, e.text);
	for (char **word = argv; *word; word++) {
		char *expanded = config_expand(pool, *word, slot);

		free(*word);
		*word = expanded;
	}
	return argv;
}

void config_argv_free(char ***argv)
{
	command_words_free(argv);
}

size_t config_server_places(const struct server *server)
{
	return server->kind == SERVER_ADDRESS ? 1 : CONFIG_PLACES;
}

size_t config_server_slot(const struct pool_config *pool, size_t server)
{
	size_t slot = pool->locals;

	for (size_t i = 0; i < server; i++)
		slot += config_server_places(&pool->server.items[i]);
	return slot;
}

double config_weight(const struct pool_config *pool, size_t slot)
{
	double all = 1;

	for (size_t i = 0; i < pool->weight.count; i++) {
		if (pool->weight.items[i].slot == slot)
			return pool->weight.items[i].value;
		if (pool->weight.items[i].slot == SIZE_MAX)
			all = pool->weight.items[i].value;
	}
	return all;
}

static bool is_node(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	return strcmp(name, "node") == 0 || strcmp(name, "nodejs") == 0;
}

/* One of the words of the first line names node: "#!/usr/bin/env -S node --flag". */
static bool script_names_node(char *line)
{
	char *rest = line + 2;
	const char *word;

	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "#!", 2) != 0)
		return false;
	while ((word = strsep(&rest, BLANKS)))
		if (is_node(word))
			return true;
	return false;
}

static bool file_is_node_script(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char line[SCRIPT_BYTES + 1];
	struct stat status;
	ssize_t got = -1;

	if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		got = pread(fd, line, SCRIPT_BYTES, 0);
	fd_close(&fd);
	if (got < 2)
		return false;
	line[got] = '\0';
	return script_names_node(line);
}

static char *path_join(const char *directory, size_t length, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%.*s%s%s", (int)length, directory, length ? "/" : "", name) < 0)
		fatal("no memory for a path");
	return path;
}

/* Where execvp(3) would find it; NULL where it would not. */
static char *program_find(const struct pool_config *pool, const char *program)
{
	const char *places = getenv("PATH");
	char *path, *directory;

	if (strchr(program, '/')) {
		directory = config_expand(pool, pool->directory, 0);
		path = path_join(directory, *program == '/' ? 0 : strlen(directory), program);
		free(directory);
		return path;
	}
	for (; places && *places; places += strspn(places, ":")) {
		size_t length = strcspn(places, ":");

		path = path_join(places, length, program);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
		places += length;
	}
	return NULL;
}

/* The program behind `env`, `exec` and assignments: env NODE_ENV=production node app.js. */
static const char *program_of(char *const *words)
{
	while (words[1] &&
	       (strchr(*words, '=') || strcmp(*words, "env") == 0 || strcmp(*words, "exec") == 0))
		words++;
	return *words;
}

enum config_delivery config_delivery_of(const struct pool_config *pool)
{
	enum config_delivery delivery = DELIVERY_FD;
	char *path, *program;
	struct error e;
	char **words;

	if (pool->delivery != DELIVERY_AUTO)
		return (enum config_delivery)pool->delivery;
	if (pool->server.count > 0 || *pool->socket)
		return DELIVERY_PROXY;
	words = command_split(pool->command, &e);
	if (!words) /* the shell may understand it */
		return DELIVERY_FD;
	program = config_expand(pool, program_of(words), 0);
	path = program_find(pool, program);
	if (is_node(program) || (path && file_is_node_script(path)))
		delivery = DELIVERY_NODE;
	free(path);
	free(program);
	command_words_free(&words);
	return delivery;
}
