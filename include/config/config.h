/* Why: the whole configuration as one object: loaded, checked and replaced whole, never half.
 * Durations are in ms, sizes in bytes. Owner: the supervisor (and each role its own copy, parsed
 * from the same bytes); everybody else holds const. SPDX-License-Identifier: ISC */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "base/error.h"
#include "base/log.h"
#include "config/option_table.h"
#include "config/option_type_table.h"

struct string_list {
	char **items;
	size_t count;
};
struct address_list {
	struct address *items;
	size_t count;
};
/* items[i].slot SIZE_MAX: for all slots not named. */
struct weight_list {
	struct weight {
		size_t slot;
		double value;
	} * items;
	size_t count;
};

/* What a `server` line says. */
enum server_kind {
	SERVER_ADDRESS, /* host:port (a name is looked up), or unix:/path */
	SERVER_DNS,     /* every address of a name */
	SERVER_SRV      /* every target of an SRV record */
};
struct server_list {
	struct server {
		enum server_kind kind;
		char *host;    /* name (lower case) or numeric address (v6 canonical, without [])
				* or "unix:/path" whole; of SRV "_ws._tcp.name" */
		unsigned port; /* 0: of SRV, or a path */
		double weight; /* 0 to 1000, whole thousandths */
		char *name;    /* hashed; as given, else host:port; of DNS and SRV: only for logs */
	} * items;
	size_t count;
};
/* items[i].name is lower case; a first label "*" stands for exactly one label. */
struct sni_list {
	struct sni_route {
		char *name, *pool;
		size_t pool_index; /* set by the cross-check */
	} * items;
	size_t count;
};
/* Slots that one DNS or SRV line may have at a time; further addresses are logged and not used. */
#define CONFIG_PLACES 64
/* Slots of one pool, these places included. */
#define CONFIG_SLOTS_MOST 4096

/* Values of the CHOICE options, in the order of their words in option_number.c. */
enum config_delivery {
	DELIVERY_AUTO,
	DELIVERY_NODE,
	DELIVERY_FD,
	DELIVERY_PROXY,
	DELIVERY_LISTEN
};
enum config_proxy_protocol {
	PROXY_PROTOCOL_OFF,
	PROXY_PROTOCOL_REQUIRE,
	PROXY_PROTOCOL_PASS
};
enum config_send_proxy {
	SEND_PROXY_OFF,
	SEND_PROXY_V1,
	SEND_PROXY_V2
};
enum config_tls_at {
	TLS_AT_RELAY,
	TLS_AT_WORKER
};
enum config_tls_policy {
	TLS_INTERMEDIATE,
	TLS_MODERN
};
enum config_tls_version {
	TLS_VERSION_AUTO,
	TLS_VERSION_12,
	TLS_VERSION_13
};
enum config_tls_verify {
	TLS_VERIFY_OFF,
	TLS_VERIFY_OPTIONAL,
	TLS_VERIFY_REQUIRE
};
enum config_ready {
	READY_AUTO,
	READY_NOTIFY,
	READY_LISTENING,
	READY_STARTED
};
enum config_on_down {
	ON_DOWN_HOLD,
	ON_DOWN_FAILOVER
};

#define CONFIG_UMASK_UNSET      (-1)
#define CONFIG_RLIMIT_UNSET     (-1)
#define CONFIG_RLIMIT_UNLIMITED (-2)
#define CONFIG_FILE_LIMIT                                                                          \
	(4u << 20) /* bytes of one file, of all included ones, and of an effective configuration   \
		    */

/* The C types of the rows (OPTION_CTYPE_BOOL is bool, ...) come from option_type_table.h. */
#define OPTION_CTYPE(type, ctype, expected) typedef ctype option_ctype_##type;
OPTION_TYPES(OPTION_CTYPE)
#undef OPTION_CTYPE
#define OPTION_FIELD(type, name, def, min, max, reload, help) option_ctype_##type name;

/* A STRING or COMMAND that is not set is "", never NULL. */
struct limpet_config {
	LIMPET_OPTIONS(OPTION_FIELD)
};
struct listen_config {
	char *name;
	size_t pool_index; /* set by the cross-check */
	size_t tls_index;  /* the same; SIZE_MAX: plain */
	bool relayed;      /* the same: belongs to the relays, not to the acceptor */
	LISTEN_OPTIONS(OPTION_FIELD)
};
struct pool_config {
	char *name;
	size_t index;
	size_t locals; /* set by the cross-check: slots with a process of ours (0 without command)
			*/
	size_t slots;  /* the same: locals, then the places of each server line in their order */
	bool proxied;  /* the same: reached by connecting (proxy, listen), not by hand-over */
	POOL_OPTIONS(OPTION_FIELD)
};
struct tls_config {
	char *name;
	size_t index;
	bool is_workers; /* set by the cross-check: Node workers alone read it (tls_at = worker) */
	TLS_OPTIONS(OPTION_FIELD)
};

struct config {
	struct limpet_config limpet;
	struct listen_config *listens;
	size_t listen_count;
	struct pool_config *pools;
	size_t pool_count;
	struct tls_config *tlss;
	size_t tls_count;
	bool needs_relays;       /* set by the cross-check */
	struct origins *origins; /* which line set what, for the sentences of the cross-check */
};

/* Reads a file (and what it includes), checks every value and the whole. NULL with a sentence that
 * begins with "file:line: " where a line is to blame. */
struct config *config_load(const char *path, struct error *e);

/* The same from memory; `name` stands for the file in messages. %include is refused. Users, groups
 * and rights are not looked at: a role that has dropped its own parses what the supervisor printed.
 */
struct config *config_parse(const char *name, const char *text, size_t length, struct error *e);

/* For the command line: starts with the defaults, then sets single values, e.g.
 * config_set(c, "pool:app", "command", "node app.js", &e); a section appears when first named;
 * config_check finishes. Messages name `origin` ("-b") in place of file:line. */
struct config *config_new(void);
bool config_set(struct config *config, const char *section, const char *key, const char *value,
		const char *origin, struct error *e);
bool config_check(struct config *config, struct error *e);

void config_free(struct config **config);

/* The effective configuration, every option with its value; parses to an equal object. */
void config_print(const struct config *config, FILE *out);

/* etc/limpet.ini and the OPTIONS part of limpet.ini(5), from the option tables. */
void config_print_sample(FILE *out);
void config_print_manual(FILE *out);

/* Which process group a value belongs to is in the tables; this tells whether two agree. */
bool config_equal(const struct config *a, const struct config *b);

/* argv of the pool's command for one slot: split, %i %n %% expanded; with `shell`, "/bin/sh" "-c"
 * text. A NULL-terminated array to be freed by config_argv_free. The text was checked by the
 * parser. */
char **config_argv(const struct pool_config *pool, size_t slot);
void config_argv_free(char ***argv);

/* %i %n %% in any other text of a pool (directory, environment); fresh memory. */
char *config_expand(const struct pool_config *pool, const char *text, size_t slot);

/* First slot of a server line, and how many it has (1, or CONFIG_PLACES). */
size_t config_server_slot(const struct pool_config *pool, size_t server);
size_t config_server_places(const struct server *server);

/* Weight of a slot with a process of ours. */
double config_weight(const struct pool_config *pool, size_t slot);

/* DELIVERY_AUTO resolved: proxy where there are servers or a socket, else by looking at the
 * command's program (node, nodejs, or a script whose #! line names node). The cross-check stores
 * the answer in pool->delivery. */
enum config_delivery config_delivery_of(const struct pool_config *pool);

#endif
