/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/setup.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/manager.h"
#include "supervisor/pid_file.h"
#include "supervisor/role_process.h"
#include "supervisor/seed.h"
#include "supervisor/worker_socket.h"

static const char *environment_or_null(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] == '/' ? value : NULL;
}

/* What the configuration says, else systemd's, else the usual place of root or of a user. */
static void state_directory(const struct supervisor *s, char *out, size_t size)
{
	const char *systemd = environment_or_null("STATE_DIRECTORY"),
		   *xdg = environment_or_null("XDG_STATE_HOME");
	const char *home = environment_or_null("HOME");

	if (s->config->limpet.state_directory[0])
		snprintf(out, size, "%s", s->config->limpet.state_directory);
	else if (systemd)
		snprintf(out, size, "%s", systemd);
	else if (geteuid() == 0)
		snprintf(out, size, "/var/lib/limpet");
	else if (xdg)
		snprintf(out, size, "%s/limpet", xdg);
	else
		snprintf(out, size, "%s/.local/state/limpet", home ? home : "/tmp");
}

static bool load_seed(struct supervisor *s, struct error *e)
{
	char directory[3072], path[4096];

	state_directory(s, directory, sizeof directory);
	if (s->config->limpet.seed_file[0])
		snprintf(path, sizeof path, "%s", s->config->limpet.seed_file);
	else
		snprintf(path, sizeof path, "%s/limpet.seed", directory);
	return seed_load(path, &s->seed, e);
}

static bool make_directory(const char *path, struct error *e)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return error_set(e, "runtime_directory %s: %s", path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(e, "runtime_directory %s is not a directory", path);
	if (st.st_uid != geteuid())
		return error_set(e,
				 "runtime_directory %s belongs to uid %u and not to us (uid %u): "
				 "name another directory",
				 path, st.st_uid, geteuid());
	if (st.st_mode & 022)
		return error_set(e,
				 "runtime_directory %s can be written by others (mode %04o): "
				 "chmod go-w %s, or name another directory",
				 path, st.st_mode & 07777u, path);
	return true;
}

static bool make_temporary(struct supervisor *s, struct error *e)
{
	snprintf(s->runtime_directory, sizeof s->runtime_directory, "/tmp/limpet-XXXXXX");
	if (!mkdtemp(s->runtime_directory) || chmod(s->runtime_directory, 0711) < 0)
		return error_set(e, "%s: %s", s->runtime_directory, strerror(errno));
	s->runtime_directory_is_ours = true;
	return true;
}

static bool runtime_directory(struct supervisor *s, struct error *e)
{
	const char *systemd = environment_or_null("RUNTIME_DIRECTORY"),
		   *xdg = environment_or_null("XDG_RUNTIME_DIR");
	const char *wanted = s->config->limpet.runtime_directory;

	if (wanted[0] || systemd)
		snprintf(s->runtime_directory, sizeof s->runtime_directory, "%s",
			 wanted[0] ? wanted : systemd);
	else if (geteuid() == 0)
		snprintf(s->runtime_directory, sizeof s->runtime_directory, "/run/limpet");
	else if (xdg)
		snprintf(s->runtime_directory, sizeof s->runtime_directory, "%s/limpet", xdg);
	else
		return make_temporary(s, e);
	return make_directory(s->runtime_directory, e);
}

/* Who acceptor and relays will be. As an ordinary user: who we are. */
static bool identify(struct supervisor *s, struct error *e)
{
	const struct limpet_config *limpet = &s->config->limpet;
	const char *user = limpet->user;

	if (geteuid() != 0) {
		if (user[0] || limpet->relay_user[0])
			log_warning("%s = %s has no effect: Limpet was not started as root",
				    user[0] ? "user" : "relay_user",
				    user[0] ? user : limpet->relay_user);
		return true;
	}
	if (!user[0])
		user = getpwnam("limpet") ? "limpet" : "nobody";
	if (!process_identify(user, limpet->group, &s->identity, e))
		return false;
	s->relay_identity = s->identity;
	return !limpet->relay_user[0] ||
	       process_identify(limpet->relay_user, "", &s->relay_identity, e);
}

static bool check_commands(const struct supervisor *s, struct error *e)
{
	for (size_t i = 0; i < s->config->pool_count; i++) {
		if (s->config->pools[i].locals > 0 && !worker_check(&s->config->pools[i], e))
			return false;
	}
	return true;
}

static unsigned long somaxconn(void)
{
	unsigned long value = 4096;
	FILE *in = fopen("/proc/sys/net/core/somaxconn", "re");

	if (in && fscanf(in, "%lu", &value) != 1)
		value = 4096;
	if (in)
		fclose(in);
	return value;
}

/* The kernel cuts a backlog without a word. */
static void check_backlog(const struct listen_config *config)
{
	if (config->backlog > somaxconn())
		log_warning("listen %s: backlog = %llu is cut to %lu: raise net.core.somaxconn",
			    config->name, (unsigned long long)config->backlog, somaxconn());
}

/* Do relays of this listener give clients to the acceptor? */
static bool gives(const struct config *all, const struct listen_config *config)
{
	bool some = !all->pools[config->pool_index].proxied;

	for (size_t i = 0; i < config->sni.count; i++)
		some = some || !all->pools[config->sni.items[i].pool_index].proxied;
	return config->relayed && some;
}

static bool open_one(struct supervisor *s, size_t index, const struct address *address,
		     struct error *e)
{
	const struct listen_config *config = &s->config->listens[index];
	struct listener_spec spec = {
		.local = *address,
		.type = SOCK_STREAM,
		.v6only = config->v6only,
		.dual_fallback = !config->v6only,
		.backlog = (unsigned)config->backlog,
		.sockets = config->relayed ? s->relay_count : 1,
		.by_client = config->max_per_client > 0,
	};
	int error = 0;
	struct listener *l =
		listener_open(&spec, true, s->inherited, s->inherited_count, &error, e);

	if (!l)
		return false;
	l->described.id = s->next_listener++;
	l->described.listen = (uint32_t)index;
	l->described.pool = (uint32_t)config->pool_index;
	l->described.use = LISTENER_ACCEPT;
	l->described.type = SOCK_STREAM;
	l->relayed = config->relayed;
	l->gives = gives(s->config, config);
	TAILQ_INSERT_TAIL(&s->listeners, l, link);
	return true;
}

static bool open_listeners(struct supervisor *s, struct error *e)
{
	s->inherited_count =
		manager_sockets(s->inherited, sizeof s->inherited / sizeof *s->inherited);
	for (size_t i = 0; i < s->config->listen_count; i++) {
		const struct address_list *bind = &s->config->listens[i].bind;

		check_backlog(&s->config->listens[i]);
		for (size_t b = 0; b < bind->count; b++) {
			if (!open_one(s, i, &bind->items[b], e))
				return false;
		}
	}
	return true;
}

/* The bytes that every role parses: exactly what -T prints. */
static bool share_config(struct supervisor *s, struct error *e)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return error_set(e, "memory: %s", strerror(errno));
	config_print(s->config, out);
	fclose(out);
	s->config_fd = fd_sealed("limpet-config", text, length);
	free(text);
	if (s->config_fd < 0)
		return error_set(e, "memfd: %s", strerror(errno));
	return true;
}

static bool make_roles(struct supervisor *s, struct error *e)
{
	const size_t wanted = s->config->needs_relays ? s->config->limpet.relays : 0;

	if (!role_process_prepare(&s->warden, &warden_description, 0, e) ||
	    !role_process_prepare(&s->acceptor, &acceptor_description, 0, e))
		return false;
	s->relays = calloc(wanted + 1, sizeof *s->relays);
	if (!s->relays)
		return error_set(e, "no memory for %zu relays", wanted);
	for (; s->relay_count < wanted; s->relay_count++) {
		if (!role_process_prepare(&s->relays[s->relay_count], &relay_description,
					  s->relay_count, e))
			return false;
	}
	return true;
}

static bool make_workers(struct supervisor *s, struct error *e)
{
	for (size_t i = 0; i < s->config->pool_count; i++)
		s->worker_count += s->config->pools[i].locals;
	s->workers = calloc(s->worker_count + 1, sizeof *s->workers);
	if (!s->workers)
		return error_set(e, "no memory for %zu workers", s->worker_count);
	return true;
}

/* Sockets that workers inherit are opened now: what is in the way is said before anything runs. */
static bool begin_workers(struct supervisor *s, struct error *e)
{
	for (size_t i = 0, n = 0; i < s->config->pool_count; i++) {
		const struct pool_config *pool = &s->config->pools[i];

		for (size_t slot = 0; slot < pool->locals; slot++, n++) {
			worker_begin(&s->workers[n], s, pool, slot);
			if (!worker_socket_open(&s->workers[n], s->runtime_directory,
						&s->relay_identity, e))
				return false;
		}
	}
	return true;
}

static void write_to_logs(const char *line, size_t length, void *arg)
{
	(void)arg;
	logs_write(line, length);
}

static bool open_logs(struct supervisor *s, struct error *e)
{
	if (!logs_open(s->base, s->config->limpet.log_file, e))
		return false;
	log_to_writer(write_to_logs, NULL);
	return true;
}

bool setup_all(struct supervisor *s, struct error *e)
{
	bool good;

	process_raise_limit();
	/* The log file last of what can fail for the person at the terminal: until then errors go
	 * to his screen. */
	good = check_commands(s, e) && pid_file_take(s->config->limpet.pid_file, e) &&
	       identify(s, e) && load_seed(s, e) && runtime_directory(s, e) && make_roles(s, e) &&
	       open_listeners(s, e) && share_config(s, e) && make_workers(s, e) &&
	       begin_workers(s, e) && open_logs(s, e);

	manager_forget_environment();
	return good;
}

void setup_close_listeners(struct supervisor *s)
{
	struct listener *l;

	while ((l = TAILQ_FIRST(&s->listeners))) {
		TAILQ_REMOVE(&s->listeners, l, link);
		listener_close(&l);
	}
}

void setup_undo(struct supervisor *s)
{
	setup_close_listeners(s);
	for (size_t i = 0; i < s->inherited_count; i++)
		fd_close(&s->inherited[i]);
	pid_file_drop();
	if (s->runtime_directory_is_ours)
		rmdir(s->runtime_directory);
}

static const char *scheme_of(const struct supervisor *s, const struct listener *l)
{
	const struct listen_config *config = l->described.listen < s->config->listen_count
						     ? &s->config->listens[l->described.listen]
						     : NULL;

	if (l->described.local.any.sa_family == AF_UNIX)
		return "";
	return config && (config->tls[0] || config->tls_passthrough) ? "https://" : "http://";
}

void setup_describe_listeners(const struct supervisor *s, char *out, size_t size)
{
	const struct listener *l;
	size_t used = 0;

	snprintf(out, size, "nothing");
	TAILQ_FOREACH (l, &s->listeners, link) {
		int n;

		if (l->described.use != LISTENER_ACCEPT || used >= size)
			continue;
		n = snprintf(out + used, size - used, "%s%s%s", used ? ", " : "", scheme_of(s, l),
			     l->name);
		used += n > 0 ? (size_t)n : 0;
	}
}
