/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/node_inspector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define INSPECTOR_PORT 9229
#define PORT_MAX       65535

/* --inspect, --inspect=port, --inspect-brk=host:port, ...; -1: not such an option, or one that asks
 * for port 0 (any). */
static long port_of(const char *option)
{
	const char *value = strchr(option, '='), *colon;
	long port;

	if (strncmp(option, "--inspect", 9) != 0 || strncmp(option, "--inspect-publish", 17) == 0)
		return -1;
	if (!value)
		return INSPECTOR_PORT;
	colon = strrchr(value, ':');
	port = strtol(colon ? colon + 1 : value + 1, NULL, 10);
	return port > 0 && port <= PORT_MAX ? port : -1;
}

static size_t count(char *const *argv)
{
	size_t n = 0;

	while (argv[n])
		n++;
	return n;
}

static void insert(char ***argv, size_t at, char *word)
{
	size_t n = count(*argv);

	*argv = reallocarray(*argv, n + 2, sizeof **argv);
	if (!*argv)
		fatal("out of memory");
	memmove(*argv + at + 1, *argv + at, (n - at + 1) * sizeof **argv);
	(*argv)[at] = word;
}

void node_inspector_spread(char ***argv, size_t slot)
{
	long port = -1;
	char *word;
	size_t i;

	if (!(*argv)[0])
		return;
	for (i = 1; (*argv)[i] && (*argv)[i][0] == '-'; i++) {
		long found = port_of((*argv)[i]);

		port = found >= 0 ? found : port;
	}
	if (port < 0 || port + (long)slot > PORT_MAX)
		return;
	if (asprintf(&word, "--inspect-port=%ld", port + (long)slot) < 0)
		fatal("out of memory");
	insert(argv, i, word);
}
