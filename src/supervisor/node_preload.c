/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/node_preload.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/log_text.h"
#include "supervisor/supervisor.h"
#include "wire/tls_path.h"

/* Where `make install` puts it. */
#ifndef LIMPET_SHARE
#define LIMPET_SHARE "/usr/local/share/limpet"
#endif
#define FILE_NAME "limpet-node.cjs"
/* The kernel takes 128 KiB for one variable (MAX_ARG_STRLEN). */
#define TLS_TEXT_MAX (120u << 10)

/* --- Which listeners lead to the pool --- */

static bool leads_to(const struct listen_config *listen, const struct pool_config *pool)
{
	if (listen->pool_index == pool->index)
		return true;
	for (size_t i = 0; i < listen->sni.count; i++) {
		if (listen->sni.items[i].pool_index == pool->index)
			return true;
	}
	return false;
}

static bool ends_in_worker(const struct listen_config *listen)
{
	return listen->tls_index != SIZE_MAX && !listen->relayed;
}

static bool needs_preload(const struct config *config, const struct pool_config *pool)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct listen_config *listen = &config->listens[i];

		if (leads_to(listen, pool) && (listen->tls_index != SIZE_MAX ||
					       listen->proxy_protocol == PROXY_PROTOCOL_REQUIRE))
			return true;
	}
	return false;
}

/* Does the pool end the TLS of this section by itself? */
static bool decrypts(const struct config *config, const struct pool_config *pool, size_t tls)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct listen_config *listen = &config->listens[i];

		if (leads_to(listen, pool) && ends_in_worker(listen) && listen->tls_index == tls)
			return true;
	}
	return false;
}

/* --- NODE_OPTIONS --- */

/* Into `out`; false: it is not there. */
static bool try_path(char out[PATH_MAX], const char *directory, const char *below)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s%s/" FILE_NAME, directory, below) >= PATH_MAX)
		return false;
	return access(out, R_OK) == 0;
}

/* LIMPET_SHARE of our own environment, then beside the program (the build tree has it below itself,
 * an installation as sbin and share), then where it was configured to be. */
static bool find_file(char out[PATH_MAX])
{
	const char *told = getenv("LIMPET_SHARE");
	char program[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

	if (told && *told)
		return try_path(out, told, "");
	program[length > 0 ? length : 0] = '\0';
	slash = strrchr(program, '/');
	if (slash) {
		*slash = '\0';
		if (try_path(out, program, "/share/limpet") ||
		    try_path(out, program, "/../share/limpet"))
			return true;
	}
	return try_path(out, LIMPET_SHARE, "");
}

/* In the form that NODE_OPTIONS wants: words are separated by spaces, double quotes hold them
 * together, and a backslash within takes the next character as it is (node(1)). */
static char *quote_word(const char *option, const char *path)
{
	const size_t option_length = strlen(option);
	const bool plain = path[strcspn(path, " \"\\")] == '\0';
	char *word = malloc(2 * strlen(path) + option_length + 3), *at = word;

	if (!word)
		fatal("out of memory");
	if (!plain)
		*at++ = '"';
	memcpy(at, option, option_length);
	at += option_length;
	for (; *path; path++) {
		if (!plain && (*path == '"' || *path == '\\'))
			*at++ = '\\';
		*at++ = *path;
	}
	if (!plain)
		*at++ = '"';
	*at = '\0';
	return word;
}

static void append_option(struct environment *e, const char *word)
{
	const char *before = environment_get(e, "NODE_OPTIONS");
	char *all;

	if (asprintf(&all, "%s%s%s", before ? before : "", before && *before ? " " : "", word) < 0)
		fatal("out of memory");
	environment_set(e, "NODE_OPTIONS", all);
	free(all);
}

static bool require_file(struct environment *e, const struct pool_config *pool)
{
	static struct log_limit limit;
	char path[PATH_MAX];
	char *word;

	if (!find_file(path)) {
		if (log_limit_pass(&limit))
			log_line(LOG_ERROR, pool->name,
				 FILE_NAME
				 " is not found (in " LIMPET_SHARE
				 "): its Node workers cannot know the addresses of "
				 "clients behind TLS or PROXY headers, and cannot end TLS");
		return false;
	}
	word = quote_word("--require=", path);
	append_option(e, word);
	environment_set(e, "LIMPET_PRELOAD", word);
	free(word);
	return true;
}

/* --- LIMPET_TLS --- */

static void add_quoted(struct log_text *out, const char *text)
{
	log_text_add(out, "\"");
	log_text_escape(out, LOG_TEXT_JSON, text, strlen(text));
	log_text_add(out, "\"");
}

static void add_text(struct log_text *out, const char *name, const char *text)
{
	log_text_add(out, ",\"%s\":", name);
	add_quoted(out, text);
}

/* The worker's working directory is its own, so a path is told from the root. */
static void add_path(struct log_text *out, const char *path)
{
	char here[PATH_MAX], whole[2 * PATH_MAX];

	if (path[0] == '/' || path[0] == '\0' || !getcwd(here, sizeof here)) {
		add_quoted(out, path);
		return;
	}
	snprintf(whole, sizeof whole, "%s/%s", here, path);
	add_quoted(out, whole);
}

static void add_named_path(struct log_text *out, const char *name, const char *path)
{
	log_text_add(out, ",\"%s\":", name);
	add_path(out, path);
}

static void add_paths(struct log_text *out, const char *name, const struct string_list *paths)
{
	log_text_add(out, "\"%s\":[", name);
	for (size_t i = 0; i < paths->count; i++) {
		log_text_add(out, "%s", i > 0 ? "," : "");
		add_path(out, paths->items[i]);
	}
	log_text_add(out, "]");
}

static void add_section(struct log_text *out, const struct tls_config *tls)
{
	static const char *const versions[] = { "auto", "1.2", "1.3" };
	static const char *const verifies[] = { "off", "optional", "require" };

	add_quoted(out, tls->name);
	log_text_add(out, ":{");
	add_paths(out, "certificates", &tls->certificate);
	log_text_add(out, ",");
	add_paths(out, "keys", &tls->key);
	add_named_path(out, "directory", tls->directory);
	add_named_path(out, "clientCa", tls->client_ca);
	add_named_path(out, "crl", tls->crl);
	add_text(out, "policy", tls->policy == TLS_MODERN ? "modern" : "intermediate");
	add_text(out, "minVersion", versions[tls->min_version]);
	add_text(out, "verify", verifies[tls->verify]);
	add_text(out, "ciphers", tls->ciphers);
	add_text(out, "ciphersuites", tls->ciphersuites);
	add_text(out, "groups", tls->groups);
	add_text(out, "alpn", tls->alpn);
	log_text_add(out, ",\"sniStrict\":%s,\"handshakeTimeout\":%lld,\"watchInterval\":%lld}",
		     tls->sni_strict ? "true" : "false", (long long)tls->handshake_timeout,
		     (long long)tls->watch_interval);
}

static void tell_sections(struct environment *e, const struct config *config,
			  const struct pool_config *pool)
{
	struct log_text out = { .data = malloc(TLS_TEXT_MAX), .size = TLS_TEXT_MAX };
	bool is_first = true;

	if (!out.data)
		fatal("out of memory");
	log_text_add(&out, "{");
	for (size_t i = 0; i < config->tls_count; i++) {
		if (!decrypts(config, pool, i))
			continue;
		log_text_add(&out, "%s", is_first ? "" : ",");
		add_section(&out, &config->tlss[i]);
		is_first = false;
	}
	log_text_add(&out, "}");
	out.data[out.length] = '\0';
	if (out.cut)
		log_line(LOG_ERROR, pool->name,
			 "its [tls] sections are longer than %u bytes, more than a worker can be "
			 "told: its TLS clients are refused",
			 TLS_TEXT_MAX);
	else if (!is_first)
		environment_set(e, "LIMPET_TLS", out.data);
	free(out.data);
}

/* --- Can the worker read them? --- */

static bool try_file(const struct tls_path *path, void *arg, struct error *e)
{
	int fd = open(path->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	(void)arg;
	if (fd < 0)
		return error_set(e, "%s: %s", path->path, strerror(errno));
	fd_close(&fd);
	return true;
}

/* In a process of its own, since it becomes another user. */
static void __attribute__((noreturn))
try_all(const struct process_identity *who, const struct tls_config *tls, int answer)
{
	struct error e = { "" };

	if (who->change &&
	    (initgroups(who->name, who->gid) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
	     setresuid(who->uid, who->uid, who->uid) < 0))
		error_write(&e, "cannot become %s: %s", who->name, strerror(errno));
	else
		tls_path_each(tls, try_file, NULL, &e);
	if (e.text[0] && write(answer, e.text, strlen(e.text)) < 0)
		_exit(1);
	_exit(0);
}

/* "" in e_r: all of them. */
static void ask_whether_readable(const struct process_identity *who, const struct tls_config *tls,
				 struct error *e_r)
{
	int ends[2], status;
	ssize_t length;
	pid_t pid;

	e_r->text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0)
		try_all(who, tls, ends[1]);
	fd_close(&ends[1]);
	length = pid < 0 ? 0 : read(ends[0], e_r->text, sizeof e_r->text - 1);
	e_r->text[length > 0 ? length : 0] = '\0';
	fd_close(&ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
}

static void check_files(const struct config *config, const struct pool_config *pool)
{
	struct process_identity who = { .change = false };
	struct error e = { "" };

	if (pool->user[0] && !process_identify(pool->user, pool->group, &who, &e))
		return; /* said where the worker is started */
	for (size_t i = 0; i < config->tls_count; i++) {
		if (!decrypts(config, pool, i))
			continue;
		ask_whether_readable(&who, &config->tlss[i], &e);
		if (e.text[0])
			log_line(LOG_ERROR, pool->name,
				 "tls_at = worker, and its workers (user %s) cannot read a file of "
				 "[tls:%s]: %s: they refuse these clients",
				 who.change ? who.name : "of limpet", config->tlss[i].name, e.text);
	}
}

void node_preload_environment(struct environment *e, const struct worker *w)
{
	const struct supervisor *s = w->child.owner;
	const struct pool_config *pool = w->pool;

	if (!s || pool->delivery != DELIVERY_NODE || !needs_preload(s->config, pool) ||
	    !require_file(e, pool) || pool->tls_at != TLS_AT_WORKER)
		return;
	tell_sections(e, s->config, pool);
	if (w->index == 0 && w->child.slot.generation == 1)
		check_files(s->config, pool);
}
