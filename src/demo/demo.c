/* Why: the demo worker's process: who it is, where its clients come from, and when it ends. It
 * finishes what its clients have begun when the link ends, and hurries (one second) at SIGTERM.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "demo/demo.h"
#include "demo/demo_client.h"
#include "limpet_worker.h"

#define CLIENTS_PER_WAKE 64 /* then those that we have get their turn */
#define STOP_MS          1000

static uint64_t number_from(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* What would need escaping in JSON is left out: a name for people, nothing is looked up by it. */
static void copy_name(char *out, size_t size, const char *text)
{
	size_t used = 0;

	for (; text && *text && used + 1 < size; text++)
		if (*text >= 0x20 && *text < 0x7f && *text != '"' && *text != '\\')
			out[used++] = *text;
	out[used] = '\0';
}

static void identify(struct demo_identity *identity)
{
	identity->slot = number_from("LIMPET_SLOT");
	identity->generation = number_from("LIMPET_GENERATION");
	identity->pid = getpid();
	copy_name(identity->pool, sizeof identity->pool, getenv("LIMPET_POOL"));
}

/* As many clients as the hard limit allows: we use epoll, the soft limit is for users of select(2).
 */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void demo_client_left(struct demo *demo)
{
	if (demo->is_draining && TAILQ_EMPTY(&demo->clients))
		event_base_loopbreak(demo->base);
}

/* Calls `end_politely` for every client; it may free him. */
static void for_each_client(struct demo *demo, void (*end_politely)(struct demo_client *client))
{
	struct demo_client *client = TAILQ_FIRST(&demo->clients);

	while (client) {
		struct demo_client *next = demo_client_next(client);

		end_politely(client);
		client = next;
	}
	demo_client_left(demo);
}

static void drain(struct demo *demo)
{
	event_del(demo->on_link);
	demo->is_draining = true;
	for_each_client(demo, demo_client_drain);
}

static void take_client(struct demo *demo, struct limpet_client *client)
{
	if (demo->is_stopping) {
		fd_close(&client->fd);
		limpet_worker_refuse(demo->link, client->id, LIMPET_BUSY);
		return;
	}
	/* When it fails Limpet is gone, and with it every other copy of the socket: still ours. */
	limpet_worker_accept(demo->link, client->id);
	demo_client_begin(demo, client);
}

static void on_link(evutil_socket_t fd, short what, void *arg)
{
	struct demo *demo = arg;
	struct limpet_client client;

	(void)fd, (void)what;
	for (int i = 0; i < CLIENTS_PER_WAKE; i++) {
		const int result = limpet_worker_receive(demo->link, &client);

		if (result > 0) {
			take_client(demo, &client);
			continue;
		}
		if (result < 0 && errno == EAGAIN)
			return;
		if (result < 0)
			log_error("the link to Limpet failed: %s", strerror(errno));
		drain(demo);
		return;
	}
}

static void on_stopped(evutil_socket_t fd, short what, void *arg)
{
	struct demo *demo = arg;

	(void)fd, (void)what;
	event_base_loopbreak(demo->base);
}

static void on_term(evutil_socket_t fd, short what, void *arg)
{
	struct demo *demo = arg;
	const struct timeval wait = clock_timeval(STOP_MS);

	(void)fd, (void)what;
	if (demo->is_stopping)
		return;
	demo->is_stopping = demo->is_draining = true;
	event_add(demo->on_stopped, &wait);
	for_each_client(demo, demo_client_stop);
}

static void open_loop(struct demo *demo)
{
	demo->base = event_base_new();
	if (!demo->base)
		fatal("no event loop");
	demo->on_link = event_new(demo->base, demo->link, EV_READ | EV_PERSIST, on_link, demo);
	demo->on_term = evsignal_new(demo->base, SIGTERM, on_term, demo);
	demo->on_stopped = evtimer_new(demo->base, on_stopped, demo);
	if (!demo->on_link || !demo->on_term || !demo->on_stopped)
		fatal("no memory for the events of the demo worker");
	event_add(demo->on_link, NULL);
	event_add(demo->on_term, NULL);
}

static void close_loop(struct demo *demo)
{
	demo->is_draining = false; /* nobody is left to be told of the last client */
	for_each_client(demo, demo_client_abandon);
	event_free(demo->on_link);
	event_free(demo->on_term);
	event_free(demo->on_stopped);
	event_base_free(demo->base);
	fd_close(&demo->link);
}

int demo_run(void)
{
	struct demo demo = { .link = limpet_worker_link() };

	if (demo.link < 0) {
		log_error("a demo worker is started by Limpet, not by hand: run `limpet demo`");
		return 2;
	}
	identify(&demo.identity);
	raise_descriptor_limit();
	TAILQ_INIT(&demo.clients);
	open_loop(&demo);
	if (limpet_worker_ready(demo.link) == 0)
		event_base_dispatch(demo.base);
	close_loop(&demo);
	return 0;
}
