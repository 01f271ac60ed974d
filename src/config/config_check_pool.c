/* Why: config_check.h; what must agree within a pool, and what follows: how its workers are
 * reached, and how many slots it has. How they are reached by proxying is config_check_proxy.c.
 * SPDX-License-Identifier: ISC */
#include <string.h>

#include "config/command.h"
#include "config/config_check.h"
#include "config/config_check_pool.h"
#include "config/npm_command.h"
#include "config/option_type.h"
#include "config/origin.h"

static bool check_source(struct config *config, struct pool_config *pool, struct error *e)
{
	if (*pool->command || pool->server.count > 0)
		return true;
	error_set(e,
		  "[pool:%s] has neither command nor server; write, for example, command = node "
		  "app.js, or server = 10.0.0.1:8080",
		  pool->name);
	return config_blame_pool(config, pool, "command", e);
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

	if (*pool->command == '\0')
		return true;
	if (command_escapes_check(pool->command, &sentence) &&
	    (pool->shell || check_words(pool->command, &sentence)))
		return true;
	error_set(e, "command: %.900s", sentence.text);
	return config_blame_pool(config, pool, "command", e);
}

static bool check_directory(struct config *config, struct pool_config *pool, struct error *e)
{
	struct error sentence = { .text = "" };

	if (command_escapes_check(pool->directory, &sentence))
		return true;
	error_set(e, "directory: %.900s", sentence.text);
	return config_blame_pool(config, pool, "directory", e);
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
		return config_blame(config, SECTION_POOL, pool->index, "environment", i, e);
	}
	return true;
}

/* The longer one is to blame where it was written, else the one that should be longer. */
static bool blame_longer(const struct config *config, const struct pool_config *pool,
			 const char *longer, const char *shorter, struct error *e)
{
	const struct option *option = option_find(&option_tables[SECTION_POOL], longer);

	if (origins_count(config->origins, SECTION_POOL, pool->index, option) > 0)
		return config_blame_pool(config, pool, longer, e);
	return config_blame_pool(config, pool, shorter, e);
}

static bool check_delays(struct config *config, struct pool_config *pool, struct error *e)
{
	if (pool->restart_delay <= pool->restart_delay_max)
		return true;
	error_set(e, "restart_delay is longer than restart_delay_max; make restart_delay_max the "
		     "longer one");
	return blame_longer(config, pool, "restart_delay", "restart_delay_max", e);
}

static bool check_intervals(struct config *config, struct pool_config *pool, struct error *e)
{
	if (strcmp(pool->check, "off") == 0 || pool->check_timeout <= pool->check_interval)
		return true;
	error_set(e, "check_timeout is longer than check_interval; make check_interval the longer "
		     "one");
	return blame_longer(config, pool, "check_timeout", "check_interval", e);
}

static bool check_ages(struct config *config, struct pool_config *pool, struct error *e)
{
	if (pool->max_connection_age_jitter == 0 || pool->max_connection_age > 0)
		return true;
	error_set(e,
		  "max_connection_age_jitter is added to max_connection_age, which is 0 (never); "
		  "write max_connection_age = 1h, for example");
	return config_blame_pool(config, pool, "max_connection_age_jitter", e);
}

/* Settles what others only read: `auto`, so that nobody after us looks at files again, and the
 * numbers of slots. */
static bool check_delivery(struct config *config, struct pool_config *pool, struct error *e)
{
	if (!npm_command_resolve(pool, e))
		return config_blame_pool(config, pool, "command", e);
	pool->delivery = (int)config_delivery_of(pool);
	pool->proxied = pool->delivery == DELIVERY_PROXY || pool->delivery == DELIVERY_LISTEN;
	pool->locals = *pool->command ? pool->instances : 0;
	pool->slots = config_server_slot(pool, pool->server.count);
	return true;
}

static bool check_weights(struct config *config, struct pool_config *pool, struct error *e)
{
	for (size_t i = 0; i < pool->weight.count; i++) {
		size_t slot = pool->weight.items[i].slot;

		if (slot == SIZE_MAX || slot < pool->locals)
			continue;
		if (pool->locals > 0)
			error_set(e,
				  "weight: there is no slot %zu; instances = %zu makes slots 0 to "
				  "%zu",
				  slot, pool->locals, pool->locals - 1);
		else
			error_set(e,
				  "weight: slot %zu is none of ours, for pool %s has no command; "
				  "write weight=N behind a server",
				  slot, pool->name);
		return config_blame_pool(config, pool, "weight", e);
	}
	return true;
}

bool config_pool_refuses(struct config *config, const struct pool_config *pool, const char *option,
			 const char *deliveries, struct error *e)
{
	const struct option *delivery = option_find(&option_tables[SECTION_POOL], "delivery");

	error_set(e, "%s is for delivery = %s; pool %s has delivery = %s", option, deliveries,
		  pool->name, option_words(delivery)[pool->delivery]);
	return config_blame_pool(config, pool, option, e);
}

/* Options that mean something for some deliveries only. */
static bool check_fitting(struct config *config, struct pool_config *pool, struct error *e)
{
	static const char proxied[] = "proxy or listen";
	bool is_node = pool->delivery == DELIVERY_NODE;

	if (pool->server.count > 0 && pool->delivery != DELIVERY_PROXY)
		return config_pool_refuses(config, pool, "server", "proxy", e);
	if (*pool->socket && !pool->proxied)
		return config_pool_refuses(config, pool, "socket", proxied, e);
	if (pool->send_proxy != SEND_PROXY_OFF && !pool->proxied)
		return config_pool_refuses(config, pool, "send_proxy", proxied, e);
	if (strcmp(pool->check, "off") != 0 && !pool->proxied)
		return config_pool_refuses(config, pool, "check", proxied, e);
	if (pool->adopt_ports && !is_node)
		return config_pool_refuses(config, pool, "adopt_ports", "node", e);
	if (pool->tls_at == TLS_AT_WORKER && !is_node)
		return config_pool_refuses(config, pool, "tls_at", "node", e);
	return true;
}

bool config_check_pools(struct config *config, struct error *e)
{
	static bool (*const rules[])(struct config *, struct pool_config *, struct error *) = {
		check_source,    check_command,  check_directory,   check_environment,
		check_delays,    check_delivery, check_weights,     check_fitting,
		check_intervals, check_ages,     config_check_port, config_check_proxy,
	};

	for (size_t i = 0; i < config->pool_count; i++)
		for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++)
			if (!rules[rule](config, &config->pools[i], e))
				return false;
	return true;
}
