/* Why: see the header. Node's rules: the last port that is said wins, `--inspect` without a port
 * says none, and what follows the script's name is the application's. Checked with Node 16, 22
 * and 24. SPDX-License-Identifier: ISC */
#include "supervisor/node_inspector.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define INSPECTOR_PORT 9229
#define PORT_MAX       65535

struct inspector {
	bool is_on;
	long port; /* 0: any; out of range: Node says what is wrong */
	size_t at; /* the word behind the last option about it */
};

/* These take the next word as their value, so it is not the script. */
static const char *const with_value[] = {
	"-r",
	"--require",
	"--import",
	"--loader",
	"--experimental-loader",
	"-C",
	"--conditions",
	"--title",
	"--env-file",
	"--inspect-port",
	"-e",
	"--eval",
	"-p",
	"--print",
	"--debug-port",
	"--input-type",
	"--diagnostic-dir",
	"--icu-data-dir",
	"--unhandled-rejections",
	"--openssl-config",
	"--trace-event-categories",
	"--dns-result-order",
	"--max-http-header-size",
};

static bool takes_value(const char *option)
{
	for (size_t i = 0; i < sizeof with_value / sizeof *with_value; i++)
		if (strcmp(option, with_value[i]) == 0)
			return true;
	return false;
}

static bool is_option(const char *word, const char *name)
{
	const size_t length = strlen(name);

	return strncmp(word, name, length) == 0 && (word[length] == '\0' || word[length] == '=');
}

/* "7000", "host:7000", "[::1]:7000"; a host alone says no port. */
static void read_port(struct inspector *inspector, const char *text)
{
	const char *colon = strrchr(text, ':');

	if (colon && !strchr(colon, ']'))
		text = colon + 1;
	if (*text && text[strspn(text, "0123456789")] == '\0')
		inspector->port = strtol(text, NULL, 10);
}

/* Takes note of the option at argv[i] and returns the index behind it and its value. */
static size_t read_option(struct inspector *inspector, char *const *argv, size_t i)
{
	const char *word = argv[i], *value = strchr(word, '=');
	const bool turns_on = is_option(word, "--inspect") || is_option(word, "--inspect-brk") ||
			      is_option(word, "--inspect-wait");
	const bool is_about =
		turns_on || is_option(word, "--inspect-port") || is_option(word, "--debug-port");

	value = value ? value + 1 : NULL;
	i++;
	if (!value && takes_value(word) && argv[i])
		value = argv[i++];
	inspector->is_on |= turns_on;
	if (is_about && value)
		read_port(inspector, value);
	if (is_about)
		inspector->at = i;
	return i;
}

static struct inspector inspector_of(char *const *argv)
{
	struct inspector inspector = { .port = INSPECTOR_PORT };
	size_t i = argv[0] ? 1 : 0;

	while (argv[i] && argv[i][0] == '-' && strcmp(argv[i], "--") != 0)
		i = read_option(&inspector, argv, i);
	return inspector;
}

static void insert(char ***argv, size_t at, char *word)
{
	size_t count = at;

	while ((*argv)[count])
		count++;
	*argv = reallocarray(*argv, count + 2, sizeof **argv);
	if (!*argv)
		fatal("out of memory");
	memmove(*argv + at + 1, *argv + at, (count - at + 1) * sizeof **argv);
	(*argv)[at] = word;
}

void node_inspector_spread(char ***argv, size_t slot)
{
	const struct inspector inspector = inspector_of(*argv);
	const long port = inspector.port + (long)slot;
	char *word;

	if (!inspector.is_on || inspector.port == 0 || port > PORT_MAX)
		return;
	if (asprintf(&word, "--inspect-port=%ld", port) < 0)
		fatal("out of memory");
	insert(argv, inspector.at, word);
}
