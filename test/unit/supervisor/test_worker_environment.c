/* Why: a worker that inherits our own NOTIFY_SOCKET speaks to the wrong parent, one that finds no
 * link cannot work: what it finds is listed here. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "supervisor/worker.h"

static char path[] = "PATH=/usr/bin", secret[] = "SECRET=1", notify[] = "NOTIFY_SOCKET=/run/ours",
	    node[] = "NODE_CHANNEL_FD=9", unique[] = "NODE_UNIQUE_ID=9",
	    link_fd[] = "LIMPET_LINK_FD=9", fds[] = "LISTEN_FDS=2", pid[] = "LISTEN_PID=1",
	    watchdog[] = "WATCHDOG_USEC=1", home[] = "HOME=/root";
static char *ours[] = {
	path, secret, notify, node, unique, link_fd, fds, pid, watchdog, home, NULL
};

static struct config *pool_with(const char *options)
{
	struct error e = { "" };
	struct config *config;
	char text[1024];
	int length = snprintf(
		text, sizeof text,
		"[pool:web]\ncommand = /bin/true\ninstances = 4\n%s\n[listen:web]\nbind = :80\n",
		options);

	config = config_parse("test", text, (size_t)length, &e);
	if (!config)
		fail_msg("%s", e.text);
	return config;
}

static void environment_of(struct environment *environment, struct config *config)
{
	struct worker worker = { .pool = &config->pools[0], .index = 3 };

	worker.child.slot.generation = 12;
	*environment = (struct environment){ .items = NULL };
	worker_environment(environment, &worker, "/run/theirs", ours);
}

static void expect(const struct environment *e, const char *name, const char *value)
{
	const char *found = environment_get(e, name);

	if (!value && found)
		fail_msg("%s=%s should not be there", name, found);
	if (value && !found)
		fail_msg("%s is missing", name);
	if (value)
		assert_string_equal(found, value);
}

/* Worry: an fd worker does not know who it is, or hears of somebody else's link. */
static void test_fd(void **state)
{
	struct config *config = pool_with("delivery = fd");
	struct environment e;

	(void)state;
	environment_of(&e, config);
	expect(&e, "LIMPET_POOL", "web");
	expect(&e, "LIMPET_SLOT", "3");
	expect(&e, "LIMPET_GENERATION", "12");
	expect(&e, "NODE_APP_INSTANCE", "3");
	expect(&e, "LIMPET_LINK_FD", "3");
	expect(&e, "NOTIFY_SOCKET", "/run/theirs");
	expect(&e, "SECRET", "1");
	expect(&e, "PATH", "/usr/bin");
	expect(&e, "PORT", NULL);
	expect(&e, "NODE_CHANNEL_FD", NULL);
	expect(&e, "NODE_UNIQUE_ID", NULL);
	expect(&e, "LISTEN_FDS", NULL);
	expect(&e, "LISTEN_PID", NULL);
	expect(&e, "WATCHDOG_USEC", NULL);
	environment_free(&e);
	config_free(&config);
}

static void test_node(void **state)
{
	struct config *config = pool_with("delivery = node\nwatchdog_timeout = 2s\nport = 9000");
	struct environment e;

	(void)state;
	environment_of(&e, config);
	expect(&e, "NODE_CHANNEL_FD", "3");
	expect(&e, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
	expect(&e, "NODE_UNIQUE_ID", "4"); /* never 0: it is cluster.worker.id */
	expect(&e, "LIMPET_LINK_FD", NULL);
	expect(&e, "WATCHDOG_USEC", "2000000");
	expect(&e, "PORT", "9003");
	environment_free(&e);
	config_free(&config);
}

/* Worry: clear_environment leaks a secret, or takes what no program can do without. */
static void test_clear(void **state)
{
	struct config *config =
		pool_with("delivery = fd\nclear_environment = on\nenvironment = MINE=slot-%i\n"
			  "environment = HOME=/srv/%n");
	struct environment e;

	(void)state;
	environment_of(&e, config);
	expect(&e, "SECRET", NULL);
	expect(&e, "PATH", "/usr/bin");
	expect(&e, "MINE", "slot-3");
	expect(&e, "HOME", "/srv/web"); /* the pool's word counts */
	expect(&e, "LIMPET_LINK_FD", "3");
	assert_int_equal(e.count, 9);
	environment_free(&e);
	config_free(&config);
}

/* Worry: a worker that runs as another user finds root's home. */
static void test_user(void **state)
{
	struct config *config = pool_with("delivery = fd");
	struct environment e;

	(void)state;
	free(config->pools[0].user);
	config->pools[0].user = strdup("daemon");
	environment_of(&e, config);
	expect(&e, "USER", "daemon");
	expect(&e, "LOGNAME", "daemon");
	expect(&e, "HOME", "/usr/sbin");
	environment_free(&e);
	config_free(&config);
}

/* Worry: a worker that listens by itself does not learn where, or takes a link that it has not. */
static void test_proxied(void **state)
{
	struct config *config = pool_with("delivery = listen\nenvironment = LISTEN_PID=7");
	struct worker worker = { .pool = &config->pools[0], .index = 3 };
	struct environment e = { .items = NULL };

	(void)state;
	worker.address.length = sizeof worker.address.local;
	worker.address.local.sun_family = AF_UNIX;
	snprintf(worker.address.local.sun_path, sizeof worker.address.local.sun_path, "/run/x-3");
	worker_environment(&e, &worker, "/run/theirs", ours);
	expect(&e, "LISTEN_FDS", "1");
	expect(&e, "LISTEN_FDNAMES", "limpet");
	expect(&e, "LISTEN_PID", "00000000000"); /* room for the child's own */
	expect(&e, "LIMPET_SOCKET", "/run/x-3");
	expect(&e, "LIMPET_LINK_FD", NULL);
	expect(&e, "NODE_CHANNEL_FD", NULL);
	environment_free(&e);
	config_free(&config);
	config = pool_with("delivery = proxy\nport = 9000");
	environment_of(&e, config);
	expect(&e, "PORT", "9003");
	expect(&e, "LISTEN_FDS", NULL);
	expect(&e, "LIMPET_SOCKET", NULL);
	environment_free(&e);
	config_free(&config);
}

/* Worry: a check is told of a link or a socket that only workers have. */
static void test_of_a_pool(void **state)
{
	struct config *config = pool_with("delivery = fd\nenvironment = MINE=%i");
	struct environment e = { .items = NULL };

	(void)state;
	pool_environment(&e, &config->pools[0], 2, ours);
	expect(&e, "LIMPET_SLOT", "2");
	expect(&e, "MINE", "2");
	expect(&e, "LIMPET_LINK_FD", NULL);
	expect(&e, "NOTIFY_SOCKET", NULL);
	environment_free(&e);
	config_free(&config);
}

static void check(const char *options, const char *sentence)
{
	struct config *config = pool_with("delivery = fd");
	struct error e = { "" };
	char *equals, text[256];

	snprintf(text, sizeof text, "%s", options);
	equals = strchr(text, '=');
	if (equals) {
		*equals = '\0';
		if (!config_set(config, "pool:web", text, equals + 1, "test", &e))
			fail_msg("%s", e.text);
	}
	assert_int_equal(worker_check(&config->pools[0], &e), sentence == NULL);
	if (sentence)
		assert_string_equal(e.text, sentence);
	config_free(&config);
}

/* Worry: a typing error shows as a crash loop and not as a sentence at the start. */
static void test_check(void **state)
{
	(void)state;
	setenv("PATH", "/usr/bin:/bin", 1);
	check("", NULL);
	check("command=true", NULL);
	check("command=limpet-no-such-program x",
	      "pool web: command: there is no \"limpet-no-such-program\" in PATH");
	check("command=/bin/limpet-no-such",
	      "pool web: command: /bin/limpet-no-such: No such file or directory");
	check("command=/etc/passwd", "pool web: command: /etc/passwd: Permission denied");
	check("directory=/no/such", "pool web: directory /no/such: No such file or directory");
	check("directory=/srv/%i", NULL); /* known per slot only */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fd),        cmocka_unit_test(test_node),
		cmocka_unit_test(test_clear),     cmocka_unit_test(test_user),
		cmocka_unit_test(test_check),     cmocka_unit_test(test_proxied),
		cmocka_unit_test(test_of_a_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
