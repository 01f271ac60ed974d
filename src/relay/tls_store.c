/* Why: the sections of one process: what each collects for its next load, and what it serves now.
 * SPDX-License-Identifier: ISC */
#include "relay/tls_store.h"

#include <stdlib.h>

#include "base/fd.h"
#include "base/log.h"
#include "relay/tls_policy.h"

struct section {
	struct tls_material *material; /* for the next load; NULL: nothing came */
	struct tls_context *context;   /* NULL: nothing was good yet */
};

struct tls_store {
	const struct config *config;
	struct tls_tickets *tickets;
	struct section *sections;
};

struct tls_store *tls_store_new(const struct config *config)
{
	struct tls_store *store = calloc(1, sizeof *store);

	if (!store)
		fatal("out of memory");
	tls_library_begin();
	store->config = config;
	store->tickets = tls_tickets_new();
	store->sections = calloc(config->tls_count + 1, sizeof *store->sections);
	if (!store->sections)
		fatal("out of memory");
	return store;
}

void tls_store_free(struct tls_store **store)
{
	struct tls_store *s = *store;

	*store = NULL;
	if (!s)
		return;
	for (size_t i = 0; i < s->config->tls_count; i++) {
		tls_material_free(&s->sections[i].material);
		tls_context_release(&s->sections[i].context);
	}
	tls_tickets_release(&s->tickets);
	free(s->sections);
	free(s);
}

void tls_store_file(struct tls_store *store, const struct message_tls_file *file, int *fd)
{
	struct section *section;

	if (file->tls >= store->config->tls_count)
		fatal("a file of a [tls] section that there is not: %u", file->tls);
	section = &store->sections[file->tls];
	if (!section->material)
		section->material = tls_material_new();
	tls_material_add(section->material,
			 section->context ? tls_context_material(section->context) : NULL, file,
			 fd);
}

bool tls_store_build(struct tls_store *store, size_t tls, struct tls_fault *fault, char *warning,
		     size_t size)
{
	struct section *section = &store->sections[tls];
	struct tls_context *fresh;

	warning[0] = '\0';
	if (!section->material)
		section->material = tls_material_new();
	fresh = tls_context_new(&store->config->tlss[tls], &section->material, store->tickets,
				section->context, fault, warning, size);
	if (!fresh)
		return false;
	tls_context_release(&section->context);
	section->context = fresh;
	return true;
}

void tls_store_load(struct tls_store *store, const struct message_tls *load,
		    struct message_tls_loaded *loaded_r)
{
	struct tls_fault fault;

	if (load->tls >= store->config->tls_count)
		fatal("a [tls] section that there is not: %u", load->tls);
	*loaded_r = (struct message_tls_loaded){ .tls = load->tls, .serial = load->serial };
	loaded_r->good =
		tls_store_build(store, load->tls, &fault, loaded_r->text, sizeof loaded_r->text);
	if (loaded_r->good)
		loaded_r->expires = tls_context_expires(store->sections[load->tls].context);
	else
		snprintf(loaded_r->text, sizeof loaded_r->text, "%.*s",
			 (int)sizeof loaded_r->text - 1, fault.error.text);
}

void tls_store_tickets(struct tls_store *store, const struct message_tickets *tickets)
{
	tls_tickets_set(store->tickets, tickets);
}

struct tls_context *tls_store_context(const struct tls_store *store, size_t tls)
{
	return store->sections[tls].context;
}
