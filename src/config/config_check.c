/* Why: config_check.h; what concerns no one kind of section, and the order of it all. One function
 * per rule; each sentence tells what to write.
 * SPDX-License-Identifier: ISC */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config_check.h"
#include "config/origin.h"

#define BINDS_MOST 1024

bool config_blame(const struct config *config, enum section_kind kind, size_t section,
		  const char *option, size_t item, struct error *e)
{
	const struct option *row = option ? option_find(&option_tables[kind], option) : NULL;

	return ini_place_error(origins_place(config->origins, kind, section, row, item), e);
}

bool config_blame_pool(const struct config *config, const struct pool_config *pool,
		       const char *option, struct error *e)
{
	return config_blame(config, SECTION_POOL, pool->index, option, 0, e);
}

bool config_blame_listen(const struct config *config, const struct listen_config *listen,
			 const char *option, size_t item, struct error *e)
{
	return config_blame(config, SECTION_LISTEN, (size_t)(listen - config->listens), option,
			    item, e);
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
		return config_blame(config, kind, section, row->name, 0, e);
	}
	return true;
}

static bool check_presence(struct config *config, struct error *e)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (!check_required(config, SECTION_LISTEN, i, config->listens[i].name,
				    &config->listens[i], e))
			return false;
	if (config->pool_count > 0)
		return true;
	error_set(e, "there is no pool: add [pool:app] with, for example, command = node app.js");
	return ini_place_error(origins_file(config->origins), e);
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
	return config_blame_listen(config, second, "bind", second_item, e);
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
		return config_blame_listen(config, &config->listens[i], "bind", 0, e);
	}
	return true;
}

static bool check_binds(const struct config *config, struct error *e)
{
	if (!check_bind_count(config, e))
		return false;
	for (size_t i = 0; i < config->listen_count; i++)
		for (size_t item = 0; item < config->listens[i].bind.count; item++)
			if (!check_bind(config, &config->listens[i], item, e))
				return false;
	return true;
}

/* Whom one can ask: an address with a port, not a path and not "any". */
static bool is_name_server(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr != INADDR_ANY && address_port(address) != 0;
	return address->any.sa_family == AF_INET6 &&
	       !IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr) && address_port(address) != 0;
}

static bool check_resolver(const struct config *config, struct error *e)
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < config->limpet.resolver.count; i++) {
		const struct address *address = &config->limpet.resolver.items[i];

		if (is_name_server(address))
			continue;
		error_set(e, "resolver: %s is no name server; write, for example, 127.0.0.1:53",
			  address_print(address, text));
		return config_blame(config, SECTION_LIMPET, 0, "resolver", i, e);
	}
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
	return check_presence(config, e) && check_resolver(config, e) && check_binds(config, e) &&
	       config_check_pools(config, e) && config_check_listens(config, e) &&
	       config_check_tls(config, e) && check_length(config, e);
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
		return config_blame_pool(config, pool, blamed, e);
	if (geteuid() == 0 || (!*pool->user && !*pool->group))
		return true;
	blamed = *pool->user ? "user" : "group";
	error_set(e,
		  "%s: only root can start workers as somebody else; start Limpet as root or take "
		  "the line out",
		  blamed);
	return config_blame_pool(config, pool, blamed, e);
}

bool config_check_rights(const struct config *config, struct error *e)
{
	const char *blamed;

	if (!check_names(config->limpet.user, config->limpet.group, &blamed, e))
		return config_blame(config, SECTION_LIMPET, 0, blamed, 0, e);
	if (*config->limpet.relay_user && !getpwnam(config->limpet.relay_user)) {
		name_unknown("relay_user", config->limpet.relay_user, e);
		return config_blame(config, SECTION_LIMPET, 0, "relay_user", 0, e);
	}
	for (size_t i = 0; i < config->pool_count; i++)
		if (!check_pool_rights(config, &config->pools[i], e))
			return false;
	return true;
}
