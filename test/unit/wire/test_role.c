/* Why: a step that one role forgets at its start is found by an attacker or by a Ctrl-C, not by a
 * user. Each test is a process that begins as the supervisor would have started it.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <config.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/role.h"

#define GOOD_CONFIG                                                                                \
	"[limpet]\nlog_level = error\n[pool:web]\ncommand = node a.js\nadopt_ports = on\n"

/* What the role finds out about itself; printed so that a failure says more than "exit 1". */
static void expect(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "in the role: not %s\n", what);
	_exit(1);
}

static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	(void)channel, (void)fd;
	expect(message && message->type == MESSAGE_GO, "told to go");
	++*(int *)arg;
}

/* Descriptors as process.c places them: the channel, then the configuration. */
static void place(int channel, const char *config)
{
	const int sources[] = { channel, fd_sealed("config", config, strlen(config)) };

	expect(sources[1] >= 0 && fd_arrange(sources, 2) == 0, "placed");
}

/* Runs `role` in a process of its own that has been sent one GO; returns its exit status. */
static int in_role(void (*role)(void), const char *config)
{
	const struct message go = { .type = MESSAGE_GO };
	struct event_base *base = role_base();
	struct channel *supervisor;
	int pair[2], status;
	pid_t pid;

	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		place(pair[1], config);
		role();
		_exit(0);
	}
	fd_close(&pair[1]);
	supervisor = channel_new(base, &pair[0], CHANNEL_SUPERVISOR, NULL, NULL);
	channel_send(supervisor, &go, -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	channel_free(&supervisor);
	event_base_free(base);
	return status;
}

static struct event_base *begin(struct config **config_r, struct channel **channel_r, int *heard)
{
	return role_begin("tester", config_r, channel_r, on_message, heard);
}

static void hears_its_supervisor(void)
{
	struct config *config;
	struct channel *channel;
	int heard = 0;
	struct event_base *base = begin(&config, &channel, &heard);

	expect(config->pool_count == 1 && strcmp(config->pools[0].name, "web") == 0, "configured");
	expect(config->limpet.log_level == LOG_ERROR, "configured with every option");
	while (heard == 0)
		expect(event_base_loop(base, EVLOOP_ONCE) == 0, "alive");
	expect(fcntl(ROLE_FD_CONFIG, F_GET_SEALS) < 0, "rid of the configuration's memory");
	channel_free(&channel);
	config_free(&config);
	event_base_free(base);
}

/* Worry: a role starts with another configuration than its supervisor has, or never hears of it. */
static void test_configuration_and_channel(void **state)
{
	(void)state;
	assert_int_equal(in_role(hears_its_supervisor, GOOD_CONFIG), 0);
}

static void survives_a_terminal(void)
{
	static const int sent[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	struct config *config;
	struct channel *channel;
	int heard = 0;

	begin(&config, &channel, &heard);
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		expect(raise(sent[i]) == 0, "able to signal itself");
}

/* Worry: Ctrl-C reaches the whole process group, and clients are lost before the supervisor has
 * drained anything. */
static void test_signals_to_the_group(void **state)
{
	(void)state;
	assert_int_equal(in_role(survives_a_terminal, GOOD_CONFIG), 0);
}

static void looks_at_itself(void)
{
	struct config *config;
	struct channel *channel;
	char title[16] = "";
	int heard = 0;

	begin(&config, &channel, &heard);
	prctl(PR_GET_NAME, title);
	expect(strcmp(title, "limpet-tester") == 0, "called by its name");
#ifndef LIMPET_SANITIZED
	expect(prctl(PR_GET_DUMPABLE) == 0, "hidden from others of its user");
#endif
}

/* Worry: a worker of the same user reads clients' bytes and the seed from a role's memory; or ps
 * shows "exe". */
static void test_memory_and_name(void **state)
{
	(void)state;
	assert_int_equal(in_role(looks_at_itself, GOOD_CONFIG), 0);
}

static void begins(void)
{
	struct config *config;
	struct channel *channel;
	int heard = 0;

	begin(&config, &channel, &heard);
}

/* Worry: a role that cannot read its configuration goes on with defaults. */
static void test_bad_configuration(void **state)
{
	(void)state;
	assert_int_not_equal(in_role(begins, "[pool:web]\n"), 0);
	assert_int_not_equal(in_role(begins, ""), 0);
}

/* Worry: somebody's EVENT_NOEPOLL makes Limpet use select(2), which ends at 1,024 descriptors. */
static void test_environment_of_libevent(void **state)
{
	struct event_base *base;

	(void)state;
	setenv("EVENT_NOEPOLL", "1", 1);
	base = role_base();
	assert_string_equal(event_base_get_method(base), "epoll");
	event_base_free(base);
	unsetenv("EVENT_NOEPOLL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration_and_channel),
		cmocka_unit_test(test_signals_to_the_group),
		cmocka_unit_test(test_memory_and_name),
		cmocka_unit_test(test_bad_configuration),
		cmocka_unit_test(test_environment_of_libevent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
