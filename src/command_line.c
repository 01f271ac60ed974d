/* Why: see the header. The letters are those of nginx, HAProxy, PgBouncer and gunicorn, so that
 * people guess right. SPDX-License-Identifier: ISC */
#include "command_line.h"

#include <config.h>
#include <event2/event.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define DEFAULT_FILE "/etc/limpet/limpet.ini"
#define DEMO_ADDRESS "127.0.0.1:3000"
#define BINDS_MAX    64

/* Letters seen, before they are applied to the configuration. */
struct wishes {
	const char *file, *pid_file, *user, *instances, *name;
	const char *binds[BINDS_MAX];
	size_t bind_count;
	int verbose, quiet;
	bool test, dump, version, help, print_sample, print_manual, detach;
};

enum {
	LONG_NAME = 256,
	LONG_SAMPLE,
	LONG_MANUAL
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "test", no_argument, NULL, 't' },
	{ "dump", no_argument, NULL, 'T' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "pid-file", required_argument, NULL, 'p' },
	{ "user", required_argument, NULL, 'u' },
	{ "daemon", no_argument, NULL, 'd' },
	{ "bind", required_argument, NULL, 'b' },
	{ "instances", required_argument, NULL, 'i' },
	{ "name", required_argument, NULL, LONG_NAME },
	{ "print-sample", no_argument, NULL, LONG_SAMPLE },
	{ "print-manual", no_argument, NULL, LONG_MANUAL },
	{ NULL, 0, NULL, 0 },
};

void command_line_help(void)
{
	fputs("Limpet " PACKAGE_VERSION ": sticky-session TCP load balancer and worker supervisor\n"
	      "\n"
	      "  limpet [-c] FILE                              run what FILE configures\n"
	      "  limpet run [-b ADDR]... [-i N] -- COMMAND...  run N copies of one command\n"
	      "  limpet demo [-b ADDR]                         show it on http://" DEMO_ADDRESS "\n"
	      "\n"
	      "  -c, --config FILE    configuration (default " DEFAULT_FILE ")\n"
	      "  -t, --test           check the configuration and exit\n"
	      "  -T, --dump           check it, print the effective configuration and exit\n"
	      "  -d, --daemon         go to the background once the workers are ready\n"
	      "  -p, --pid-file FILE  write the process id to FILE\n"
	      "  -u, --user USER      user of the acceptor when started as root\n"
	      "  -v, --verbose        log more      -q, --quiet  log warnings and errors only\n"
	      "  -V, --version        print versions and exit\n"
	      "\n"
	      "for run and demo:\n"
	      "  -b, --bind ADDR      host:port, [v6]:port, :port or unix:/path; repeatable.\n"
	      "                       Without it Node applications get the ports they ask for.\n"
	      "  -i, --instances N    number of workers; max, the default: one per CPU\n"
	      "      --name NAME      name of the pool (default app)\n"
	      "\n"
	      "TERM stops gracefully (twice: now), INT quickly, QUIT without a deadline,\n"
	      "USR1 opens logs again.\n"
	      "Manual: limpet(1), limpet.ini(5), limpet_worker(3).\n",
	      stdout);
}

void command_line_version(void)
{
	printf("limpet %s\nlibevent %s, jansson %s, xxHash %u, systemd %s\n", PACKAGE_VERSION,
	       event_get_version(), JANSSON_VERSION, XXH_versionNumber(),
#ifdef HAVE_SYSTEMD
	       "yes"
#else
	       "no"
#endif
	);
}

static bool keep_bind(struct wishes *w, const char *address, struct error *e)
{
	if (w->bind_count == BINDS_MAX)
		return error_set(e, "more than %d -b", BINDS_MAX);
	w->binds[w->bind_count++] = address;
	return true;
}

static bool keep(struct wishes *w, int letter, const char *value, struct error *e)
{
	switch (letter) {
	case 'c':
		w->file = value;
		return true;
	case 't':
		w->test = true;
		return true;
	case 'T':
		w->dump = true;
		return true;
	case 'V':
		w->version = true;
		return true;
	case 'h':
		w->help = true;
		return true;
	case 'v':
		w->verbose++;
		return true;
	case 'q':
		w->quiet++;
		return true;
	case 'p':
		w->pid_file = value;
		return true;
	case 'u':
		w->user = value;
		return true;
	case 'd':
		w->detach = true;
		return true;
	case 'i':
		w->instances = value;
		return true;
	case LONG_NAME:
		w->name = value;
		return true;
	case LONG_SAMPLE:
		w->print_sample = true;
		return true;
	case LONG_MANUAL:
		w->print_manual = true;
		return true;
	case 'b':
		return keep_bind(w, value, e);
	default:
		return error_set(
			e, "unknown option, or an option without its value; see limpet --help");
	}
}

/* "+": the first word that is no option ends them; what follows belongs to the command. */
static bool read_options(struct wishes *w, int argc, char **argv, const char *letters,
			 struct error *e)
{
	int letter;

	opterr = 0;
	optind = 0; /* glibc: begin anew, and forget the rest of an earlier word */
	while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (letter == '?' && optopt)
			return error_set(e,
					 "-%c: unknown, or its value is missing; see limpet --help",
					 optopt);
		if (letter == '?')
			return error_set(e,
					 "%s: unknown, or its value is missing; see limpet --help",
					 argv[optind - 1]);
		if (!keep(w, letter, optarg, e))
			return false;
	}
	return true;
}

/* Words that mean themselves stay as they are: people read them in log lines and messages. */
static bool is_plain(const char *word)
{
	return word[0] && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					    "0123456789_-+=:,./@")] == '\0';
}

static void add_quoted(FILE *out, const char *word)
{
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else if (*word == '%')
			fputs("%%", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

/* argv as one text that `command =` splits into the same words. */
static char *quote(char *const *argv)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		fatal("out of memory");
	for (size_t i = 0; argv[i]; i++) {
		if (i > 0)
			fputc(' ', out);
		if (is_plain(argv[i]))
			fputs(argv[i], out);
		else
			add_quoted(out, argv[i]);
	}
	fclose(out);
	return text;
}

static bool set_common(struct config *c, const struct wishes *w, struct error *e)
{
	if (w->pid_file && !config_set(c, "limpet", "pid_file", w->pid_file, "-p", e))
		return false;
	if (w->user && !config_set(c, "limpet", "user", w->user, "-u", e))
		return false;
	if (w->verbose)
		c->limpet.log_level = LOG_DEBUG;
	if (w->quiet)
		c->limpet.log_level = LOG_WARNING;
	return true;
}

static bool set_pool(struct config *c, const struct wishes *w, const char *pool,
		     const char *command, const char *default_bind, struct error *e)
{
	char section[80], listen[80];

	snprintf(section, sizeof section, "pool:%s", pool);
	snprintf(listen, sizeof listen, "listen:%s", pool);
	if (!config_set(c, section, "command", command, "command", e) ||
	    (w->instances && !config_set(c, section, "instances", w->instances, "-i", e)))
		return false;
	for (size_t i = 0; i < w->bind_count; i++) {
		if (!config_set(c, listen, "bind", w->binds[i], "-b", e))
			return false;
	}
	if (w->bind_count > 0)
		return true;
	if (default_bind)
		return config_set(c, listen, "bind", default_bind, "default address", e);
	return config_set(c, section, "adopt_ports", "on", "default", e);
}

/* A pool that receives sockets cannot open ports by itself. */
static bool has_a_way_in(const struct config *c, const struct wishes *w, struct error *e)
{
	if (w->bind_count > 0 || c->pools[0].delivery == DELIVERY_NODE)
		return true;
	return error_set(
		e,
		"only Node applications open their own ports: say where to listen, for example "
		"limpet run -b :3000 -- %s",
		c->pools[0].command);
}

static void read_run(struct command_line *line, const struct wishes *w, char *const *command)
{
	char *text = quote(command);
	struct config *c = config_new();
	bool good;

	line->config = c;
	line->origin = "limpet run";
	good = set_common(c, w, &line->error) &&
	       set_pool(c, w, w->name ? w->name : "app", text, NULL, &line->error);
	if (good && w->bind_count == 0)
		c->pools[0].delivery = (int)config_delivery_of(&c->pools[0]);
	good = good && has_a_way_in(c, w, &line->error) && config_check(c, &line->error);
	if (!good)
		line->action = COMMAND_WRONG;
	free(text);
}

static void read_demo(struct command_line *line, const struct wishes *w)
{
	char self[PATH_MAX + 1] = "", *argv[] = { self, (char *)(uintptr_t) "@demo", NULL }, *text;
	struct config *c = config_new();
	struct wishes with_four = *w;

	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		fatal("/proc/self/exe cannot be read");
	if (!w->instances)
		with_four.instances = "4";
	text = quote(argv);
	line->config = c;
	line->origin = "limpet demo";
	if (!set_common(c, w, &line->error) ||
	    !set_pool(c, &with_four, w->name ? w->name : "demo", text, DEMO_ADDRESS,
		      &line->error) ||
	    !config_check(c, &line->error))
		line->action = COMMAND_WRONG;
	free(text);
}

static void read_file(struct command_line *line, const struct wishes *w, const char *positional)
{
	line->origin = w->file ? w->file : positional ? positional : DEFAULT_FILE;
	if (w->bind_count || w->instances || w->name) {
		line->action = COMMAND_WRONG;
		error_set(&line->error,
			  "-b, -i and --name go with run and demo; see limpet --help");
		return;
	}
	line->config = config_load(line->origin, &line->error);
	if (!line->config || !set_common(line->config, w, &line->error))
		line->action = COMMAND_WRONG;
}

static enum command_action action_of(const struct wishes *w)
{
	if (w->help)
		return COMMAND_HELP;
	if (w->version)
		return COMMAND_VERSION;
	if (w->print_sample)
		return COMMAND_PRINT_SAMPLE;
	if (w->print_manual)
		return COMMAND_PRINT_MANUAL;
	if (w->dump)
		return COMMAND_DUMP;
	return w->test ? COMMAND_TEST : COMMAND_START;
}

static bool has_word(int argc, char **argv, const char *word)
{
	return argc > 1 && strcmp(argv[1], word) == 0;
}

static void __attribute__((format(printf, 2, 3)))
wrong(struct command_line *line, const char *sentence, ...)
{
	va_list ap;

	line->action = COMMAND_WRONG;
	va_start(ap, sentence);
	vsnprintf(line->error.text, sizeof line->error.text, sentence, ap);
	va_end(ap);
}

static void read_rest(struct command_line *line, const struct wishes *w, int argc, char **argv,
		      bool run, bool demo)
{
	int left = argc - optind;

	if (run && left == 0)
		wrong(line, "run needs a command, for example: limpet run -i 4 -- node app.js");
	else if (run)
		read_run(line, w, argv + optind);
	else if (demo && left > 0)
		wrong(line, "demo takes no \"%s\"; see limpet --help", argv[optind]);
	else if (demo)
		read_demo(line, w);
	else if (left > (w->file ? 0 : 1))
		wrong(line, "too many words: \"%s\"; to run a command write limpet run -- COMMAND",
		      argv[argc - 1]);
	else
		read_file(line, w, left ? argv[optind] : NULL);
}

void command_line_read(struct command_line *line, int argc, char **argv)
{
	struct wishes w = { .file = NULL };
	bool run = has_word(argc, argv, "run"), demo = has_word(argc, argv, "demo");

	*line = (struct command_line){ .action = COMMAND_START };
	if (run || demo) {
		argc--;
		argv++;
	}
	if (!read_options(&w, argc, argv, "+c:tTVhvqp:u:db:i:", &line->error)) {
		line->action = COMMAND_WRONG;
		return;
	}
	line->action = action_of(&w);
	line->detach = w.detach;
	if (line->action <= COMMAND_DUMP)
		read_rest(line, &w, argc, argv, run, demo);
}
