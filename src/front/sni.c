/* Why: see the header. Source: RFC 6125 6.4.3 (a wildcard is one whole label, the first).
 * SPDX-License-Identifier: ISC */
#include "front/sni.h"

#include <string.h>

static const struct sni_route *find(const struct sni_list *list, const char *first,
				    const char *rest)
{
	const size_t length = strlen(first);

	for (size_t i = 0; i < list->count; i++) {
		const char *name = list->items[i].name;

		if (strncmp(name, first, length) == 0 && strcmp(name + length, rest) == 0)
			return &list->items[i];
	}
	return NULL;
}

const struct sni_route *sni_find(const struct sni_list *list, const char *name)
{
	const struct sni_route *route = *name ? find(list, "", name) : NULL;
	const char *dot = strchr(name, '.');

	/* An empty first label is no label. */
	if (!route && dot && dot > name)
		route = find(list, "*", dot);
	return route;
}
