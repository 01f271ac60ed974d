/* Why: the types that name hosts: the server lines of a pool, and the server names by which clients
 * of a listener are told apart. Strict, because a mistyped name is only found out by clients.
 * Source: RFC 1035 2.3.4, RFC 1123 2.1, RFC 2782, RFC 6066 3. SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "config/config.h"
#include "config/option_type.h"

#define BLANKS       " \t"
#define DIGITS       "0123456789"
#define LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-"
#define HOST_MOST    253
#define LABEL_MOST   63
#define NAME_MOST    127  /* of a slot, as relays are told it */
#define SERVERS_MOST 1024 /* lines of a pool */
#define SNIS_MOST    4096 /* lines of a listener */
#define WEIGHT_MOST  1000
#define UNIX_PREFIX  "unix:"

/* Labels of the given letters with dots between; one dot at the end where `rooted`. */
static bool is_name(const char *name, const char *letters, bool rooted)
{
	if (strlen(name) > HOST_MOST)
		return false;
	for (;;) {
		size_t length = strspn(name, letters);

		if (length == 0 || length > LABEL_MOST || *name == '-' || name[length - 1] == '-')
			return false;
		name += length;
		if (*name == '\0')
			return true;
		if (*name++ != '.')
			return false;
		if (rooted && *name == '\0')
			return true;
	}
}

/* Names are compared as bytes and hashed; the name service knows no case. */
static void lower(char *name)
{
	for (; *name; name++)
		*name = (char)tolower((unsigned char)*name);
}

static bool is_numeric(const char *host)
{
	return host[strspn(host, DIGITS ".")] == '\0';
}

/* The first blank-separated word, cut off *rest; NULL at its end. */
static char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, BLANKS);
	while (word && *word == '\0');
	return word;
}

/* --- server --- */

static bool port_parse(const char *text, unsigned *port_r, struct error *e)
{
	size_t digits = strspn(text, DIGITS);
	unsigned long port = digits > 0 && digits <= 5 ? strtoul(text, NULL, 10) : 0;

	if (text[digits] || port == 0 || port > 65535)
		return error_set(e, "expected a port from 1 to 65535, not \"%.80s\"", text);
	*port_r = (unsigned)port;
	return true;
}

/* The canonical form, so that everybody hashes the same name. A link-local address may have a scope
 * behind it: an interface's name or number. */
static bool v6_canonical(char *host, char canonical[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE])
{
	char *scope = strchr(host, '%');
	struct in6_addr bytes;

	if (scope)
		*scope++ = '\0';
	if (inet_pton(AF_INET6, host, &bytes) != 1)
		return false;
	inet_ntop(AF_INET6, &bytes, canonical, INET6_ADDRSTRLEN);
	if (!scope)
		return true;
	if (!IN6_IS_ADDR_LINKLOCAL(&bytes) || *scope == '\0' || strlen(scope) >= IF_NAMESIZE ||
	    scope[strspn(scope, LETTERS "_.")])
		return false;
	snprintf(canonical + strlen(canonical), 1 + IF_NAMESIZE, "%%%s", scope);
	return true;
}

/* "[v6]:port" */
static bool v6_parse(struct server *server, char *text, struct error *e)
{
	char canonical[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE], *end = strchr(text, ']');

	if (!end || end[1] != ':')
		return error_set(e, "the port is missing: write \"%.80s:PORT\"", text);
	*end = '\0';
	if (server->kind == SERVER_DNS)
		return error_set(e, "dns: looks up a name, and \"%.80s\" is none", text + 1);
	if (!v6_canonical(text + 1, canonical))
		return error_set(e, "\"%.80s\" is no IPv6 address", text + 1);
	server->host = option_text_copy(canonical, strlen(canonical));
	return port_parse(end + 2, &server->port, e);
}

static bool host_check(const struct server *server, const char *host, struct error *e)
{
	struct in_addr bytes;

	if (is_numeric(host)) {
		if (server->kind == SERVER_DNS)
			return error_set(e, "dns: looks up a name, and \"%.80s\" is none", host);
		return inet_pton(AF_INET, host, &bytes) == 1 ||
		       error_set(e, "\"%.80s\" is no address", host);
	}
	return is_name(host, LETTERS "_", true) ||
	       error_set(e, "\"%.80s\" is no name of a host", host);
}

static bool host_port_parse(struct server *server, char *text, struct error *e)
{
	char *colon = strrchr(text, ':');

	if (*text == '[')
		return v6_parse(server, text, e);
	if (!colon && is_numeric(text) && !strchr(text, '.'))
		return error_set(e, "the host is missing: write \"127.0.0.1:%.80s\"", text);
	if (!colon)
		return error_set(e, "the port is missing: write \"%.80s:PORT\"", text);
	*colon = '\0';
	if (*text == '\0')
		return error_set(e, "the host is missing: write \"127.0.0.1:%.80s\"", colon + 1);
	if (strchr(text, ':'))
		return error_set(e, "an IPv6 address stands in []: write \"[%.80s]:%.20s\"", text,
				 colon + 1);
	if (!host_check(server, text, e))
		return false;
	lower(text);
	server->host = option_text_copy(text, strlen(text));
	return port_parse(colon + 1, &server->port, e);
}

static bool path_parse(struct server *server, const char *text, struct error *e)
{
	const char *path = text + strlen(UNIX_PREFIX);
	const size_t most = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;

	if (*path != '/')
		return error_set(
			e, "a unix socket needs an absolute path, such as unix:/run/app.sock");
	if (strlen(path) > most)
		return error_set(e, "a unix socket path has at most %zu bytes, this one has %zu",
				 most, strlen(path));
	server->host = option_text_copy(text, strlen(text));
	return true;
}

/* "_service._proto.name" */
static bool srv_parse(struct server *server, char *name, struct error *e)
{
	const char *dot = strchr(name, '.');

	if (*name != '_' || !dot || dot[1] != '_' || !strchr(dot + 1, '.') ||
	    !is_name(name, LETTERS "_", true))
		return error_set(
			e,
			"\"%.80s\" is no SRV record; write, for example, srv:_ws._tcp.example.org",
			name);
	lower(name);
	server->host = option_text_copy(name, strlen(name));
	return true;
}

static bool address_part_parse(struct server *server, char *text, struct error *e)
{
	if (*text == '/')
		return error_set(e, "a unix socket is written unix:%.107s", text);
	if (strstr(text, "://"))
		return error_set(e, "\"%.80s\" is a URL; write host:port", text);
	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return path_parse(server, text, e);
	if (strncmp(text, "srv:", 4) == 0) {
		server->kind = SERVER_SRV;
		return srv_parse(server, text + 4, e);
	}
	if (strncmp(text, "dns:", 4) == 0) {
		server->kind = SERVER_DNS;
		return host_port_parse(server, text + 4, e);
	}
	return host_port_parse(server, text, e);
}

/* Relays are told thousandths, so no more than three decimals; nothing that strtod takes beyond. */
static bool weight_parse(const char *text, double *weight_r, struct error *e)
{
	size_t whole = strspn(text, DIGITS);
	size_t decimals = text[whole] == '.' ? strspn(text + whole + 1, DIGITS) : 0;
	size_t length = whole + (text[whole] == '.') + decimals;

	if (whole > 0 && text[length] == '\0' && decimals <= 3 &&
	    (decimals > 0 || text[whole] == '\0')) {
		*weight_r = strtod(text, NULL);
		if (*weight_r <= WEIGHT_MOST)
			return true;
	}
	return error_set(e,
			 "weight=%.80s: expected a number from 0 to %d with at most three decimals",
			 text, WEIGHT_MOST);
}

static bool name_parse(const char *text, char **name_r, struct error *e)
{
	if (*name_r)
		return error_set(e, "name= stands there twice");
	if (*text == '\0' || strlen(text) > NAME_MOST)
		return error_set(e, "name= is followed by 1 to %d letters", NAME_MOST);
	*name_r = option_text_copy(text, strlen(text));
	return true;
}

static bool word_parse(struct server *server, const char *word, bool *weighted, struct error *e)
{
	if (strncmp(word, "name=", 5) == 0)
		return name_parse(word + 5, &server->name, e);
	if (strncmp(word, "weight=", 7) != 0)
		return error_set(
			e,
			"\"%.80s\" is unknown here; behind a server may stand weight=N and name=X",
			word);
	if (*weighted)
		return error_set(e, "weight= stands there twice");
	*weighted = true;
	return weight_parse(word + 7, &server->weight, e);
}

/* What stands first in the line, canonically; also the name that is hashed where none is given. */
static void address_part_print(const struct server *server, FILE *out)
{
	if (server->kind == SERVER_SRV)
		fprintf(out, "srv:%s", server->host);
	else if (server->kind == SERVER_DNS)
		fprintf(out, "dns:%s:%u", server->host, server->port);
	else if (server->port == 0)
		fputs(server->host, out);
	else
		fprintf(out, strchr(server->host, ':') ? "[%s]:%u" : "%s:%u", server->host,
			server->port);
}

static char *name_standard(const struct server *server)
{
	char *name = NULL;
	size_t length;
	FILE *out = open_memstream(&name, &length);

	if (!out)
		fatal("no memory for the configuration");
	address_part_print(server, out);
	fclose(out);
	return name;
}

static bool server_parse(struct server *server, char *rest, struct error *e)
{
	char *word = next_word(&rest);
	bool weighted = false;

	if (!word)
		return false;
	if (!address_part_parse(server, word, e))
		return false;
	while ((word = next_word(&rest)))
		if (!word_parse(server, word, &weighted, e))
			return false;
	if (server->name)
		return true;
	server->name = name_standard(server);
	return strlen(server->name) <= NAME_MOST ||
	       error_set(e,
			 "\"%.40s...\" is too long for the name of a slot; write name=X behind it",
			 server->name);
}

static void server_clear(struct server *server)
{
	free(server->host);
	free(server->name);
}

static bool servers_parse(const struct option *option, const char *text, void *field,
			  struct error *e)
{
	struct server_list *list = field;
	struct server server = { .kind = SERVER_ADDRESS, .weight = 1 };
	char *copy;
	bool good;

	(void)option;
	if (list->count == SERVERS_MOST)
		return error_set(e, "more than %d server lines", SERVERS_MOST);
	copy = option_text_copy(text, strlen(text));
	good = server_parse(&server, copy, e);
	free(copy);
	if (!good) {
		server_clear(&server);
		return false;
	}
	list->items = option_list_grown(list->items, list->count, sizeof *list->items);
	list->items[list->count++] = server;
	return true;
}

static void servers_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	const struct server *server = &((const struct server_list *)field)->items[item];
	char *standard = name_standard(server);

	(void)option;
	address_part_print(server, out);
	if (server->weight != 1)
		fprintf(out, " weight=%g", server->weight); /* six digits hold every one */
	if (strcmp(server->name, standard) != 0)
		fprintf(out, " name=%s", server->name);
	free(standard);
}

static bool server_equal(const struct server *a, const struct server *b)
{
	return a->kind == b->kind && a->port == b->port && a->weight == b->weight &&
	       strcmp(a->host, b->host) == 0 && strcmp(a->name, b->name) == 0;
}

static bool servers_equal(const void *a, const void *b)
{
	const struct server_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (!server_equal(&x->items[i], &y->items[i]))
			return false;
	return true;
}

static void servers_clear(void *field)
{
	struct server_list *list = field;

	for (size_t i = 0; i < list->count; i++)
		server_clear(&list->items[i]);
	free(list->items);
	*list = (struct server_list){ 0 };
}

static size_t servers_count(const void *field)
{
	return ((const struct server_list *)field)->count;
}

const struct option_type_ops option_type_SERVERS = { .parse = servers_parse,
						     .print = servers_print,
						     .equal = servers_equal,
						     .clear = servers_clear,
						     .count = servers_count };

/* --- sni --- */

static bool sni_name_check(const char *name, struct error *e)
{
	const char *rest = strncmp(name, "*.", 2) == 0 ? name + 2 : name;

	if (strcmp(name, "*") == 0)
		return error_set(e, "\"*\" is for all clients: they go to pool without a line");
	if (strlen(name) <= HOST_MOST && !is_numeric(rest) && is_name(rest, LETTERS, false))
		return true;
	return error_set(e,
			 "\"%.80s\" is no server name; write, for example, chat.example.org or "
			 "*.example.org",
			 name);
}

static bool sni_add(struct sni_list *list, char *name, const char *pool, struct error *e)
{
	lower(name);
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return error_set(e, "%s goes to pool %.80s already; write one line for it",
					 name, list->items[i].pool);
	if (list->count == SNIS_MOST)
		return error_set(e, "more than %d server names", SNIS_MOST);
	list->items = option_list_grown(list->items, list->count, sizeof *list->items);
	list->items[list->count++] =
		(struct sni_route){ .name = option_text_copy(name, strlen(name)),
				    .pool = option_text_copy(pool, strlen(pool)) };
	return true;
}

static bool snis_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	char *copy = option_text_copy(text, strlen(text)), *rest = copy;
	char *name = next_word(&rest), *pool = next_word(&rest);
	bool good = false;

	(void)option;
	if (name && pool && !next_word(&rest))
		good = sni_name_check(name, e) && sni_add(field, name, pool, e);
	free(copy);
	return good;
}

static void snis_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	const struct sni_route *route = &((const struct sni_list *)field)->items[item];

	(void)option;
	fprintf(out, "%s %s", route->name, route->pool);
}

static bool snis_equal(const void *a, const void *b)
{
	const struct sni_list *x = a, *y = b;

	if (x->count != y->count)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (strcmp(x->items[i].name, y->items[i].name) != 0 ||
		    strcmp(x->items[i].pool, y->items[i].pool) != 0)
			return false;
	return true;
}

static void snis_clear(void *field)
{
	struct sni_list *list = field;

	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].pool);
	}
	free(list->items);
	*list = (struct sni_list){ 0 };
}

static size_t snis_count(const void *field)
{
	return ((const struct sni_list *)field)->count;
}

const struct option_type_ops option_type_SNIS = { .parse = snis_parse,
						  .print = snis_print,
						  .equal = snis_equal,
						  .clear = snis_clear,
						  .count = snis_count };
