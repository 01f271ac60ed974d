/* Why: config_check.h. One function per rule; each sentence tells what to write.
 * SPDX-License-Identifier: ISC */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/command.h"
#include "config/config_check.h"
#include "config/nearest.h"
#include "config/npm_command.h"
#include "config/origin.h"

#define BINDS_MOST 1024

/* Without an option the head of the section is to blame. */
static bool blame(const struct config *config, enum section_kind kind, size_t section,
		  const char *option, size_t item, struct error *e)
{
	const struct option *row = option ? option_find(&option_tables[kind], option) : NULL;

	return ini_place_error(origins_place(config->origins, kind, section, row, item), e);
}

static bool blame_pool(const struct config *config, const struct pool_config *pool,
		       const char *option, struct error *e)
{
	return blame(config, SECTION_POOL, pool->index, option, 0, e);
}

static bool blame_listen(const struct config *config, const struct listen_config *listen,
			 const char *option, struct error *e)
{
	return blame(config, SECTION_LISTEN, (size_t)(listen - config->listens), option, 0, e);
}

static bool check_required(const struct config *config, enum section_kind kind, size_t section,
			   const char *name, const void *object, struct error *e)
{
	const struct option_table *table = &option_tables[kind];

	for (size_t i = 0; i < table->count; i++) {
		const struct option *row = &table->rows[i];

		if (row->standard || !option_is_empty(row, object))
			continue;
		error_set(e, "[%s:%s] has no %s; write, for example, %s = %s", table->section, name,
			  row->name, row->name, option_example(row));
		return blame(config, kind, section, row->name, 0, e);
	}
	return true;
}

static bool check_presence(struct config *config, struct error *e)
{
	for (size_t i = 0; i < config->pool_count; i++)
		if (!check_required(config, SECTION_POOL, i, config->pools[i].name,
				    &config->pools[i], e))
			return false;
	for (size_t i = 0; i < config->listen_count; i++)
		if (!check_required(config, SECTION_LISTEN, i, config->listens[i].name,
				    &config->listens[i], e))
			return false;
	if (config->pool_count > 0)
		return true;
	error_set(e, "there is no pool: add [pool:app] with, for example, command = node app.js");
	return ini_place_error(origins_file(config->origins), e);
}

static bool pool_unknown(const struct config *config, const struct listen_config *listen,
			 struct error *e)
{
	struct nearest nearest = nearest_begin(listen->pool);

	for (size_t i = 0; i < config->pool_count; i++)
		nearest_offer(&nearest, config->pools[i].name);
	if (nearest.best)
		error_set(e, "there is no [pool:%.80s]; did you mean pool = %s?", listen->pool,
			  nearest.best);
	else
		error_set(e, "there is no [pool:%.80s]; the first pool is %s", listen->pool,
			  config->pools[0].name);
	return blame_listen(config, listen, "pool", e);
}

static bool check_listen_pool(struct config *config, struct listen_config *listen, struct error *e)
{
	listen->pool_index = 0;
	if (*listen->pool == '\0' && config->pool_count > 1) {
		error_set(e,
			  "[listen:%s] does not say which pool gets its clients; write pool = %s, "
			  "for example",
			  listen->name, config->pools[0].name);
		return blame_listen(config, listen, "pool", e);
	}
	if (*listen->pool == '\0')
		return true;
	for (size_t i = 0; i < config->pool_count; i++) {
		if (strcmp(config->pools[i].name, listen->pool) == 0) {
			listen->pool_index = i;
			return true;
		}
	}
	return pool_unknown(config, listen, e);
}

static bool bind_twice(const struct config *config, const struct listen_config *first,
		       size_t first_item, const struct listen_config *second, size_t second_item,
		       struct error *e)
{
	const struct option *bind = option_find(&option_tables[SECTION_LISTEN], "bind");
	struct ini_place place = origins_place(config->origins, SECTION_LISTEN,
					       (size_t)(first - config->listens), bind, first_item);
	char text[ADDRESS_TEXT];

	address_print(&second->bind.items[second_item], text);
	if (place.line > 0)
		error_set(e, "bind = %s is in [listen:%s] already, at %.200s:%u", text, first->name,
			  place.file, place.line);
	else
		error_set(e, "bind = %s is in [listen:%s] already", text, first->name);
	return blame(config, SECTION_LISTEN, (size_t)(second - config->listens), "bind",
		     second_item, e);
}

/* Port 0 is a fresh port for each. */
static bool address_clashes(const struct address *a, const struct address *b)
{
	return address_equal(a, b) && (a->any.sa_family == AF_UNIX || address_port(a) != 0);
}

static bool check_bind(const struct config *config, const struct listen_config *listen, size_t item,
		       struct error *e)
{
	for (const struct listen_config *other = config->listens; other <= listen; other++) {
		size_t count = other == listen ? item : other->bind.count;

		for (size_t i = 0; i < count; i++)
			if (address_clashes(&other->bind.items[i], &listen->bind.items[item]))
				return bind_twice(config, other, i, listen, item, e);
	}
	return true;
}

static bool check_bind_count(const struct config *config, struct error *e)
{
	size_t count = 0;

	for (size_t i = 0; i < config->listen_count; i++) {
		count += config->listens[i].bind.count;
		if (count <= BINDS_MOST)
			continue;
		error_set(e, "more than %d addresses to listen on", BINDS_MOST);
		return blame_listen(config, &config->listens[i], "bind", e);
	}
	return true;
}

static bool check_listens(struct config *config, struct error *e)
{
	if (!check_bind_count(config, e))
		return false;
	for (size_t i = 0; i < config->listen_count; i++) {
		struct listen_config *listen = &config->listens[i];

		if (!check_listen_pool(config, listen, e))
			return false;
		for (size_t item = 0; item < listen->bind.count; item++)
			if (!check_bind(config, listen, item, e))
				return false;
	}
	return true;
}

/* "NODE_ENV=production node app.js" is for a shell. */
static bool check_words(const char *command, struct error *e)
{
	char **words = command_split(command, e);
	bool good = words != NULL;
	size_t name;

	if (!words)
		return false;
	name = strcspn(words[0], "=/");
	if (words[0][name] == '=')
		good = error_set(
			e,
			"it begins with an assignment; write environment = %.80s in a line of "
			"its own",
			words[0]);
	command_words_free(&words);
	return good;
}

static bool check_command(struct config *config, struct pool_config *pool, struct error *e)
{
	struct error sentence = { .text = "" };

	if (command_escapes_check(pool->command, &sentence) &&
	    (pool->shell || check_words(pool->command, &sentence)))
		return true;
	error_set(e, "command: %.900s", sentence.text);
	return blame_pool(config, pool, "command", e);
}

static bool check_directory(struct config *config, struct pool_config *pool, struct error *e)
{
	struct error sentence = { .text = "" };

	if (command_escapes_check(pool->directory, &sentence))
		return true;
	error_set(e, "directory: %.900s", sentence.text);
	return blame_pool(config, pool, "directory", e);
}

static bool check_environment(struct config *config, struct pool_config *pool, struct error *e)
{
	struct error sentence = { .text = "" };

	for (size_t i = 0; i < pool->environment.count; i++) {
		const char *item = pool->environment.items[i];

		if (!strchr(item, '=') || *item == '=')
			error_set(e, "environment: \"%.80s\" is not NAME=value", item);
		else if (!command_escapes_check(item, &sentence))
			error_set(e, "environment: %.900s", sentence.text);
		else
			continue;
		return blame(config, SECTION_POOL, pool->index, "environment", i, e);
	}
	return true;
}

static bool check_delays(struct config *config, struct pool_config *pool, struct error *e)
{
	const struct option *first = option_find(&option_tables[SECTION_POOL], "restart_delay");

	if (pool->restart_delay <= pool->restart_delay_max)
		return true;
	error_set(e, "restart_delay is longer than restart_delay_max; make restart_delay_max the "
		     "longer one");
	if (origins_count(config->origins, SECTION_POOL, pool->index, first) > 0)
		return blame_pool(config, pool, "restart_delay", e);
	return blame_pool(config, pool, "restart_delay_max", e);
}

static bool check_weights(struct config *config, struct pool_config *pool, struct error *e)
{
	for (size_t i = 0; i < pool->weight.count; i++) {
		size_t slot = pool->weight.items[i].slot;

		if (slot == SIZE_MAX || slot < pool->instances)
			continue;
		error_set(e, "weight: there is no slot %zu; instances = %llu makes slots 0 to %llu",
			  slot, (unsigned long long)pool->instances,
			  (unsigned long long)pool->instances - 1);
		return blame_pool(config, pool, "weight", e);
	}
	return true;
}

static bool check_port(struct config *config, struct pool_config *pool, struct error *e)
{
	if (pool->port == 0 || pool->port + pool->instances - 1 <= 65535)
		return true;
	error_set(e, "port: the last of %llu slots would get port %llu; write port = %llu or less",
		  (unsigned long long)pool->instances,
		  (unsigned long long)(pool->port + pool->instances - 1),
		  (unsigned long long)(65536 - pool->instances));
	return blame_pool(config, pool, "port", e);
}

/* Settles `auto`, so that nobody after us looks at files again. */
static bool check_delivery(struct config *config, struct pool_config *pool, struct error *e)
{
	if (!npm_command_resolve(pool, e))
		return blame_pool(config, pool, "command", e);
	pool->delivery = (int)config_delivery_of(pool);
	if (pool->delivery != DELIVERY_FD || !pool->adopt_ports)
		return true;
	error_set(e, "adopt_ports is for delivery = node; pool %s has delivery = fd", pool->name);
	return blame_pool(config, pool, "adopt_ports", e);
}

static bool check_reach(struct config *config, struct pool_config *pool, struct error *e)
{
	bool node = pool->delivery == DELIVERY_NODE;

	if (node && pool->adopt_ports)
		return true;
	for (size_t i = 0; i < config->listen_count; i++)
		if (config->listens[i].pool_index == pool->index)
			return true;
	error_set(e,
		  "no listener brings clients to pool %s: add [listen:%s] with bind = :3000%s%s%s",
		  pool->name, pool->name, config->pool_count > 1 ? " and pool = " : "",
		  config->pool_count > 1 ? pool->name : "", node ? ", or adopt_ports = on" : "");
	return blame_pool(config, pool, NULL, e);
}

static bool check_pools(struct config *config, struct error *e)
{
	static bool (*const rules[])(struct config *, struct pool_config *, struct error *) = {
		check_command, check_directory, check_environment, check_delays,
		check_weights, check_port,      check_delivery,    check_reach,
	};

	for (size_t i = 0; i < config->pool_count; i++)
		for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++)
			if (!rules[rule](config, &config->pools[i], e))
				return false;
	return true;
}

/* The roles get the effective configuration, which ${VAR} can make longer than the file. */
static bool check_length(struct config *config, struct error *e)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		fatal("no memory for the configuration");
	config_print(config, out);
	fclose(out);
	free(text);
	if (length <= CONFIG_FILE_LIMIT)
		return true;
	error_set(e, "the effective configuration is longer than %u bytes", CONFIG_FILE_LIMIT);
	return ini_place_error(origins_file(config->origins), e);
}

bool config_check_whole(struct config *config, struct error *e)
{
	return check_presence(config, e) && check_listens(config, e) && check_pools(config, e) &&
	       check_length(config, e);
}

static bool name_unknown(const char *option, const char *name, struct error *e)
{
	return error_set(e, "%s: \"%.80s\" is unknown on this machine", option, name);
}

static bool check_names(const char *user, const char *group, const char **blamed, struct error *e)
{
	*blamed = "user";
	if (*user && !getpwnam(user))
		return name_unknown("user", user, e);
	*blamed = "group";
	return !*group || getgrnam(group) || name_unknown("group", group, e);
}

static bool check_pool_rights(const struct config *config, const struct pool_config *pool,
			      struct error *e)
{
	const char *blamed;

	if (!check_names(pool->user, pool->group, &blamed, e))
		return blame_pool(config, pool, blamed, e);
	if (geteuid() == 0 || (!*pool->user && !*pool->group))
		return true;
	blamed = *pool->user ? "user" : "group";
	error_set(e,
		  "%s: only root can start workers as somebody else; start Limpet as root or take "
		  "the "
		  "line out",
		  blamed);
	return blame_pool(config, pool, blamed, e);
}

bool config_check_rights(const struct config *config, struct error *e)
{
	const char *blamed;

	if (!check_names(config->limpet.user, config->limpet.group, &blamed, e))
		return blame(config, SECTION_LIMPET, 0, blamed, 0, e);
	for (size_t i = 0; i < config->pool_count; i++)
		if (!check_pool_rights(config, &config->pools[i], e))
			return false;
	return true;
}
