/* Why: what a worker finds in its environment, and whether its program can be found at all.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/node_preload.h"
#include "supervisor/worker.h"

/* What `clear_environment` leaves. */
static const char *const kept_names[] = { "PATH", "HOME",   "USER", "LOGNAME",
					  "LANG", "LC_ALL", "TZ",   NULL };

/* Never passed on: they speak of our own parent, or of another link. */
static const char *const private_names[] = { "NOTIFY_SOCKET",
					     "WATCHDOG_USEC",
					     "WATCHDOG_PID",
					     "LISTEN_FDS",
					     "LISTEN_PID",
					     "LISTEN_FDNAMES",
					     "NODE_CHANNEL_FD",
					     "NODE_UNIQUE_ID",
					     "NODE_CHANNEL_SERIALIZATION_MODE",
					     "LIMPET_LINK_FD",
					     "LIMPET_SOCKET",
					     "INVOCATION_ID",
					     "JOURNAL_STREAM",
					     NULL };

/* As systemd tells of sockets; the child writes its pid over the noughts. Source: sd_listen_fds(3).
 */
static void set_listen(struct environment *e)
{
	environment_set(e, "LISTEN_FDS", "1");
	environment_set(e, "LISTEN_FDNAMES", "limpet");
	environment_set(e, "LISTEN_PID", "00000000000");
}

static void set_proxied(struct environment *e, const struct worker *w)
{
	if (w->address.any.sa_family == AF_UNIX)
		environment_set(e, "LIMPET_SOCKET", w->address.local.sun_path);
	if (w->pool->delivery == DELIVERY_LISTEN)
		set_listen(e);
}

static void set_delivery(struct environment *e, const struct worker *w)
{
	if (w->pool->proxied) {
		set_proxied(e, w);
		return;
	}
	if (w->pool->delivery != DELIVERY_NODE) {
		environment_set(e, "LIMPET_LINK_FD", "3");
		return;
	}
	environment_set(e, "NODE_CHANNEL_FD", "3");
	environment_set(e, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
	environment_setf(e, "NODE_UNIQUE_ID", "%zu",
			 w->index + 1); /* cluster.worker.id, for life */
}

static void set_identity(struct environment *e, const struct pool_config *pool)
{
	struct process_identity who;
	struct error ignored;

	if (!pool->user[0] || !process_identify(pool->user, pool->group, &who, &ignored))
		return;
	environment_set(e, "USER", who.name);
	environment_set(e, "LOGNAME", who.name);
	environment_set(e, "HOME", who.home);
}

static void begin(struct environment *e, const struct pool_config *pool, size_t slot,
		  char *const *ours)
{
	environment_inherit(e, ours, pool->clear_environment ? kept_names : NULL);
	for (const char *const *name = private_names; *name; name++)
		environment_remove(e, *name);
	set_identity(e, pool);
	environment_set(e, "LIMPET_POOL", pool->name);
	environment_setf(e, "LIMPET_SLOT", "%zu", slot);
}

static void add_users(struct environment *e, const struct pool_config *pool, size_t slot)
{
	for (size_t i = 0; i < pool->environment.count; i++) {
		char *item = config_expand(pool, pool->environment.items[i], slot);

		environment_put(e, item);
		free(item);
	}
}

void pool_environment(struct environment *e, const struct pool_config *pool, size_t slot,
		      char *const *ours)
{
	begin(e, pool, slot, ours);
	add_users(e, pool, slot);
}

void worker_environment(struct environment *e, const struct worker *w, const char *notify_path,
			char *const *ours)
{
	const struct pool_config *pool = w->pool;

	begin(e, pool, w->index, ours);
	environment_setf(e, "LIMPET_GENERATION", "%llu",
			 (unsigned long long)w->child.slot.generation);
	environment_setf(e, "NODE_APP_INSTANCE", "%zu", w->index);
	environment_set(e, "NOTIFY_SOCKET", notify_path);
	if (pool->watchdog_timeout > 0)
		environment_setf(e, "WATCHDOG_USEC", "%lld",
				 (long long)pool->watchdog_timeout * 1000);
	if (pool->port > 0)
		environment_setf(e, "PORT", "%" PRIu64, pool->port + w->index);
	add_users(e, pool, w->index);
	set_delivery(e, w);
	node_preload_environment(e, w);
}

/* With errno. A directory has x bits too. */
static bool is_program(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || access(path, X_OK) < 0)
		return false;
	errno = EISDIR;
	return !S_ISDIR(st.st_mode);
}

static bool is_directory(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0 || (S_ISDIR(st.st_mode) && access(path, X_OK) < 0))
		return false;
	errno = ENOTDIR;
	return S_ISDIR(st.st_mode);
}

/* As execvp would look for it. */
static bool is_in_path(const struct pool_config *pool, const char *name)
{
	const char *path = getenv("PATH");
	char candidate[4096];

	for (size_t i = 0; i < pool->environment.count; i++) {
		if (strncmp(pool->environment.items[i], "PATH=", 5) == 0)
			path = pool->environment.items[i] + 5;
	}
	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t length = strcspn(path, ":");

		snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, name);
		if (is_program(candidate))
			return true;
		path += length + (path[length] == ':');
	}
	return false;
}

static bool is_startable(const struct pool_config *pool, const char *program, struct error *e)
{
	char path[4096];

	if (!strchr(program, '/')) {
		if (is_in_path(pool, program))
			return true;
		return error_set(e, "pool %s: command: there is no \"%s\" in PATH", pool->name,
				 program);
	}
	snprintf(path, sizeof path, "%s%s%s", program[0] == '/' ? "" : pool->directory,
		 program[0] == '/' || !pool->directory[0] ? "" : "/", program);
	if (is_program(path))
		return true;
	return error_set(e, "pool %s: command: %s: %s", pool->name, path, strerror(errno));
}

bool worker_check(const struct pool_config *pool, struct error *e)
{
	char **argv = config_argv(pool, 0);
	bool good = is_startable(pool, argv[0], e);

	config_argv_free(&argv);
	if (good && pool->directory[0] && !strchr(pool->directory, '%') &&
	    !is_directory(pool->directory))
		return error_set(e, "pool %s: directory %s: %s", pool->name, pool->directory,
				 strerror(errno));
	return good;
}
