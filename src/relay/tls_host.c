/* Why: tls_host.h. SPDX-License-Identifier: ISC */
#include "relay/tls_host.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define NOBODY SIZE_MAX

/* A further certificate of a set must be of a kind that is not in it yet: the first one counts. */
static void add_member(const struct tls_material *material, struct tls_host *host,
		       size_t certificate)
{
	const int kind = tls_certificate_type(&material->certificates[certificate]);

	for (size_t i = 0; i < host->member_count; i++)
		if (tls_certificate_type(&material->certificates[host->members[i]]) == kind)
			return;
	if (host->member_count < TLS_HOST_KINDS)
		host->members[host->member_count++] = certificate;
}

/* `chain[c]`: the newest host whose first certificate is c, and so on by `next`; a set is looked
 * for among those only. */
struct grouping {
	size_t *chain, *next;
};

static size_t host_with(struct tls_hosts *hosts, struct grouping *grouping,
			const struct tls_host *wanted)
{
	const size_t first = wanted->members[0];
	size_t at;

	for (at = grouping->chain[first]; at != NOBODY; at = grouping->next[at])
		if (hosts->items[at].member_count == wanted->member_count &&
		    memcmp(hosts->items[at].members, wanted->members,
			   wanted->member_count * sizeof *wanted->members) == 0)
			return at;
	at = hosts->count++;
	hosts->items = reallocarray(hosts->items, hosts->count, sizeof *wanted);
	grouping->next = reallocarray(grouping->next, hosts->count, sizeof *grouping->next);
	if (!hosts->items || !grouping->next)
		fatal("out of memory");
	hosts->items[at] = *wanted;
	grouping->next[at] = grouping->chain[first];
	grouping->chain[first] = at;
	return at;
}

/* Of clients that name nobody: the first certificate, and those of other kinds for the same name,
 * or for none as it has none (addresses). */
static struct tls_host default_host(const struct tls_material *material)
{
	const struct tls_certificate *first = &material->certificates[0];
	struct tls_host host = { .member_count = 0 };

	for (size_t i = 0; i < material->count; i++) {
		const struct tls_certificate *other = &material->certificates[i];

		if (i == 0 || (first->name_count == 0 && other->name_count == 0) ||
		    (first->name_count > 0 && tls_certificate_has_name(other, first->names[0])))
			add_member(material, &host, i);
	}
	return host;
}

/* Turns the sorted (name, certificate) pairs into (name, host). */
static void group_names(struct tls_hosts *hosts, const struct tls_material *material,
			struct grouping *grouping, const struct tls_name_index *pairs)
{
	for (size_t i = 0; i < pairs->count;) {
		const char *name = pairs->entries[i].name;
		struct tls_host host = { .member_count = 0 };

		for (; i < pairs->count && strcmp(pairs->entries[i].name, name) == 0; i++)
			add_member(material, &host, pairs->entries[i].number);
		tls_name_index_add(&hosts->index, name, host_with(hosts, grouping, &host));
	}
	tls_name_index_sort(&hosts->index);
}

void tls_hosts_group(struct tls_hosts *hosts, const struct tls_material *material)
{
	struct tls_name_index pairs = { .entries = NULL };
	struct grouping grouping = { .chain = NULL };
	struct tls_host first = default_host(material);

	grouping.chain = malloc(material->count * sizeof *grouping.chain);
	if (!grouping.chain)
		fatal("out of memory");
	for (size_t i = 0; i < material->count; i++) {
		const struct tls_certificate *certificate = &material->certificates[i];

		grouping.chain[i] = NOBODY;
		for (size_t k = 0; k < certificate->name_count; k++)
			tls_name_index_add(&pairs, certificate->names[k], i);
	}
	tls_name_index_sort(&pairs);
	host_with(hosts, &grouping, &first);
	group_names(hosts, material, &grouping, &pairs);
	tls_name_index_free(&pairs);
	free(grouping.chain);
	free(grouping.next);
}

void tls_hosts_free(struct tls_hosts *hosts)
{
	for (size_t i = 0; i < hosts->count; i++) {
		SSL_CTX_free(hosts->items[i].ssl_ctx);
		tls_ring_free(&hosts->items[i].ring);
	}
	free(hosts->items);
	tls_name_index_free(&hosts->index);
	*hosts = (struct tls_hosts){ .items = NULL };
}
