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

/* Values of the CHOICE options, in the order of their words in option_number.c. */
enum config_delivery {
	DELIVERY_AUTO,
	DELIVERY_NODE,
	DELIVERY_FD
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
	LISTEN_OPTIONS(OPTION_FIELD)
};
struct pool_config {
	char *name;
	size_t index;
	POOL_OPTIONS(OPTION_FIELD)
};

struct config {
	struct limpet_config limpet;
	struct listen_config *listens;
	size_t listen_count;
	struct pool_config *pools;
	size_t pool_count;
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

/* Weight of a slot. */
double config_weight(const struct pool_config *pool, size_t slot);

/* DELIVERY_AUTO resolved by looking at the command's program (node, nodejs, or a script whose #!
 * line names node). The cross-check stores the answer in pool->delivery. */
enum config_delivery config_delivery_of(const struct pool_config *pool);

#endif
