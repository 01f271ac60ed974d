/* Why: see the header. SPDX-License-Identifier: ISC */
#include "wire/role.h"

#include <config.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/fd.h"

struct event_base *role_base(void)
{
	struct event_config *settings = event_config_new();
	struct event_base *base = NULL;

	if (settings && event_config_set_flag(settings, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(settings);
	if (!base)
		fatal("no event base: %s", strerror(errno));
	event_config_free(settings);
	return base;
}

void role_log(const char *name, const struct config *config)
{
	struct log_settings settings = {
		.level = (enum log_level)config->limpet.log_level,
		.format = (enum log_format)config->limpet.log_format,
		.role = name,
		.priority = getenv("JOURNAL_STREAM") != NULL && config->limpet.log_file[0] == '\0',
	};

	log_setup(&settings);
}

static void ignore_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	struct sigaction action = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		sigaction(ignored[i], &action, NULL);
}

/* exec made us dumpable again: clients' bytes and the seed are nobody's business. The leak checker
 * needs ptrace. */
static void hide_memory(void)
{
#ifndef LIMPET_SANITIZED
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		fatal("PR_SET_DUMPABLE: %s", strerror(errno));
#endif
}

static struct config *read_config(void)
{
	struct error e = { "" };
	size_t length;
	int fd = ROLE_FD_CONFIG;
	char *text = fd_read_all(fd, CONFIG_FILE_LIMIT, &length);
	struct config *config =
		text ? config_parse("effective configuration", text, length, &e) : NULL;

	if (!config)
		fatal("configuration from the supervisor: %s", text ? e.text : strerror(errno));
	free(text);
	fd_close(&fd);
	return config;
}

struct event_base *role_begin(const char *name, struct config **config_r,
			      struct channel **channel_r, channel_handler *handler, void *arg)
{
	struct log_settings early = { .level = LOG_INFO, .role = name };
	char title[16];
	struct event_base *base;
	int channel = ROLE_FD_CHANNEL;

	log_setup(&early);
	snprintf(title, sizeof title, "limpet-%s", name); /* ps would show "exe" */
	prctl(PR_SET_NAME, title);
	ignore_signals();
	hide_memory();
	*config_r = read_config();
	role_log(name, *config_r);
	base = role_base();
	*channel_r = channel_new(base, &channel, CHANNEL_ROLE, handler, arg);
	return base;
}
