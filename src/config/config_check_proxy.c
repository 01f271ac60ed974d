/* Why: config_check.h; a worker that is reached by connecting must be told where to listen, no two
 * may be told the same, and every slot needs a name of its own. Source: unix(7).
 * SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/command.h"
#include "config/config_check_pool.h"

#define SOCKET_EXAMPLE "/run/app/%%n-%%i.sock" /* as a format */
#define PATH_MOST      (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

bool config_check_port(struct config *config, struct pool_config *pool, struct error *e)
{
	const size_t count = pool->locals;

	if (pool->port == 0)
		return true;
	if (count == 0) {
		error_set(e,
			  "port is where workers listen, and pool %s has no command; the port of a "
			  "server is written server = HOST:%llu",
			  pool->name, (unsigned long long)pool->port);
		return config_blame_pool(config, pool, "port", e);
	}
	if (pool->port + count - 1 <= 65535)
		return true;
	error_set(e, "port: the last of %zu slots would get port %llu; write port = %zu or less",
		  count, (unsigned long long)(pool->port + count - 1), 65536 - count);
	return config_blame_pool(config, pool, "port", e);
}

static bool check_place(struct config *config, struct pool_config *pool, struct error *e)
{
	if (*pool->socket && pool->port > 0) {
		error_set(e, "socket and port: workers listen on one of them; take one line out");
		return config_blame_pool(config, pool, "socket", e);
	}
	if (*pool->socket && pool->locals == 0) {
		error_set(e,
			  "socket is where workers listen, and pool %s has no command; the socket "
			  "of a server is written server = unix:%.107s",
			  pool->name, pool->socket);
		return config_blame_pool(config, pool, "socket", e);
	}
	if (*pool->socket || pool->port > 0 || pool->locals == 0 ||
	    pool->delivery == DELIVERY_LISTEN)
		return true;
	error_set(e, "delivery = proxy: where do the workers listen? Write port = 4000 (each finds "
		     "its own in PORT) or socket = " SOCKET_EXAMPLE " (in LIMPET_SOCKET)");
	return config_blame_pool(config, pool, "delivery", e);
}

static bool is_own_path(const struct pool_config *pool)
{
	char *first = config_expand(pool, pool->socket, 0);
	char *second = config_expand(pool, pool->socket, 1);
	bool differs = strcmp(first, second) != 0;

	free(first);
	free(second);
	return differs;
}

static size_t longest_path(const struct pool_config *pool)
{
	char *path = config_expand(pool, pool->socket, pool->locals - 1);
	size_t length = strlen(path);

	free(path);
	return length;
}

static bool path_check(const struct pool_config *pool, struct error *e)
{
	struct error sentence = { .text = "" };

	if (strncmp(pool->socket, "unix:", 5) == 0)
		return error_set(e, "socket: the path stands there alone: write socket = %.107s",
				 pool->socket + 5);
	if (*pool->socket != '/')
		return error_set(e, "socket needs an absolute path, such as " SOCKET_EXAMPLE);
	if (!command_escapes_check(pool->socket, &sentence))
		return error_set(e, "socket: %.900s", sentence.text);
	if (pool->locals > 1 && !is_own_path(pool))
		return error_set(e,
				 "socket: %zu workers would listen on one path; put %%i into it, "
				 "such as " SOCKET_EXAMPLE,
				 pool->locals);
	if (longest_path(pool) > PATH_MOST)
		return error_set(e,
				 "socket: a path has at most %zu bytes, that of slot %zu has %zu",
				 PATH_MOST, pool->locals - 1, longest_path(pool));
	return true;
}

/* Slot 0 is enough: a path is the same for all slots, or another for each. */
static bool has_first_path(const struct pool_config *pool, const char *path)
{
	char *first = config_expand(pool, pool->socket, 0);
	bool same = strcmp(first, path) == 0;

	free(first);
	return same;
}

static const struct pool_config *path_owner(const struct config *config,
					    const struct pool_config *pool)
{
	char *path = config_expand(pool, pool->socket, 0);
	const struct pool_config *owner = NULL;

	for (size_t i = 0; i < pool->index && !owner; i++)
		if (*config->pools[i].socket && has_first_path(&config->pools[i], path))
			owner = &config->pools[i];
	free(path);
	return owner;
}

static bool check_socket(struct config *config, struct pool_config *pool, struct error *e)
{
	const struct pool_config *owner;

	if (*pool->socket == '\0')
		return true;
	if (!path_check(pool, e))
		return config_blame_pool(config, pool, "socket", e);
	owner = path_owner(config, pool);
	if (!owner)
		return true;
	error_set(e,
		  "socket: pool %s has this path already; put %%n into it, such as " SOCKET_EXAMPLE,
		  owner->name);
	return config_blame_pool(config, pool, "socket", e);
}

/* A listener there takes the port from a worker on 127.0.0.1, or on all addresses. */
static bool covers_loopback(const struct address *address, bool v6only)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr == htonl(INADDR_ANY) ||
		       address->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	return address->any.sa_family == AF_INET6 && !v6only &&
	       IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

static bool has_port(const struct pool_config *pool, uint64_t port)
{
	return pool->proxied && pool->port > 0 && port >= pool->port &&
	       port - pool->port < pool->locals;
}

static bool check_port_of_listener(struct config *config, struct pool_config *pool, struct error *e)
{
	for (size_t i = 0; i < config->listen_count; i++) {
		const struct listen_config *listen = &config->listens[i];

		for (size_t item = 0; item < listen->bind.count; item++) {
			const struct address *address = &listen->bind.items[item];
			const uint16_t port = address_port(address);

			if (!has_port(pool, port) || !covers_loopback(address, listen->v6only))
				continue;
			error_set(
				e,
				"port: slot %llu of pool %s would listen on %u, which [listen:%s] "
				"has; write another port",
				(unsigned long long)(port - pool->port), pool->name, port,
				listen->name);
			return config_blame_pool(config, pool, "port", e);
		}
	}
	return true;
}

static bool check_port_of_pool(struct config *config, struct pool_config *pool, struct error *e)
{
	for (size_t i = 0; i < pool->index; i++) {
		const struct pool_config *other = &config->pools[i];

		if (!has_port(other, pool->port) && !has_port(pool, other->port))
			continue;
		error_set(e, "port: pool %s has ports %llu to %llu; write port = %llu, for example",
			  other->name, (unsigned long long)other->port,
			  (unsigned long long)(other->port + other->locals - 1),
			  (unsigned long long)(other->port + other->locals));
		return config_blame_pool(config, pool, "port", e);
	}
	return true;
}

static bool is_number_of_slot(const char *name, size_t count)
{
	char *end;
	unsigned long long number;

	if (*name < '0' || *name > '9' || (name[0] == '0' && name[1]) || strlen(name) > 4)
		return false;
	number = strtoull(name, &end, 10);
	return *end == '\0' && number < count;
}

/* A slot's name decides its clients: two of one name would be one slot for half of them. */
static bool check_names(struct config *config, struct pool_config *pool, struct error *e)
{
	for (size_t i = 0; i < pool->server.count; i++) {
		const char *name = pool->server.items[i].name;
		size_t other = 0;

		while (other < i && strcmp(pool->server.items[other].name, name) != 0)
			other++;
		if (other < i)
			error_set(e,
				  "server: pool %s has a server of the name %s already; write "
				  "another name= behind it",
				  pool->name, name);
		else if (is_number_of_slot(name, pool->locals))
			error_set(e,
				  "server: slot %s is a worker of ours; write another name= "
				  "behind it",
				  name);
		else
			continue;
		return config_blame(config, SECTION_POOL, pool->index, "server", i, e);
	}
	return true;
}

static bool check_slots(struct config *config, struct pool_config *pool, struct error *e)
{
	if (pool->slots <= CONFIG_SLOTS_MOST)
		return true;
	error_set(
		e,
		"server: pool %s would have %zu slots, more than %d; a dns: or srv: line has %d of "
		"them: take some out",
		pool->name, pool->slots, CONFIG_SLOTS_MOST, CONFIG_PLACES);
	return config_blame(config, SECTION_POOL, pool->index, "server", pool->server.count - 1, e);
}

bool config_check_proxy(struct config *config, struct pool_config *pool, struct error *e)
{
	if (!pool->proxied)
		return true;
	return check_place(config, pool, e) && check_socket(config, pool, e) &&
	       check_port_of_listener(config, pool, e) && check_port_of_pool(config, pool, e) &&
	       check_names(config, pool, e) && check_slots(config, pool, e);
}
