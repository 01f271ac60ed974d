/* Why: config_check.h; where the clients of each listener go and who accepts them. What a client
 * may begin with (TLS, a server name, a PROXY protocol header) must be something that the one who
 * gets it understands. Source: PROXY protocol 2.2 and 5. SPDX-License-Identifier: ISC */
#include <string.h>

#include "config/config_check.h"
#include "config/nearest.h"

static bool pool_unknown(const struct config *config, const char *name, const char *before,
			 struct error *e)
{
	struct nearest nearest = nearest_begin(name);

	for (size_t i = 0; i < config->pool_count; i++)
		nearest_offer(&nearest, config->pools[i].name);
	if (nearest.best)
		return error_set(e, "%sthere is no [pool:%.80s]; did you mean %s%s?", before, name,
				 *before ? "" : "pool = ", nearest.best);
	return error_set(e, "%sthere is no [pool:%.80s]; the first pool is %s", before, name,
			 config->pools[0].name);
}

static bool pool_find(const struct config *config, const char *name, size_t *index_r)
{
	for (*index_r = 0; *index_r < config->pool_count; (*index_r)++)
		if (strcmp(config->pools[*index_r].name, name) == 0)
			return true;
	return false;
}

static bool check_pool(struct config *config, struct listen_config *listen, struct error *e)
{
	listen->pool_index = 0;
	if (*listen->pool == '\0' && config->pool_count > 1) {
		error_set(e,
			  "[listen:%s] does not say which pool gets its clients; write pool = %s, "
			  "for example",
			  listen->name, config->pools[0].name);
		return config_blame_listen(config, listen, "pool", 0, e);
	}
	if (*listen->pool == '\0' || pool_find(config, listen->pool, &listen->pool_index))
		return true;
	pool_unknown(config, listen->pool, "", e);
	return config_blame_listen(config, listen, "pool", 0, e);
}

static bool tls_unknown(const struct config *config, const char *name, struct error *e)
{
	struct nearest nearest = nearest_begin(name);

	for (size_t i = 0; i < config->tls_count; i++)
		nearest_offer(&nearest, config->tlss[i].name);
	if (nearest.best)
		return error_set(e, "there is no [tls:%.80s]; did you mean tls = %s?", name,
				 nearest.best);
	return error_set(
		e, "there is no [tls:%.80s]; add it with certificate = FILE and key = FILE", name);
}

static bool check_tls(struct config *config, struct listen_config *listen, struct error *e)
{
	listen->tls_index = SIZE_MAX;
	if (*listen->tls == '\0')
		return true;
	if (listen->tls_passthrough) {
		error_set(e, "tls ends TLS here and tls_passthrough passes it on; take one of the "
			     "two lines out");
		return config_blame_listen(config, listen, "tls_passthrough", 0, e);
	}
	for (size_t i = 0; i < config->tls_count; i++) {
		if (strcmp(config->tlss[i].name, listen->tls) == 0) {
			listen->tls_index = i;
			return true;
		}
	}
	tls_unknown(config, listen->tls, e);
	return config_blame_listen(config, listen, "tls", 0, e);
}

static bool check_sni(struct config *config, struct listen_config *listen, struct error *e)
{
	if (listen->sni.count > 0 && *listen->tls == '\0' && !listen->tls_passthrough) {
		error_set(e, "sni: clients name a server in TLS only; write tls = NAME or "
			     "tls_passthrough = on");
		return config_blame_listen(config, listen, "sni", 0, e);
	}
	for (size_t i = 0; i < listen->sni.count; i++) {
		struct sni_route *route = &listen->sni.items[i];

		if (pool_find(config, route->pool, &route->pool_index))
			continue;
		pool_unknown(config, route->pool, "sni: ", e);
		return config_blame_listen(config, listen, "sni", i, e);
	}
	return true;
}

/* Nobody here could read the server name, and Node would need all keys. */
static bool check_sni_at_worker(struct config *config, struct listen_config *listen,
				const struct pool_config *pool, struct error *e)
{
	if (pool->tls_at != TLS_AT_WORKER || listen->sni.count == 0)
		return true;
	error_set(e,
		  "sni: TLS ends in the workers of pool %s (tls_at = worker), which all clients of "
		  "[listen:%s] go to; write tls_at = relay there",
		  pool->name, listen->name);
	return config_blame_listen(config, listen, "sni", 0, e);
}

/* A client belongs to relays or to the acceptor before his pool is known. Where relays end TLS they
 * can give him away afterwards; what is passed through cannot change hands. */
static bool check_sides(struct config *config, struct listen_config *listen, struct error *e)
{
	const struct pool_config *pool = &config->pools[listen->pool_index];

	if (*listen->tls && !check_sni_at_worker(config, listen, pool, e))
		return false;
	for (size_t i = 0; i < listen->sni.count; i++) {
		const struct pool_config *other = &config->pools[listen->sni.items[i].pool_index];

		if (*listen->tls && other->tls_at == TLS_AT_WORKER)
			error_set(
				e,
				"sni: pool %s has tls_at = worker, but TLS of [listen:%s] ends in "
				"relays; write tls_at = relay there",
				other->name, listen->name);
		else if (listen->tls_passthrough && other->proxied != pool->proxied)
			error_set(
				e,
				"sni: with tls_passthrough all pools of a listener are reached "
				"alike; pool %s is proxied and pool %s is not: give one a [listen] "
				"section of its own",
				other->proxied ? other->name : pool->name,
				other->proxied ? pool->name : other->name);
		else
			continue;
		return config_blame_listen(config, listen, "sni", i, e);
	}
	return true;
}

/* Clients of a path have no address; who may connect to it is decided by its permissions. */
static bool has_addresses(const struct listen_config *listen)
{
	for (size_t i = 0; i < listen->bind.count; i++)
		if (listen->bind.items[i].any.sa_family != AF_UNIX)
			return true;
	return false;
}

static bool check_trusted(struct config *config, struct listen_config *listen, struct error *e)
{
	if (listen->proxy_protocol == PROXY_PROTOCOL_OFF && listen->trusted.count > 0) {
		error_set(e,
			  "trusted names who may send PROXY protocol headers, and none are read; "
			  "write proxy_protocol = require");
		return config_blame_listen(config, listen, "trusted", 0, e);
	}
	if (listen->proxy_protocol != PROXY_PROTOCOL_OFF && listen->max_per_client > 0) {
		error_set(e, "max_per_client counts connections by their own address, which is the "
			     "balancer's where proxy_protocol is on; take the line out");
		return config_blame_listen(config, listen, "max_per_client", 0, e);
	}
	if (listen->proxy_protocol == PROXY_PROTOCOL_OFF || listen->trusted.count > 0 ||
	    !has_addresses(listen))
		return true;
	error_set(e, "proxy_protocol: who may say who a client is? Write, for example, trusted = "
		     "10.0.0.0/8");
	return config_blame_listen(config, listen, "proxy_protocol", 0, e);
}

static bool pass_twice(struct config *config, struct listen_config *listen, size_t pool,
		       struct error *e)
{
	if (config->pools[pool].send_proxy == SEND_PROXY_OFF)
		return true;
	error_set(
		e,
		"proxy_protocol = pass leaves a header in the stream, and pool %s gets a second by "
		"send_proxy; write proxy_protocol = require",
		config->pools[pool].name);
	return config_blame_listen(config, listen, "proxy_protocol", 0, e);
}

/* The header stands in front of everything: who gets the first byte must read it. */
static bool check_pass(struct config *config, struct listen_config *listen, struct error *e)
{
	if (listen->proxy_protocol != PROXY_PROTOCOL_PASS)
		return true;
	if (*listen->tls) {
		error_set(e,
			  "proxy_protocol = pass leaves the header in front of TLS, where nobody "
			  "can read it; write proxy_protocol = require");
		return config_blame_listen(config, listen, "proxy_protocol", 0, e);
	}
	for (size_t i = 0; i < listen->sni.count; i++)
		if (!pass_twice(config, listen, listen->sni.items[i].pool_index, e))
			return false;
	return pass_twice(config, listen, listen->pool_index, e);
}

static bool settle(struct config *config, struct listen_config *listen, struct error *e)
{
	const struct pool_config *pool = &config->pools[listen->pool_index];

	(void)e;
	listen->relayed = pool->proxied || (*listen->tls && pool->tls_at != TLS_AT_WORKER);
	config->needs_relays = config->needs_relays || listen->relayed;
	return true;
}

/* Their owner and group may be the workers': Limpet itself never reads them. */
static void settle_readers(struct config *config)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (*config->listens[i].tls)
			config->tlss[config->listens[i].tls_index].is_workers = true;
	for (size_t i = 0; i < config->listen_count; i++)
		if (*config->listens[i].tls && config->listens[i].relayed)
			config->tlss[config->listens[i].tls_index].is_workers = false;
}

static bool leads_to(const struct listen_config *listen, size_t pool)
{
	if (listen->pool_index == pool)
		return true;
	for (size_t i = 0; i < listen->sni.count; i++)
		if (listen->sni.items[i].pool_index == pool)
			return true;
	return false;
}

static bool check_reach(struct config *config, const struct pool_config *pool, struct error *e)
{
	bool node = pool->delivery == DELIVERY_NODE;

	if (node && pool->adopt_ports)
		return true;
	for (size_t i = 0; i < config->listen_count; i++)
		if (leads_to(&config->listens[i], pool->index))
			return true;
	error_set(e,
		  "no listener brings clients to pool %s: add [listen:%s] with bind = :3000%s%s%s",
		  pool->name, pool->name, config->pool_count > 1 ? " and pool = " : "",
		  config->pool_count > 1 ? pool->name : "", node ? ", or adopt_ports = on" : "");
	return config_blame_pool(config, pool, NULL, e);
}

bool config_check_listens(struct config *config, struct error *e)
{
	static bool (*const rules[])(struct config *, struct listen_config *, struct error *) = {
		check_pool, check_tls, check_sni, check_sides, check_trusted, check_pass, settle,
	};

	config->needs_relays = false;
	for (size_t i = 0; i < config->listen_count; i++)
		for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++)
			if (!rules[rule](config, &config->listens[i], e))
				return false;
	settle_readers(config);
	for (size_t i = 0; i < config->pool_count; i++)
		if (!check_reach(config, &config->pools[i], e))
			return false;
	return true;
}
