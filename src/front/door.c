/* Why: the kernel gives clients faster than anybody can serve them, and errors faster still. Here
 * the flow is cut into bursts, so that acknowledgements and commands are heard in between, and
 * every failure of accept(2) is answered in the one way that cannot spin: try the next client, or
 * stop asking until there is a reason to ask again. Source: accept(2), tcp(7), libevent's and
 * libuv's accept loops, which spin at EMFILE. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/census.h"
#include "front/door.h"
#include "front/limits.h"
#include "wire/counter.h"

#define DOOR_BURST           64
#define DOOR_PATIENCE        4
#define DOOR_PAUSE_MS        100
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     3

/* max_connections and max_per_client hold for a [listen] section, however many addresses it binds:
 * its listeners share one of these. */
struct section {
	SLIST_ENTRY(section) link;
	const struct listen_config *config;
	struct census *census; /* NULL: no limits, or no TCP listener */
};

/* A listener as the door sees it. It is asked for clients while gate_watch finds no objection. */
struct gate {
	struct door_listener seen; /* first: a door_listener of ours is a gate */
	TAILQ_ENTRY(gate) link;
	struct section *section;
	struct event *event;
	size_t burst;       /* clients asked for at the next wake-up */
	unsigned satisfied; /* wake-ups in a row that found that many */
	size_t failures;    /* in a row, with no client in between */
	bool is_tcp;
	bool is_full; /* at max_connections */
};

struct door {
	struct event_base *base;
	door_handler *handler;
	void *arg;
	TAILQ_HEAD(, gate) gates;
	SLIST_HEAD(, section) sections;
	struct event *retry; /* ends a pause that nobody else ended */
	struct log_limit complaints;
	bool is_open;
	bool is_paused; /* the process or the machine ran out of something */
};

enum answer {
	ANSWER_WAIT,  /* nobody is queued */
	ANSWER_NEXT,  /* this client is lost, or the network spoke: ask for the next */
	ANSWER_PAUSE, /* asking again at once would fail again */
	ANSWER_FATAL, /* the descriptor is not what we think it is */
};

/* accept(2), "RETURN VALUE" and "ERRORS". What is not named here is a matter of one client or of
 * the network (ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM of a firewall, ...). */
static const struct {
	int number;
	enum answer answer;
} answers[] = {
	{ EAGAIN, ANSWER_WAIT },    { EMFILE, ANSWER_PAUSE }, { ENFILE, ANSWER_PAUSE },
	{ ENOBUFS, ANSWER_PAUSE },  { ENOMEM, ANSWER_PAUSE }, { EBADF, ANSWER_FATAL },
	{ ENOTSOCK, ANSWER_FATAL }, { EFAULT, ANSWER_FATAL }, { EINVAL, ANSWER_FATAL },
};

static enum answer answer_to(int number)
{
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (answers[i].number == number)
			return answers[i].answer;
	return ANSWER_NEXT;
}

/* The one place that starts and stops asking for clients. */
static void gate_watch(struct gate *gate)
{
	const struct door *door = gate->seen.door;

	if (!gate->event)
		return;
	if (door->is_open && !door->is_paused && !gate->is_full)
		event_add(gate->event, NULL);
	else
		event_del(gate->event);
}

static void door_watch(struct door *door)
{
	struct gate *gate;

	TAILQ_FOREACH (gate, &door->gates, link)
		gate_watch(gate);
}

static void door_pause(struct door *door, const char *name, int number)
{
	const struct timeval delay = clock_timeval(DOOR_PAUSE_MS);

	if (log_limit_pass(&door->complaints))
		log_line(LOG_WARNING, name,
			 "accepting pauses: %s (%u times more since this was last said)",
			 strerror(number), door->complaints.suppressed);
	if (door->is_paused)
		return;
	door->is_paused = true;
	counter_add(COUNTER_ACCEPT_PAUSES, 1);
	door_watch(door);
	event_add(door->retry, &delay);
}

void door_relieved(struct door *door)
{
	if (!door->is_paused)
		return;
	door->is_paused = false;
	event_del(door->retry);
	door_watch(door);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	door_relieved(arg);
}

/* Listeners whose clients no census sees: those in our hands are all that can be counted. */
static size_t section_in_hand(const struct door *door, const struct section *section)
{
	const struct gate *gate;
	size_t sum = 0;

	TAILQ_FOREACH (gate, &door->gates, link)
		if (gate->section == section && !gate->is_tcp)
			sum += gate->seen.open;
	return sum;
}

static bool gate_is_full(const struct gate *gate)
{
	const struct listen_config *config = gate->seen.config;

	if (config->max_connections == 0)
		return false;
	if (gate->is_tcp)
		return limits_full(config, gate->section->census);
	return section_in_hand(gate->seen.door, gate->section) >= config->max_connections;
}

/* Returns true, and stops asking, where no further client may come in. */
static bool gate_closes(struct gate *gate)
{
	if (!gate_is_full(gate))
		return false;
	if (!gate->is_full) {
		gate->is_full = true;
		counter_add(COUNTER_LIMIT_PAUSES, 1);
		gate_watch(gate);
	}
	return true;
}

static void gate_reopens(struct gate *gate)
{
	if (!gate->is_full || gate_is_full(gate))
		return;
	gate->is_full = false;
	gate_watch(gate);
}

static void section_reopens(struct door *door, const struct section *section)
{
	struct gate *gate;

	TAILQ_FOREACH (gate, &door->gates, link)
		if (gate->section == section)
			gate_reopens(gate);
}

/* Somebody's connection ended in a worker; the census does not say whose. */
static void on_census(void *arg)
{
	struct door *door = arg;
	struct gate *gate;

	TAILQ_FOREACH (gate, &door->gates, link)
		gate_reopens(gate);
}

static void admit(struct gate *gate, int *fd, const struct peer *peer, int64_t now_us)
{
	struct census *census = gate->is_tcp ? gate->section->census : NULL;
	/* A balancer's own address says nothing of his clients: greeting.c asks about theirs. */
	const bool is_asked_later = gate->seen.config->proxy_protocol != PROXY_PROTOCOL_OFF;
	const enum end_reason verdict =
		is_asked_later ? END_HANDED_OVER : limits_check(gate->seen.config, census, peer);
	struct client *client = client_begin(fd, &gate->seen, peer);

	client->accepted_us = now_us;
	if (verdict != END_HANDED_OVER) {
		client_end(&client, verdict);
		return;
	}
	if (census)
		census_enter(census, peer, client->fd);
	gate->seen.door->handler(client, gate->seen.door->arg);
}

/* One client, or -1 with errno. His address comes with him: no second call asks for it. The name of
 * a UNIX client, which may be longer, is of no use to us and is cut. */
static int take_client(int listener, struct peer *peer)
{
	struct peer raw = { .any.sa_family = AF_UNSPEC };
	socklen_t length = sizeof raw;
	const int fd = accept4(listener, &raw.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	peer_set(peer, &raw.any, length < sizeof raw ? length : (socklen_t)sizeof raw);
	return fd;
}

/* Asking until the kernel says "no more" costs a call for nothing at each wake-up, so we ask for
 * about as many as came lately: the event is level-triggered and tells of the rest. */
static void learn(struct gate *gate, size_t came)
{
	if (came < gate->burst) {
		gate->burst = came > 0 ? came : 1;
		gate->satisfied = 0;
	} else if (++gate->satisfied >= DOOR_PATIENCE && gate->burst < DOOR_BURST) {
		gate->burst *= 2;
		gate->satisfied = 0;
	}
	if (gate->burst > DOOR_BURST)
		gate->burst = DOOR_BURST;
}

/* Takes at most `most` clients or failures. Returns how the last call was answered, ANSWER_NEXT
 * where more may be queued, with *number_r the last errno. */
static enum answer gate_accept(struct gate *gate, size_t most, int *number_r)
{
	const int64_t now_us = clock_now_us();
	enum answer answer = ANSWER_NEXT;
	size_t came = 0;

	*number_r = EAGAIN;
	for (size_t i = 0; i < most && answer == ANSWER_NEXT; i++) {
		struct peer peer;
		int fd;

		if (gate_closes(gate))
			return ANSWER_WAIT;
		fd = take_client(gate->seen.fd, &peer);
		if (fd >= 0) {
			came++;
			admit(gate, &fd, &peer, now_us);
			continue;
		}
		*number_r = errno;
		answer = answer_to(errno);
		if (answer == ANSWER_NEXT && errno != EINTR)
			counter_add(COUNTER_ACCEPT_ERRORS, 1);
	}
	learn(gate, came);
	gate->failures = came > 0 || answer == ANSWER_WAIT ? 0 : gate->failures + most;
	/* Nothing but failures: an error of the machine that nobody has told us of. */
	return answer == ANSWER_NEXT && gate->failures >= DOOR_BURST ? ANSWER_PAUSE : answer;
}

static void on_clients(evutil_socket_t fd, short what, void *arg)
{
	struct gate *gate = arg;
	int number;

	(void)fd;
	(void)what;
	switch (gate_accept(gate, gate->burst, &number)) {
	case ANSWER_WAIT:
	case ANSWER_NEXT:
		return;
	case ANSWER_PAUSE:
		door_pause(gate->seen.door, gate->seen.name, number);
		return;
	case ANSWER_FATAL:
		fatal("%s: accept: %s", gate->seen.name, strerror(number));
	}
}

static void set_option(const struct gate *gate, int level, int name, const char *text,
		       int64_t value)
{
	const int number = (int)value;

	if (setsockopt(gate->seen.fd, level, name, &number, sizeof number) < 0)
		log_line(LOG_WARNING, gate->seen.name, "the kernel refuses %s %d: %s", text, number,
			 strerror(errno));
}

/* An accepted socket is a copy of its listener, these options included (Linux, sk_clone_lock() and
 * tcp_create_openreq_child() in net/): set here once, they cost a client no system call. "off" is
 * set too, because the listener may be older than this configuration. */
static void set_options(const struct gate *gate)
{
	const struct listen_config *config = gate->seen.config;
	const int64_t idle_s = (config->keepalive + 999) / 1000;

	set_option(gate, IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", config->nodelay);
	set_option(gate, IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT",
		   config->tcp_user_timeout);
	set_option(gate, SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", idle_s > 0);
	if (idle_s == 0)
		return;
	set_option(gate, IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", idle_s);
	set_option(gate, IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S);
	set_option(gate, IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", KEEPALIVE_PROBES);
}

static struct section *section_of(struct door *door, const struct listen_config *config)
{
	struct section *section;

	SLIST_FOREACH(section, &door->sections, link)
	if (section->config == config)
		return section;
	section = calloc(1, sizeof *section);
	if (!section)
		fatal("out of memory");
	section->config = config;
	SLIST_INSERT_HEAD(&door->sections, section, link);
	return section;
}

static void section_count(struct door *door, struct section *section, const struct address *local)
{
	const struct listen_config *config = section->config;

	if (config->max_connections == 0 && config->max_per_client == 0)
		return;
	if (section->census && !config->relayed)
		census_add(section->census, local);
	else if (!section->census)
		section->census = config->relayed ? census_new_own()
						  : census_new(door->base, local, on_census, door);
}

static void gate_name(struct gate *gate)
{
	const struct door_listener *seen = &gate->seen;

	if (seen->config->name)
		snprintf(gate->seen.name, sizeof gate->seen.name, "listen:%s", seen->config->name);
	else
		snprintf(gate->seen.name, sizeof gate->seen.name, "port %u",
			 address_port(&seen->local));
}

struct door *door_new(struct event_base *base, door_handler *handler, void *arg)
{
	struct door *door = calloc(1, sizeof *door);

	if (!door)
		fatal("out of memory");
	*door = (struct door){ .base = base, .handler = handler, .arg = arg };
	TAILQ_INIT(&door->gates);
	SLIST_INIT(&door->sections);
	door->retry = evtimer_new(base, on_retry, door);
	if (!door->retry)
		fatal("out of memory");
	return door;
}

struct door_listener *door_add(struct door *door, int *fd, uint32_t id, size_t pool,
			       const struct listen_config *config, const struct address *local)
{
	const sa_family_t family = local->any.sa_family;
	struct gate *gate = calloc(1, sizeof *gate);

	if (!gate)
		fatal("out of memory");
	gate->seen = (struct door_listener){ .door = door,
					     .config = config,
					     .local = *local,
					     .id = id,
					     .pool = pool,
					     .fd = fd_take(fd) };
	gate_name(gate);
	gate->burst = 1;
	gate->is_tcp = family == AF_INET || family == AF_INET6;
	gate->section = section_of(door, config);
	if (gate->is_tcp) {
		set_options(gate);
		section_count(door, gate->section, local);
	}
	gate->event = event_new(door->base, gate->seen.fd, EV_READ | EV_PERSIST, on_clients, gate);
	if (!gate->event)
		fatal("out of memory");
	TAILQ_INSERT_TAIL(&door->gates, gate, link);
	gate_watch(gate);
	return &gate->seen;
}

void door_open(struct door *door)
{
	door->is_open = true;
	door_watch(door);
}

static void gate_close(struct gate *gate)
{
	if (gate->event)
		event_free(gate->event);
	gate->event = NULL;
	fd_close(&gate->seen.fd);
}

/* The kernel queues one client more than the backlog says. Clients that max_connections keeps out
 * stay out. */
static void gate_empty(struct gate *gate)
{
	size_t left = gate->seen.config->backlog + 1;
	enum answer answer = ANSWER_NEXT;
	int number = 0;

	while (left > 0 && answer == ANSWER_NEXT) {
		const size_t burst = left < DOOR_BURST ? left : DOOR_BURST;

		answer = gate_accept(gate, burst, &number);
		left -= burst;
	}
	if (answer == ANSWER_PAUSE)
		log_line(LOG_WARNING, gate->seen.name,
			 "clients may be left in the queue of a closed listener: %s",
			 strerror(number));
}

void door_close(struct door *door)
{
	struct gate *gate;

	door->is_open = false;
	door_watch(door);
	TAILQ_FOREACH (gate, &door->gates, link) {
		if (gate->seen.fd < 0)
			continue;
		gate_empty(gate);
		gate_close(gate);
	}
}

void door_left(struct door_listener *listener, const struct client *client, bool handed_over)
{
	struct gate *gate = (struct gate *)listener;
	struct section *section = gate->section;

	if (gate->is_tcp && section->census && !(handed_over && census_follows(section->census)))
		census_leave(section->census, &client->peer, client->fd);
	if (section->config->max_connections > 0)
		section_reopens(listener->door, section);
}

void door_free(struct door **door)
{
	struct section *section;
	struct gate *gate;

	if (!*door)
		return;
	while ((gate = TAILQ_FIRST(&(*door)->gates)) != NULL) {
		TAILQ_REMOVE(&(*door)->gates, gate, link);
		gate_close(gate);
		free(gate);
	}
	while ((section = SLIST_FIRST(&(*door)->sections)) != NULL) {
		SLIST_REMOVE_HEAD(&(*door)->sections, link);
		if (section->census)
			census_free(&section->census);
		free(section);
	}
	event_free((*door)->retry);
	free(*door);
	*door = NULL;
}
