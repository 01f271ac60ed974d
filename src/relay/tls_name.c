/* Why: tls_name.h. SPDX-License-Identifier: ISC */
#include "relay/tls_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define LABEL_MOST  63
#define INDEX_FIRST 16

static char lower_ldh(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
		return (char)c;
	return '\0';
}

static bool read_label(const unsigned char *text, size_t length, char *out)
{
	if (length == 0 || length > LABEL_MOST || text[0] == '-' || text[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++) {
		out[i] = lower_ldh(text[i]);
		if (!out[i])
			return false;
	}
	return true;
}

static bool read_labels(const unsigned char *text, size_t length, char *out)
{
	size_t start = 0;

	for (size_t i = 0; i <= length; i++) {
		if (i < length && text[i] != '.')
			continue;
		if (!read_label(text + start, i - start, out + start))
			return false;
		out[i] = i < length ? '.' : '\0';
		start = i + 1;
	}
	return true;
}

bool tls_name_read(const void *text, size_t length, bool wildcard, char name_r[TLS_NAME_SIZE])
{
	const unsigned char *bytes = text;
	size_t skip = wildcard && length > 2 && memcmp(bytes, "*.", 2) == 0 ? 2 : 0;

	memcpy(name_r, "*.", skip);
	if (length < TLS_NAME_SIZE && read_labels(bytes + skip, length - skip, name_r + skip))
		return true;
	name_r[0] = '\0';
	return false;
}

void tls_name_index_add(struct tls_name_index *index, const char *name, size_t number)
{
	if (index->count == index->size) {
		index->size = index->size ? index->size * 2 : INDEX_FIRST;
		index->entries = reallocarray(index->entries, index->size, sizeof *index->entries);
		if (!index->entries)
			fatal("out of memory");
	}
	index->entries[index->count].name = strdup(name);
	if (!index->entries[index->count].name)
		fatal("out of memory");
	index->entries[index->count++].number = number;
}

static int compare(const void *one, const void *other)
{
	const struct tls_name_entry *a = one, *b = other;
	int order = strcmp(a->name, b->name);

	return order ? order : (a->number > b->number) - (a->number < b->number);
}

void tls_name_index_sort(struct tls_name_index *index)
{
	if (index->count > 0)
		qsort(index->entries, index->count, sizeof *index->entries, compare);
}

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct tls_name_entry *)entry)->name);
}

static bool find(const struct tls_name_index *index, const char *name, size_t *number_r)
{
	const struct tls_name_entry *entry = index->count
						     ? bsearch(name, index->entries, index->count,
							       sizeof *index->entries, compare_name)
						     : NULL;

	if (entry)
		*number_r = entry->number;
	return entry;
}

bool tls_name_index_find(const struct tls_name_index *index, const char *name, size_t *number_r)
{
	const char *dot = strchr(name, '.');
	char pattern[TLS_NAME_SIZE];

	if (find(index, name, number_r))
		return true;
	if (!dot)
		return false;
	/* Shorter than the name, unless its first label is shorter than the star. */
	if ((size_t)snprintf(pattern, sizeof pattern, "*%s", dot) >= sizeof pattern)
		return false;
	return find(index, pattern, number_r);
}

void tls_name_index_free(struct tls_name_index *index)
{
	for (size_t i = 0; i < index->count; i++)
		free(index->entries[i].name);
	free(index->entries);
	*index = (struct tls_name_index){ .entries = NULL };
}
