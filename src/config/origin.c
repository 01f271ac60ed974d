/* Why: origin.h. SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/origin.h"

struct place_list {
	struct ini_place *items;
	size_t count, size;
};

struct section_origin {
	struct ini_place head;
	struct place_list *rows; /* one per row of the option table */
};

struct origins {
	char **files; /* names live here: places only point */
	size_t file_count;
	const char *file;
	struct section_origin *sections[SECTION_KINDS];
	size_t counts[SECTION_KINDS];
};

static void *grown(void *items, size_t count, size_t size)
{
	items = reallocarray(items, count, size);
	if (!items)
		fatal("no memory for the configuration");
	return items;
}

struct origins *origins_new(void)
{
	struct origins *origins = grown(NULL, 1, sizeof *origins);

	*origins = (struct origins){ 0 };
	return origins;
}

static void section_free(struct section_origin *section, size_t row_count)
{
	for (size_t i = 0; i < row_count; i++)
		free(section->rows[i].items);
	free(section->rows);
}

void origins_free(struct origins **origins)
{
	struct origins *o = *origins;

	if (!o)
		return;
	for (int kind = 0; kind < SECTION_KINDS; kind++) {
		for (size_t i = 0; i < o->counts[kind]; i++)
			section_free(&o->sections[kind][i], option_tables[kind].count);
		free(o->sections[kind]);
	}
	for (size_t i = 0; i < o->file_count; i++)
		free(o->files[i]);
	free(o->files);
	free(o);
	*origins = NULL;
}

/* The newest first: lines come file by file. */
static const char *file_kept(struct origins *origins, const char *file)
{
	for (size_t i = origins->file_count; i-- > 0;)
		if (strcmp(origins->files[i], file) == 0)
			return origins->files[i];
	origins->files = grown(origins->files, origins->file_count + 1, sizeof *origins->files);
	origins->files[origins->file_count] = strdup(file);
	if (!origins->files[origins->file_count])
		fatal("no memory for the configuration");
	return origins->files[origins->file_count++];
}

void origins_set_file(struct origins *origins, const char *file)
{
	origins->file = file_kept(origins, file);
}

struct ini_place origins_file(const struct origins *origins)
{
	return (struct ini_place){ .file = origins->file };
}

void origins_add_section(struct origins *origins, enum section_kind kind, struct ini_place place)
{
	size_t count = origins->counts[kind]++;
	struct section_origin *section;

	origins->sections[kind] = grown(origins->sections[kind], count + 1, sizeof *section);
	section = &origins->sections[kind][count];
	if (place.file)
		place.file = file_kept(origins, place.file);
	section->head = place;
	section->rows = calloc(option_tables[kind].count, sizeof *section->rows);
	if (!section->rows)
		fatal("no memory for the configuration");
}

static struct place_list *places(const struct origins *origins, enum section_kind kind,
				 size_t section, const struct option *option)
{
	return &origins->sections[kind][section].rows[option_index(&option_tables[kind], option)];
}

void origins_add(struct origins *origins, enum section_kind kind, size_t section,
		 const struct option *option, struct ini_place place)
{
	struct place_list *list = places(origins, kind, section, option);

	if (list->count == list->size) {
		list->size = list->size ? list->size * 2 : 1;
		list->items = grown(list->items, list->size, sizeof *list->items);
	}
	place.file = file_kept(origins, place.file);
	list->items[list->count++] = place;
}

void origins_reset(struct origins *origins, enum section_kind kind, size_t section,
		   const struct option *option)
{
	places(origins, kind, section, option)->count = 0;
}

size_t origins_count(const struct origins *origins, enum section_kind kind, size_t section,
		     const struct option *option)
{
	return places(origins, kind, section, option)->count;
}

struct ini_place origins_place(const struct origins *origins, enum section_kind kind,
			       size_t section, const struct option *option, size_t item)
{
	const struct place_list *list = option ? places(origins, kind, section, option) : NULL;

	return list && item < list->count ? list->items[item]
					  : origins->sections[kind][section].head;
}
