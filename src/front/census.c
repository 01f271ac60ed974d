/* Why: counting what one does not hold goes wrong in the end: news get lost, dumps and news
 * overtake each other. So the count is never only added to and subtracted from: it is a set of
 * sockets, known by their cookies, which a dump compares with the kernel's own list, after lost
 * news and once a minute. A wrong count heals by itself, and a listener cannot stop for ever
 * because of one.
 *
 * A socket may end while a dump runs whose rows still show it. Every cookie that ends meanwhile is
 * therefore remembered as dead until the dump is over, and its rows are not believed.
 * Source: sock_diag(7). SPDX-License-Identifier: ISC */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/census.h"
#include "front/sock_diag.h"
#include "front/tally.h"
#include "wire/counter.h"

#define CENSUS_REPEAT_MS  60000 /* from one dump to the next, if nothing was lost */
#define CENSUS_REPAIR_MS  1000  /* the same, if something was */
#define CENSUS_STALL_MS   5000  /* a dump that takes longer is given up */
#define CENSUS_FIRST_MS   1000  /* longest time that the start waits for the first dump */
#define CENSUS_NEWS_BURST 8     /* reads of SOCK_DIAG_EVENTS each, then back to the loop */

/*	BLIND                               the kernel tells nothing, or is not asked; for good
 *	STEADY --dump_begin--> DUMPING      news were lost, or a minute is over
 *	DUMPING --dump_end--> STEADY        complete, or failed and tried again later
 *	STEADY, DUMPING --go_blind--> BLIND no netlink here, or the very first dump failed
 *	census_become makes them all. */
enum census_state {
	CENSUS_BLIND,
	CENSUS_STEADY,
	CENSUS_DUMPING
};

struct census {
	struct event_base *base;
	census_handler *handler;
	void *arg;
	enum census_state state;
	struct address *locals;
	size_t local_count;
	size_t asked;      /* index of the address whose rows come in */
	uint32_t question; /* number of the last one asked */
	uint32_t round;    /* of dumps: entries seen in this one have it as their mark */
	bool lost;         /* news were lost since the last dump began */
	int64_t begun_ms;  /* the last dump */
	int events_fd, dump_fd;
	struct event *events, *dump;
	struct tally sockets; /* cookie -> host */
	struct tally hosts;   /* host -> number of its sockets */
	size_t total;         /* sockets without the dead */
	uint64_t seed;        /* hosts are hashes; nobody can aim at a collision */
};

static uint64_t host_of(const struct census *census, const struct peer *peer)
{
	const uint64_t key = peer_key(peer, 32, 64, census->seed);

	return key ? key : 1;
}

static void count_in(struct census *census, uint64_t cookie, const struct peer *peer)
{
	struct tally_entry *entry = tally_add(&census->sockets, cookie);

	entry->mark = census->round;
	if (entry->is_dead || entry->value)
		return;
	entry->value = host_of(census, peer);
	tally_add(&census->hosts, entry->value)->value++;
	census->total++;
	counter_add(COUNTER_COUNTED, 1);
}

static void count_out(struct census *census, uint64_t host)
{
	struct tally_entry *entry = tally_find(&census->hosts, host);

	if (!entry || census->total == 0)
		fatal("the census lost a client's address");
	if (--entry->value == 0)
		tally_remove(&census->hosts, entry);
	census->total--;
	counter_sub(COUNTER_COUNTED, 1);
}

/* Returns true where the count fell. */
static bool forget(struct census *census, uint64_t cookie)
{
	struct tally_entry *entry;
	bool counted;

	if (census->state == CENSUS_DUMPING)
		entry = tally_add(&census->sockets, cookie);
	else
		entry = tally_find(&census->sockets, cookie);
	if (!entry)
		return false;
	counted = !entry->is_dead && entry->value;
	if (counted)
		count_out(census, entry->value);
	if (census->state == CENSUS_DUMPING)
		entry->is_dead = true;
	else
		tally_remove(&census->sockets, entry);
	return counted;
}

/* What the dump did not show is gone; after a dump that failed only the dead are. */
static bool sweep(struct census *census, bool complete)
{
	const size_t before = census->total;
	struct tally *sockets = &census->sockets;

	for (size_t i = 0; i < sockets->size;) {
		struct tally_entry *entry = &sockets->entries[i];

		if (entry->key == 0 ||
		    (!entry->is_dead && !(complete && entry->mark != census->round))) {
			i++;
			continue;
		}
		if (!entry->is_dead)
			count_out(census, entry->value);
		tally_remove(sockets, entry);
	}
	tally_trim(sockets);
	tally_trim(&census->hosts);
	return census->total < before;
}

static void census_hang_up(struct census *census)
{
	if (census->events)
		event_free(census->events);
	if (census->dump)
		event_free(census->dump);
	census->events = census->dump = NULL;
	fd_close(&census->events_fd);
	fd_close(&census->dump_fd);
}

/* One timer: what is due in this state is the end of the dump, or its beginning. */
static void census_become(struct census *census, enum census_state state, int64_t timeout_ms)
{
	const struct timeval timeout = clock_timeval(timeout_ms);

	census->state = state;
	if (state == CENSUS_BLIND)
		census_hang_up(census);
	else
		event_add(census->dump, &timeout);
}

static bool dump_end(struct census *census, bool complete)
{
	static struct log_limit limit;
	const bool fell = sweep(census, complete);
	const int64_t period = complete && !census->lost ? CENSUS_REPEAT_MS : CENSUS_REPAIR_MS;

	if (!complete && log_limit_pass(&limit))
		log_warning("connections could not be counted anew: %s", strerror(errno));
	census_become(census, CENSUS_STEADY, period);
	return fell;
}

static int dump_ask(struct census *census)
{
	return sock_diag_ask(census->dump_fd, &census->locals[census->asked], ++census->question);
}

/* Returns whether the kernel took the question. */
static bool dump_begin(struct census *census)
{
	census->round++;
	census->asked = 0;
	census->lost = false;
	census->begun_ms = clock_now_ms();
	census_become(census, CENSUS_DUMPING, CENSUS_STALL_MS);
	return dump_ask(census) == 0;
}

static void on_row(const struct sock_diag_row *row, void *arg)
{
	count_in(arg, row->cookie, &row->peer);
}

/* Reads one portion; END only after the last address. */
static enum sock_diag_answer dump_step(struct census *census)
{
	enum sock_diag_answer answer;

	answer = sock_diag_read(census->dump_fd, &census->locals[census->asked], census->question,
				on_row, census);
	if (answer != SOCK_DIAG_END || census->asked + 1 == census->local_count)
		return answer;
	census->asked++;
	return dump_ask(census) == 0 ? SOCK_DIAG_MORE : SOCK_DIAG_FAILED;
}

static void on_dump(evutil_socket_t fd, short what, void *arg)
{
	struct census *census = arg;
	enum sock_diag_answer answer = SOCK_DIAG_LATER;

	(void)fd;
	if (what & EV_READ) {
		answer = dump_step(census);
	} else if (census->state == CENSUS_DUMPING) {
		errno = ETIMEDOUT;
		answer = SOCK_DIAG_FAILED;
	} else if (!dump_begin(census)) {
		answer = SOCK_DIAG_FAILED;
	}
	if (census->state != CENSUS_DUMPING)
		return;
	if (answer != SOCK_DIAG_END && answer != SOCK_DIAG_FAILED)
		return;
	if (dump_end(census, answer == SOCK_DIAG_END))
		census->handler(census->arg);
}

/* Once it has lost something the kernel goes on losing, without a further word, until we have read
 * everything (netlink_overrun() in net/netlink/af_netlink.c). A dump that begins earlier would show
 * sockets whose end nobody tells. */
static void repair(struct census *census)
{
	if (census->lost && census->state == CENSUS_STEADY)
		census_become(census, CENSUS_STEADY,
			      census->begun_ms + CENSUS_REPAIR_MS - clock_now_ms());
}

static void on_events(evutil_socket_t fd, short what, void *arg)
{
	struct census *census = arg;
	uint64_t cookies[SOCK_DIAG_EVENTS];
	bool fell = false;

	(void)what;
	for (int burst = 0; burst < CENSUS_NEWS_BURST; burst++) {
		const int count = sock_diag_read_events(fd, cookies, SOCK_DIAG_EVENTS);

		if (count < 0 && errno != ENOBUFS) {
			repair(census);
			break;
		}
		if (count < 0)
			census->lost = true;
		for (int i = 0; i < count; i++)
			fell |= forget(census, cookies[i]);
		if (count < SOCK_DIAG_EVENTS && !census->lost)
			break;
	}
	if (fell)
		census->handler(census->arg);
}

static void go_blind(struct census *census)
{
	static bool said;

	if (!said)
		log_warning("max_connections and max_per_client count only clients that wait for a "
			    "worker: "
			    "NETLINK_SOCK_DIAG: %s",
			    strerror(errno));
	said = true;
	census_become(census, CENSUS_BLIND, 0);
}

/* The first dump is waited for: who opens the door must know who is inside. */
static bool dump_now(struct census *census)
{
	const int64_t deadline_ms = clock_now_ms() + CENSUS_FIRST_MS;
	enum sock_diag_answer answer = dump_begin(census) ? SOCK_DIAG_MORE : SOCK_DIAG_FAILED;

	while (answer == SOCK_DIAG_MORE || answer == SOCK_DIAG_LATER) {
		struct pollfd ready = { .fd = census->dump_fd, .events = POLLIN };
		const int64_t left_ms = deadline_ms - clock_now_ms();

		if (left_ms <= 0)
			return true; /* goes on in the loop */
		if (answer == SOCK_DIAG_LATER)
			poll(&ready, 1, (int)left_ms);
		answer = dump_step(census);
	}
	if (answer == SOCK_DIAG_END)
		dump_end(census, true);
	return answer == SOCK_DIAG_END;
}

/* News first, then the dump: what ends in between is not missed. */
static bool census_dial(struct census *census)
{
	census->events_fd = sock_diag_open_events();
	census->dump_fd = sock_diag_open_dump();
	if (census->events_fd < 0 || census->dump_fd < 0)
		return false;
	census->events =
		event_new(census->base, census->events_fd, EV_READ | EV_PERSIST, on_events, census);
	census->dump =
		event_new(census->base, census->dump_fd, EV_READ | EV_PERSIST, on_dump, census);
	if (!census->events || !census->dump)
		fatal("out of memory");
	event_add(census->events, NULL);
	census_become(census, CENSUS_STEADY, CENSUS_REPEAT_MS);
	return true;
}

static struct census *census_create(struct event_base *base, census_handler *handler, void *arg)
{
	struct census *census = calloc(1, sizeof *census);

	if (!census)
		fatal("out of memory");
	*census = (struct census){
		.base = base, .handler = handler, .arg = arg, .events_fd = -1, .dump_fd = -1
	};
	if (getrandom(&census->seed, sizeof census->seed, 0) != sizeof census->seed)
		fatal("getrandom: %s", strerror(errno));
	return census;
}

struct census *census_new(struct event_base *base, const struct address *local,
			  census_handler *handler, void *arg)
{
	struct census *census = census_create(base, handler, arg);

	if (!census_dial(census))
		go_blind(census);
	census_add(census, local);
	return census;
}

struct census *census_new_own(void)
{
	struct census *census = census_create(NULL, NULL, NULL);

	census_become(census, CENSUS_BLIND, 0);
	return census;
}

void census_add(struct census *census, const struct address *local)
{
	const size_t size = (census->local_count + 1) * sizeof *census->locals;

	census->locals = realloc(census->locals, size);
	if (!census->locals)
		fatal("out of memory");
	census->locals[census->local_count++] = *local;
	if (census->state == CENSUS_BLIND || dump_now(census))
		return;
	if (census->local_count == 1)
		go_blind(census);
	else
		dump_end(census, false);
}

void census_free(struct census **census)
{
	if (!*census)
		return;
	census_hang_up(*census);
	counter_sub(COUNTER_COUNTED, (*census)->total);
	tally_free(&(*census)->sockets);
	tally_free(&(*census)->hosts);
	free((*census)->locals);
	free(*census);
	*census = NULL;
}

bool census_follows(const struct census *census)
{
	return census->state != CENSUS_BLIND;
}

void census_enter(struct census *census, const struct peer *peer, int fd)
{
	const uint64_t cookie = sock_diag_cookie(fd);

	if (cookie != 0)
		count_in(census, cookie, peer);
}

void census_leave(struct census *census, const struct peer *peer, int fd)
{
	const uint64_t cookie = sock_diag_cookie(fd);

	(void)peer;
	if (cookie != 0)
		forget(census, cookie);
}

size_t census_total(const struct census *census)
{
	return census->total;
}

size_t census_of(const struct census *census, const struct peer *peer)
{
	const struct tally_entry *entry = tally_find(&census->hosts, host_of(census, peer));

	return entry ? (size_t)entry->value : 0;
}
