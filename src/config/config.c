/* Why: config.h; how lines become the object. The rules for the whole are in config_check.c.
 * SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/config_check.h"
#include "config/nearest.h"
#include "config/origin.h"

#define SECTIONS_MOST 1024 /* of one kind */
#define NAME_MOST     32

/* The section that values go to; `kind` SECTION_KINDS: none yet. */
struct target {
	struct config *config;
	enum section_kind kind;
	size_t index;
};

static void *grown(void *items, size_t count, size_t size)
{
	items = reallocarray(items, count, size);
	if (!items)
		fatal("no memory for the configuration");
	memset((char *)items + (count - 1) * size, 0, size);
	return items;
}

struct config *config_new(void)
{
	struct config *config = grown(NULL, 1, sizeof *config);

	config->origins = origins_new();
	origins_add_section(config->origins, SECTION_LIMPET, (struct ini_place){ .file = NULL });
	option_begin_all(&option_tables[SECTION_LIMPET], &config->limpet);
	return config;
}

void config_free(struct config **config)
{
	struct config *c = *config;

	if (!c)
		return;
	option_end_all(&option_tables[SECTION_LIMPET], &c->limpet);
	for (size_t i = 0; i < c->listen_count; i++) {
		option_end_all(&option_tables[SECTION_LISTEN], &c->listens[i]);
		free(c->listens[i].name);
	}
	for (size_t i = 0; i < c->pool_count; i++) {
		option_end_all(&option_tables[SECTION_POOL], &c->pools[i]);
		free(c->pools[i].name);
	}
	for (size_t i = 0; i < c->tls_count; i++) {
		option_end_all(&option_tables[SECTION_TLS], &c->tlss[i]);
		free(c->tlss[i].name);
	}
	free(c->listens);
	free(c->pools);
	free(c->tlss);
	origins_free(&c->origins);
	free(c);
	*config = NULL;
}

static void *object_of(const struct target *target)
{
	switch (target->kind) {
	case SECTION_LISTEN:
		return &target->config->listens[target->index];
	case SECTION_POOL:
		return &target->config->pools[target->index];
	case SECTION_TLS:
		return &target->config->tlss[target->index];
	default:
		return &target->config->limpet;
	}
}

static char *name_copy(const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		fatal("no memory for the configuration");
	return copy;
}

static void add_listen(struct config *config, const char *name)
{
	size_t count = config->listen_count++;

	config->listens = grown(config->listens, count + 1, sizeof *config->listens);
	config->listens[count].name = name_copy(name);
}

static void add_pool(struct config *config, const char *name)
{
	size_t count = config->pool_count++;

	config->pools = grown(config->pools, count + 1, sizeof *config->pools);
	config->pools[count].name = name_copy(name);
	config->pools[count].index = count;
}

static void add_tls(struct config *config, const char *name)
{
	size_t count = config->tls_count++;

	config->tlss = grown(config->tlss, count + 1, sizeof *config->tlss);
	config->tlss[count].name = name_copy(name);
	config->tlss[count].index = count;
}

static void add_section(const struct target *target, const char *name)
{
	if (target->kind == SECTION_LISTEN)
		add_listen(target->config, name);
	else if (target->kind == SECTION_POOL)
		add_pool(target->config, name);
	else
		add_tls(target->config, name);
}

static size_t section_count(const struct target *target)
{
	switch (target->kind) {
	case SECTION_LISTEN:
		return target->config->listen_count;
	case SECTION_POOL:
		return target->config->pool_count;
	default:
		return target->config->tls_count;
	}
}

static const char *section_name(const struct target *target, size_t index)
{
	switch (target->kind) {
	case SECTION_LISTEN:
		return target->config->listens[index].name;
	case SECTION_POOL:
		return target->config->pools[index].name;
	default:
		return target->config->tlss[index].name;
	}
}

/* Target is the section of that name, a fresh one with its defaults where there is none. */
static bool section_enter(struct target *target, const char *name, struct ini_place place,
			  struct error *e)
{
	size_t count = section_count(target);

	for (target->index = 0; target->index < count; target->index++)
		if (strcmp(section_name(target, target->index), name) == 0)
			return true;
	if (count == SECTIONS_MOST)
		return error_set(e, "more than %d sections [%s:NAME]", SECTIONS_MOST,
				 option_tables[target->kind].section);
	add_section(target, name);
	option_begin_all(&option_tables[target->kind], object_of(target));
	origins_add_section(target->config->origins, target->kind, place);
	return true;
}

static bool kind_unknown(const char *word, const char *rest, struct error *e)
{
	struct nearest nearest = nearest_begin(word);

	for (int kind = 0; kind < SECTION_KINDS; kind++)
		nearest_offer(&nearest, option_tables[kind].section);
	if (nearest.best)
		return error_set(e, "unknown section [%.40s%.80s]; did you mean [%s%.80s]?", word,
				 rest, nearest.best, rest);
	return error_set(
		e,
		"unknown section [%.40s%.80s]; there are [limpet], [listen:NAME], [pool:NAME] and "
		"[tls:NAME]",
		word, rest);
}

static bool kind_find(const char *section, enum section_kind *kind_r, struct error *e)
{
	size_t length = strcspn(section, ":");
	char *word;

	for (int kind = 0; kind < SECTION_KINDS; kind++) {
		const char *known = option_tables[kind].section;

		if (strlen(known) == length && strncmp(section, known, length) == 0) {
			*kind_r = (enum section_kind)kind;
			return true;
		}
	}
	word = name_copy(section);
	word[length] = '\0';
	kind_unknown(word, section + length, e);
	free(word);
	return false;
}

static bool name_check(const char *kind, const char *name, struct error *e)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (!name || *name == '\0')
		return error_set(e, "[%s] needs a name, such as [%s:app]", kind, kind);
	if (name[strspn(name, letters)] || strlen(name) > NAME_MOST)
		return error_set(
			e, "\"%.80s\" is no good name; a name has 1 to %d letters, digits, _ or -",
			name, NAME_MOST);
	return true;
}

/* "limpet", "pool:NAME", "listen:NAME", "tls:NAME". */
static bool target_find(struct target *target, const char *section, struct ini_place place,
			struct error *e)
{
	const char *colon = strchr(section, ':');
	const struct option_table *table;

	if (!kind_find(section, &target->kind, e))
		return false;
	table = &option_tables[target->kind];
	if (table->named)
		return name_check(table->section, colon ? colon + 1 : NULL, e) &&
		       section_enter(target, colon + 1, place, e);
	if (colon)
		return error_set(e, "[%s] takes no name; write [%s]", table->section,
				 table->section);
	target->index = 0;
	return true;
}

/* The nearest name here, or the section where the name would be right. */
static bool key_unknown(enum section_kind kind, const char *key, struct error *e)
{
	const struct option_table *table = &option_tables[kind];
	struct nearest nearest = nearest_begin(key);

	for (int other = 0; other < SECTION_KINDS; other++)
		if (option_find(&option_tables[other], key))
			return error_set(e, "%.80s stands in [%s%s], not in [%s%s]", key,
					 option_tables[other].section,
					 option_tables[other].named ? ":NAME" : "", table->section,
					 table->named ? ":NAME" : "");
	for (size_t i = 0; i < table->count; i++)
		nearest_offer(&nearest, table->rows[i].name);
	if (nearest.best)
		return error_set(e, "unknown option %.80s; did you mean %s?", key, nearest.best);
	return error_set(e, "unknown option %.80s; limpet.ini(5) tells those of [%s%s]", key,
			 table->section, table->named ? ":NAME" : "");
}

static bool set_twice(const struct target *target, const struct option *option, struct error *e)
{
	struct ini_place first =
		origins_place(target->config->origins, target->kind, target->index, option, 0);

	if (first.line == 0)
		return error_set(e, "%s was set already by %.200s", option->name, first.file);
	return error_set(e, "%s was set already at %.200s:%u", option->name, first.file,
			 first.line);
}

static bool target_set(const struct target *target, const char *key, const char *value,
		       struct ini_place place, bool may_replace, struct error *e)
{
	const struct option *option = option_find(&option_tables[target->kind], key);
	struct origins *origins = target->config->origins;
	size_t before;

	if (!option)
		return key_unknown(target->kind, key, e);
	before = origins_count(origins, target->kind, target->index, option);
	if (before > 0 && !option_is_list(option) && !may_replace)
		return set_twice(target, option, e);
	if (!option_set(option, object_of(target), value, before > 0, e))
		return false;
	if (!option_is_list(option) || *value == '\0')
		origins_reset(origins, target->kind, target->index, option);
	if (!option_is_list(option) || *value)
		origins_add(origins, target->kind, target->index, option, place);
	return true;
}

static bool on_section(void *arg, const char *name, struct ini_place place, struct error *e)
{
	struct target *target = arg;

	if (name)
		return target_find(target, name, place, e);
	target->kind = SECTION_KINDS;
	return true;
}

static bool on_value(void *arg, const char *key, const char *value, struct ini_place place,
		     struct error *e)
{
	struct target *target = arg;

	if (target->kind == SECTION_KINDS)
		return error_set(
			e,
			"%.80s stands before the first section; put [limpet], [listen:NAME], "
			"[pool:NAME] or [tls:NAME] in front",
			key);
	return target_set(target, key, value, place, false, e);
}

struct config *config_load(const char *path, struct error *e)
{
	struct target target = { .config = config_new(), .kind = SECTION_KINDS };
	struct ini_handler handler = { on_section, on_value, &target };

	origins_set_file(target.config->origins, path);
	if (!ini_read(path, CONFIG_FILE_LIMIT, &handler, e) || !config_check(target.config, e))
		config_free(&target.config);
	return target.config;
}

struct config *config_parse(const char *name, const char *text, size_t length, struct error *e)
{
	struct target target = { .config = config_new(), .kind = SECTION_KINDS };
	struct ini_handler handler = { on_section, on_value, &target };

	origins_set_file(target.config->origins, name);
	if (!ini_parse(name, text, length, CONFIG_FILE_LIMIT, &handler, e) ||
	    !config_check_whole(target.config, e))
		config_free(&target.config);
	return target.config;
}

bool config_set(struct config *config, const char *section, const char *key, const char *value,
		const char *origin, struct error *e)
{
	struct target target = { .config = config };
	struct ini_place place = { .file = origin };

	return (target_find(&target, section, place, e) &&
		target_set(&target, key, value, place, true, e)) ||
	       ini_place_error(place, e);
}

bool config_check(struct config *config, struct error *e)
{
	return config_check_whole(config, e) && config_check_rights(config, e);
}

static bool section_equal(enum section_kind kind, const void *a, const void *b)
{
	const struct option_table *table = &option_tables[kind];

	for (size_t i = 0; i < table->count; i++)
		if (!option_equal(&table->rows[i], a, b))
			return false;
	return true;
}

bool config_equal(const struct config *a, const struct config *b)
{
	if (a->listen_count != b->listen_count || a->pool_count != b->pool_count ||
	    a->tls_count != b->tls_count || !section_equal(SECTION_LIMPET, &a->limpet, &b->limpet))
		return false;
	for (size_t i = 0; i < a->listen_count; i++)
		if (strcmp(a->listens[i].name, b->listens[i].name) != 0 ||
		    !section_equal(SECTION_LISTEN, &a->listens[i], &b->listens[i]))
			return false;
	for (size_t i = 0; i < a->pool_count; i++)
		if (strcmp(a->pools[i].name, b->pools[i].name) != 0 ||
		    !section_equal(SECTION_POOL, &a->pools[i], &b->pools[i]))
			return false;
	for (size_t i = 0; i < a->tls_count; i++)
		if (strcmp(a->tlss[i].name, b->tlss[i].name) != 0 ||
		    !section_equal(SECTION_TLS, &a->tlss[i], &b->tlss[i]))
			return false;
	return true;
}
