/* Why: arguments -> role. Roles are started by the supervisor with a word that no person types.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acceptor/acceptor.h"
#include "base/fd.h"
#include "command_line.h"
#include "demo/demo.h"
#include "relay/relay.h"
#include "relay/tls.h"
#include "supervisor/supervisor.h"
#include "warden/warden.h"

enum exit_code {
	EXIT_GOOD = 0,
	EXIT_FAILED = 1,
	EXIT_WRONG = 2
};

static const struct {
	const char *word;
	int (*run)(void);
} roles[] = {
	{ "@acceptor", acceptor_run },
	{ "@relay", relay_run },
	{ "@warden", warden_run },
	{ "@demo", demo_run },
};

/* Standard descriptors must be open: the first socket would take the place of a missing one. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	fd_close(&fd);
}

/* -d: the parent waits for the word that all is ready, and ends with what became of it. */
static int wait_for_child(int *pipe_end)
{
	char byte;
	ssize_t n;

	do
		n = read(*pipe_end, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? EXIT_GOOD : EXIT_FAILED;
}

/* Returns in the child with the pipe's end in *readiness_r; the parent's exit code is returned
 * there. */
static bool detach(int *readiness_r, int *code_r)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "limpet: -d: %s\n", strerror(errno));
		*code_r = EXIT_FAILED;
		return false;
	}
	if (pid > 0) {
		fd_close(&ends[1]);
		*code_r = wait_for_child(&ends[0]);
		return false;
	}
	fd_close(&ends[0]);
	setsid();
	*readiness_r = ends[1];
	return true;
}

static int wrong(const struct command_line *line)
{
	fprintf(stderr, "limpet: %s\n", line->error.text);
	return EXIT_WRONG;
}

static int start(struct command_line *line)
{
	struct supervisor_settings settings = { .origin = line->origin, .readiness = -1 };
	int code;

	if (!tls_check_apart(line->config, &line->error))
		return wrong(line);
	if (line->detach && !detach(&settings.readiness, &code)) {
		config_free(&line->config);
		return code;
	}
	return supervisor_run(&line->config, &settings);
}

static int obey(struct command_line *line)
{
	switch (line->action) {
	case COMMAND_START:
		return start(line);
	case COMMAND_TEST:
		if (line->config->tls_count > 0 && !tls_check(line->config, &line->error))
			return wrong(line);
		fprintf(stderr, "limpet: configuration %s is good\n", line->origin);
		return EXIT_GOOD;
	case COMMAND_DUMP:
		config_print(line->config, stdout);
		return EXIT_GOOD;
	case COMMAND_VERSION:
		command_line_version();
		return EXIT_GOOD;
	case COMMAND_HELP:
		command_line_help();
		return EXIT_GOOD;
	case COMMAND_PRINT_SAMPLE:
		config_print_sample(stdout);
		return EXIT_GOOD;
	case COMMAND_PRINT_MANUAL:
		config_print_manual(stdout);
		return EXIT_GOOD;
	case COMMAND_WRONG:
		return wrong(line);
	}
	return EXIT_WRONG;
}

int main(int argc, char **argv)
{
	struct command_line line;
	int code;

	open_standard();
	for (size_t i = 0; argc == 2 && i < sizeof roles / sizeof *roles; i++) {
		if (strcmp(argv[1], roles[i].word) == 0)
			return roles[i].run();
	}
	command_line_read(&line, argc, argv);
	code = obey(&line);
	config_free(&line.config);
	return code;
}
