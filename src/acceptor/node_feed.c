/* Why: see the header: which server gets whose clients. SPDX-License-Identifier: ISC */
#include "acceptor/node_feed.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

void node_feeds_free(struct node_feeds *feeds)
{
	for (size_t i = 0; i < feeds->count; i++)
		fd_close(&feeds->items[i].shared);
	free(feeds->items);
	*feeds = (struct node_feeds){ .items = NULL };
}

/* The place of the first listener whose id is not less. */
static size_t lower_bound(const struct node_feeds *feeds, uint32_t id)
{
	size_t low = 0, high = feeds->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (feeds->items[middle].what.id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct node_feed *node_feeds_find(const struct node_feeds *feeds, uint32_t id)
{
	size_t i = lower_bound(feeds, id);

	return i < feeds->count && feeds->items[i].what.id == id ? &feeds->items[i] : NULL;
}

struct node_feed *node_feeds_add(struct node_feeds *feeds, const struct message_listener *what,
				 const struct listen_config *config, int *fd)
{
	size_t i = lower_bound(feeds, what->id);
	struct node_feed *grown;

	if (node_feeds_find(feeds, what->id))
		fatal("listener %u came twice", what->id);
	grown = reallocarray(feeds->items, feeds->count + 1, sizeof *grown);
	if (!grown)
		fatal("out of memory");
	memmove(&grown[i + 1], &grown[i], (feeds->count - i) * sizeof *grown);
	feeds->items = grown;
	feeds->count++;
	grown[i] = (struct node_feed){
		.what = *what,
		.config = config,
		.shared = what->use == LISTENER_SHARED ? fd_take(fd) : -1,
	};
	return &grown[i];
}

void node_feed_give(struct node_feed *feed, struct node_server *server)
{
	struct node_server *before = feed->server;

	if (before == server)
		return;
	feed->server = server;
	if (before)
		before->has_lost = true;
	if (before && before->shared >= 0)
		server->shared = fd_take(&before->shared);
	if (feed->shared >= 0)
		server->shared = fd_take(&feed->shared);
}

/* An exact question may take what nobody has, what another has by guess, and what another does not
 * use. */
static bool is_free(const struct node_feed *feed)
{
	return !feed->server || feed->server->is_guess || !node_server_is_used(feed->server);
}

static bool is_exact(const struct address *local, const struct node_asked *asked)
{
	if (asked->type == NODE_PATH)
		return local->any.sa_family == AF_UNIX &&
		       strcmp(local->local.sun_path, asked->address) == 0;
	return node_asked_is_tcp(asked) && asked->port > 0 && address_port(local) == asked->port;
}

/* Is one of the section's listeners exactly what the application asked for? */
static bool section_is_exact(const struct node_feeds *feeds, uint32_t section,
			     const struct node_asked *asked)
{
	for (size_t i = 0; i < feeds->count; i++) {
		const struct message_listener *what = &feeds->items[i].what;

		if (what->listen == section && is_exact(&what->local, asked))
			return true;
	}
	return false;
}

/* Rules 1 and 2. */
static bool is_asked_for(const struct node_feeds *feeds, const struct node_feed *feed,
			 const struct node_asked *asked)
{
	if (!feed->config)
		return false;
	if (feed->config->app_port > 0)
		return node_asked_is_tcp(asked) && asked->port == (int64_t)feed->config->app_port;
	return section_is_exact(feeds, feed->what.listen, asked);
}

/* Rule 4, where the supervisor opened just that for an earlier server, or for our predecessor. */
static bool is_opened_for(const struct node_feed *feed, const struct message_open *open)
{
	const struct address *local = &feed->what.local;
	bool is_any4 = local->any.sa_family == AF_INET && local->v4.sin_addr.s_addr == INADDR_ANY;

	if (feed->config || feed->what.use != open->use || feed->what.type != open->type ||
	    open->inherited >= 0)
		return false;
	if (open->local.any.sa_family != AF_UNIX && address_port(&open->local) == 0)
		return false;
	if (address_equal(local, &open->local))
		return true;
	return open->dual_fallback && is_any4 && address_port(local) == address_port(&open->local);
}

int node_feeds_take_exact(struct node_feeds *feeds, struct node_server *server,
			  const struct message_open *open)
{
	bool is_taken = false, is_busy = false;

	for (size_t i = 0; i < feeds->count; i++) {
		struct node_feed *feed = &feeds->items[i];

		if (!is_asked_for(feeds, feed, &server->asked) && !is_opened_for(feed, open))
			continue;
		if (!is_free(feed)) {
			is_busy = true;
			continue;
		}
		node_feed_give(feed, server);
		is_taken = true;
	}
	if (is_taken)
		return 0;
	return is_busy ? EADDRINUSE : ENOENT;
}

static bool is_unasked(const struct node_feed *feed)
{
	return feed->config && feed->config->app_port == 0 &&
	       (!feed->server || !node_server_is_used(feed->server));
}

/* A port of 0 means that the application wants to be told one. */
static bool has_port_for(const struct node_feeds *feeds, const struct node_server *server)
{
	for (size_t i = 0; i < feeds->count && server->asked.port == 0; i++) {
		if (is_unasked(&feeds->items[i]) && address_port(&feeds->items[i].what.local) > 0)
			return true;
	}
	return server->asked.port > 0;
}

bool node_feeds_take_unasked(struct node_feeds *feeds, struct node_server *server)
{
	if (!node_asked_is_tcp(&server->asked) || server->asked.index != 0 ||
	    !has_port_for(feeds, server))
		return false;
	for (size_t i = 0; i < feeds->count; i++) {
		if (!is_unasked(&feeds->items[i]))
			continue;
		node_feed_give(&feeds->items[i], server);
		server->is_guess = true;
	}
	return server->is_guess;
}

struct node_server *node_feeds_join(struct node_feeds *feeds, struct node_feed *feed)
{
	for (size_t i = 0; i < feeds->count && feed->config; i++) {
		const struct node_feed *other = &feeds->items[i];

		if (other->what.listen == feed->what.listen && other->server) {
			node_feed_give(feed, other->server);
			return other->server;
		}
	}
	return NULL;
}

size_t node_feeds_of(const struct node_feeds *feeds, const struct node_server *server,
		     uint32_t *ids_r)
{
	size_t count = 0;

	for (size_t i = 0; i < feeds->count && count < NODE_FEEDS_MAX; i++) {
		if (feeds->items[i].server == server)
			ids_r[count++] = feeds->items[i].what.id;
	}
	return count;
}

const struct address *node_feeds_address(const struct node_feeds *feeds,
					 const struct node_server *server)
{
	static const struct address none;
	const struct address *best = &none;

	for (size_t i = 0; i < feeds->count; i++) {
		const struct node_feed *feed = &feeds->items[i];

		if (feed->server == server && (best == &none || address_port(best) == 0))
			best = &feed->what.local;
	}
	return best;
}
