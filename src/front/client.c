/* Why: between accept and hand-over a client belongs to exactly one struct with exactly one end, so
 * that no socket leaks, none is closed twice and every end has a reason. The structs come from
 * chunks that are never given back: their number is that of the most clients that ever waited at
 * once. SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "front/client.h"
#include "front/door.h"
#include "wire/counter.h"

#define CLIENT_CHUNK   256
#define PASSPORT_CHUNK 64

static const struct {
	enum log_level level;
	const char *sentence;
} reasons[] = {
#define CLIENT_REASON(name, word, level, sentence) { level, sentence },
	END_REASONS(CLIENT_REASON)
#undef CLIENT_REASON
};

/* A passport; while nobody has it, a link of the chain of those. */
struct page {
	union {
		struct passport passport;
		SLIST_ENTRY(page) link;
	};
};

static struct client_queue unused = TAILQ_HEAD_INITIALIZER(unused);
static SLIST_HEAD(, page) blank = SLIST_HEAD_INITIALIZER(blank);
static unsigned in_hand;

static void grow_pool(void)
{
	struct client *chunk = calloc(CLIENT_CHUNK, sizeof *chunk);

	if (!chunk)
		fatal("out of memory");
	for (size_t i = 0; i < CLIENT_CHUNK; i++)
		TAILQ_INSERT_TAIL(&unused, &chunk[i], link);
}

struct client *client_begin(int *fd, struct door_listener *listener, const struct peer *peer)
{
	struct client *client;

	if (TAILQ_EMPTY(&unused))
		grow_pool();
	client = TAILQ_FIRST(&unused);
	TAILQ_REMOVE(&unused, client, link);
	*client = (struct client){ .listener = listener,
				   .peer = *peer,
				   .fd = fd_take(fd),
				   .pool = (uint32_t)listener->pool };
	listener->open++;
	in_hand++;
	counter_add(COUNTER_ACCEPTED, 1);
	return client;
}

static void grow_pages(void)
{
	struct page *chunk = calloc(PASSPORT_CHUNK, sizeof *chunk);

	if (!chunk)
		fatal("out of memory");
	for (size_t i = 0; i < PASSPORT_CHUNK; i++)
		SLIST_INSERT_HEAD(&blank, &chunk[i], link);
}

struct passport *client_passport(struct client *client)
{
	struct page *page;

	if (client->passport)
		return client->passport;
	if (SLIST_EMPTY(&blank))
		grow_pages();
	page = SLIST_FIRST(&blank);
	SLIST_REMOVE_HEAD(&blank, link);
	memset(page, 0, sizeof *page);
	client->passport = &page->passport;
	return client->passport;
}

static void give_back_passport(struct client *client)
{
	struct page *page = (struct page *)client->passport;

	if (!page)
		return;
	client->passport = NULL;
	SLIST_INSERT_HEAD(&blank, page, link);
}

/* Whoever can connect can cause these lines: of those that are logged by default one per second and
 * reason is enough, the counters know the rest. */
static void log_end(const struct client *client, enum end_reason reason, const char *why)
{
	static struct log_limit limits[END_REASONS_COUNT];
	const enum log_level level = reasons[reason].level;
	struct log_limit *limit = &limits[reason];
	char text[ADDRESS_TEXT], more[48] = "";

	if (!log_enabled(level) || (level < LOG_DEBUG && !log_limit_pass(limit)))
		return;
	if (limit->suppressed > 0)
		snprintf(more, sizeof more, " (and %u others before him)", limit->suppressed);
	log_line(level, client->listener->name, "client %s: %s%s%s%s",
		 peer_print(&client->peer, text), reasons[reason].sentence, why ? ": " : "",
		 why ? why : "", more);
}

/* The listener hears of it before the socket is closed, because the census knows it by its cookie;
 * the door after that, because then a descriptor is free. */
void client_end_because(struct client **client, enum end_reason reason, const char *why)
{
	struct client *ending = *client;
	struct door_listener *listener = ending->listener;
	struct door *door;

	if (!listener)
		fatal("a client ended twice");
	*client = NULL;
	door = listener->door;
	log_end(ending, reason, why);
	counter_end(reason);
	listener->open--;
	in_hand--;
	if (door)
		door_left(listener, ending, reason == END_HANDED_OVER);
	fd_close(&ending->fd);
	give_back_passport(ending);
	ending->listener = NULL;
	/* The last one in is the next one out: its memory is still in the cache. */
	TAILQ_INSERT_HEAD(&unused, ending, link);
	if (door)
		door_relieved(door);
}

void client_end(struct client **client, enum end_reason reason)
{
	client_end_because(client, reason, NULL);
}

unsigned client_count(void)
{
	return in_hand;
}
