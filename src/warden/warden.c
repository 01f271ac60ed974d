/* Why: see the header. Whoever is here was started by the supervisor, and the supervisor alone knew
 * what to do with it; once it is dead, only time is left to decide. Every signal goes through a
 * pidfd: a number may have become somebody else's. Source: pidfd_send_signal(2), kill(2).
 * SPDX-License-Identifier: ISC */
#include "warden/warden.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sink.h"
#include "wire/role.h"

#define WARD_LOGS     2   /* stdout and stderr */
#define WARD_CHECK_MS 100 /* between looks at a group that lost its leader */
#define WARD_GRACE_MS                                                                              \
	1000 /* the supervisor cleans up after a worker; we hold it for so long in case it dies    \
		meanwhile */
#define WARDEN_EXTRA_MS    1000        /* after the last SIGKILL */
#define WARDEN_COPY        (64u << 10) /* bytes of a log per turn of the loop */
#define SIGNAL_WHOLE_GROUP 4u          /* PIDFD_SIGNAL_PROCESS_GROUP of Linux 6.9 */

/*            supervisor dies           its time is up            stop_ms later
 *  WATCHED ------------------> DRAINING ------------> STOPPING ----------------> KILLED
 *     \                           \                      \                         \
 *      \---------------------------\----------------------\-------------------------\---> forgotten
 *                        the leader has ended and nothing of its group is left
 */
enum ward_state {
	WARD_WATCHED,
	WARD_DRAINING,
	WARD_STOPPING,
	WARD_KILLED
};

struct ward_log {
	int fd;
	struct event *readable; /* only once the supervisor is dead */
};

struct ward {
	TAILQ_ENTRY(ward) link;
	struct message_ward is;
	enum ward_state state;
	bool has_ended; /* the leader; its group may live on */
	int pidfd;
	struct event *ended;
	struct event *deadline;
	struct event *check;
	struct ward_log logs[WARD_LOGS];
};

static struct warden {
	struct event_base *base;
	struct channel *channel; /* NULL: the supervisor is dead */
	struct config *config;
	struct event *end;
	struct sink sink;
	unsigned long long lost; /* bytes of logs that nobody took */
	TAILQ_HEAD(, ward) wards;
} warden;

static bool supervisor_is_alive(void)
{
	return warden.channel != NULL;
}

static int pidfd_signal(int pidfd, int number, unsigned flags)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, flags);
}

/* To the group that the process leads or led: the pidfd names it for ever. Older kernels know it by
 * number only, which is right as long as one member lives. */
static int signal_group(const struct ward *w, int number)
{
	if (pidfd_signal(w->pidfd, number, SIGNAL_WHOLE_GROUP) == 0)
		return 0;
	if (errno != EINVAL || w->is.pid <= 1)
		return -1;
	return kill((pid_t)-w->is.pid, number);
}

/* A process that leads no group, or is to be signalled alone, gets its signal by itself. */
static void signal_ward(const struct ward *w, int number)
{
	if (w->is.group && signal_group(w, number) == 0)
		return;
	if (!w->has_ended && pidfd_signal(w->pidfd, number, 0) < 0 && errno != ESRCH)
		log_error("signal %d to pid %lld failed: %s", number, (long long)w->is.pid,
			  strerror(errno));
}

/* No member of a group escapes SIGKILL: fork(2) itself fails while it is pending. Dead members that
 * nobody has reaped yet still count for kill(2), and some init systems take their time. */
static bool is_over(const struct ward *w)
{
	if (!w->has_ended)
		return false;
	return !w->is.group || w->state == WARD_KILLED || signal_group(w, 0) < 0;
}

/* Terminals obey what is printed on them; a worker's bytes may not command ours. */
static void make_harmless(char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)bytes[i];

		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			bytes[i] = '?';
	}
}

/* One read. Returns read's result. */
static ssize_t copy_log(const struct ward_log *log)
{
	static char bytes[WARDEN_COPY];
	ssize_t n = read(log->fd, bytes, sizeof bytes);
	ssize_t written;

	if (n <= 0)
		return n;
	make_harmless(bytes, (size_t)n);
	written = sink_write(&warden.sink, bytes, (size_t)n);
	warden.lost += (unsigned long long)(n - (written < 0 ? 0 : written));
	return n;
}

static void close_log(struct ward_log *log)
{
	if (log->readable)
		event_free(log->readable);
	log->readable = NULL;
	fd_close(&log->fd);
}

static void on_log(evutil_socket_t fd, short what, void *arg)
{
	struct ward_log *log = arg;
	ssize_t n = copy_log(log);

	(void)fd, (void)what;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_log(log);
}

static void listen_to(struct ward_log *log)
{
	if (log->fd < 0 || log->readable)
		return;
	fd_set_nonblocking(log->fd);
	log->readable = event_new(warden.base, log->fd, EV_READ | EV_PERSIST, on_log, log);
	if (!log->readable || event_add(log->readable, NULL) < 0)
		fatal("no event for a log pipe");
}

static void end_if_done(void)
{
	if (!supervisor_is_alive() && TAILQ_EMPTY(&warden.wards))
		event_base_loopbreak(warden.base);
}

static void forget(struct ward **ward)
{
	struct ward *w = *ward;

	*ward = NULL;
	TAILQ_REMOVE(&warden.wards, w, link);
	for (int i = 0; i < WARD_LOGS; i++) {
		if (w->logs[i].readable)
			copy_log(&w->logs[i]);
		close_log(&w->logs[i]);
	}
	event_free(w->ended);
	event_free(w->deadline);
	event_free(w->check);
	fd_close(&w->pidfd);
	free(w);
	end_if_done();
}

static void wait_for(struct event *timer, int64_t ms)
{
	const struct timeval delay = clock_timeval(ms);

	event_add(timer, &delay);
}

/* The only place where a state changes. */
static void enter(struct ward *w, enum ward_state state)
{
	const int64_t until_stop = w->is.drain_ms - w->is.stop_ms;

	w->state = state;
	switch (state) {
	case WARD_WATCHED:
		break;
	case WARD_DRAINING:
		wait_for(w->deadline, until_stop);
		break;
	case WARD_STOPPING:
		signal_ward(w, (int)w->is.stop_signal);
		wait_for(w->deadline, until_stop > 0 ? w->is.stop_ms : w->is.drain_ms);
		break;
	case WARD_KILLED:
		log_notice("pid %lld did not end in time: killed", (long long)w->is.pid);
		signal_ward(w, SIGKILL);
		break;
	}
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct ward *w = arg;

	(void)fd, (void)what;
	if (w->state < WARD_KILLED)
		enter(w, w->state + 1);
}

/* The leader has ended; the supervisor sees to its group while it lives. */
static void on_check(evutil_socket_t fd, short what, void *arg)
{
	struct ward *w = arg;

	(void)fd, (void)what;
	if (supervisor_is_alive() || is_over(w)) {
		forget(&w);
		return;
	}
	wait_for(w->check, WARD_CHECK_MS);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct ward *w = arg;

	(void)fd, (void)what;
	w->has_ended = true;
	wait_for(w->check, supervisor_is_alive() ? WARD_GRACE_MS : 0);
}

static struct ward *find(uint32_t pool, uint32_t slot, uint64_t generation)
{
	struct ward *w;

	TAILQ_FOREACH (w, &warden.wards, link)
		if (w->is.pool == pool && w->is.slot == slot && w->is.generation == generation)
			return w;
	return NULL;
}

static struct ward *ward_new(const struct message_ward *is, int *pidfd)
{
	struct ward *w = calloc(1, sizeof *w);

	if (!w)
		fatal("out of memory");
	w->is = *is;
	w->pidfd = fd_take(pidfd);
	for (int i = 0; i < WARD_LOGS; i++)
		w->logs[i].fd = -1;
	w->ended = event_new(warden.base, w->pidfd, EV_READ, on_ended, w);
	w->deadline = evtimer_new(warden.base, on_deadline, w);
	w->check = evtimer_new(warden.base, on_check, w);
	if (!w->ended || !w->deadline || !w->check || event_add(w->ended, NULL) < 0)
		fatal("no event for pid %lld", (long long)is->pid);
	TAILQ_INSERT_TAIL(&warden.wards, w, link);
	return w;
}

/* A new process, or new times for a known one. */
static void take_ward(const struct message_ward *is, int *pidfd)
{
	struct ward *w = find(is->pool, is->slot, is->generation);

	if (is->pid <= 1) {
		log_alert("pid %lld is never a ward", (long long)is->pid);
		return;
	}
	if (!w)
		ward_new(is, pidfd);
	else if (w->is.pid == is->pid)
		w->is = *is;
	else
		log_alert("pid %lld and pid %lld claim the same generation", (long long)w->is.pid,
			  (long long)is->pid);
}

/* The log of a process that has ended meanwhile is the supervisor's to read. */
static void take_log(const struct message_ward_log *of, int *fd)
{
	struct ward *w = find(of->pool, of->slot, of->generation);

	for (int i = 0; w && i < WARD_LOGS; i++) {
		if (w->logs[i].fd < 0) {
			w->logs[i].fd = fd_take(fd);
			return;
		}
	}
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	log_error("some processes could not be ended");
	event_base_loopbreak(warden.base);
}

/* The end of a leader and that of the supervisor may be news of the same turn, in any order. */
static bool has_ended(const struct ward *w)
{
	struct pollfd p = { .fd = w->pidfd, .events = POLLIN };

	return w->has_ended || poll(&p, 1, 0) > 0;
}

/* Everything ends by itself from here on. Our standard error led to the supervisor; standard output
 * is where it wrote. */
static void take_over(void)
{
	int64_t longest = 0;
	struct ward *w, *next;

	log_to(STDOUT_FILENO);
	for (w = TAILQ_FIRST(&warden.wards); w; w = next) {
		next = TAILQ_NEXT(w, link);
		w->has_ended = has_ended(w);
		if (is_over(w)) {
			forget(&w);
			continue;
		}
		if (w->is.drain_ms > longest)
			longest = w->is.drain_ms;
		for (int i = 0; i < WARD_LOGS; i++)
			listen_to(&w->logs[i]);
		if (w->has_ended)
			wait_for(w->check, 0);
		enter(w, WARD_DRAINING);
	}
	if (!TAILQ_EMPTY(&warden.wards)) {
		log_warning("the supervisor is gone: its processes end within %lld ms",
			    (long long)longest);
		wait_for(warden.end, longest + WARDEN_EXTRA_MS);
	}
	end_if_done();
}

/* DRAIN: a stop in good order, nothing is left to us. An end without it is a death. */
static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	const struct message serving = { .type = MESSAGE_SERVING };

	(void)arg;
	if (!message) {
		channel_free(&warden.channel);
		take_over();
	} else if (message->type == MESSAGE_WARD) {
		take_ward(&message->WARD, fd);
	} else if (message->type == MESSAGE_WARD_LOG) {
		take_log(&message->WARD_LOG, fd);
	} else if (message->type == MESSAGE_GO) {
		channel_send(channel, &serving, -1);
	} else if (message->type == MESSAGE_DRAIN) {
		event_base_loopbreak(warden.base);
	}
}

static void end(void)
{
	struct ward *w;

	while ((w = TAILQ_FIRST(&warden.wards)))
		forget(&w);
	if (warden.lost > 0)
		log_warning("%llu bytes that workers printed could not be written", warden.lost);
	channel_free(&warden.channel);
	event_free(warden.end);
	sink_end(&warden.sink);
	config_free(&warden.config);
	event_base_free(warden.base);
}

int warden_run(void)
{
	TAILQ_INIT(&warden.wards);
	warden.base = role_begin("warden", &warden.config, &warden.channel, on_message, NULL);
	warden.end = evtimer_new(warden.base, on_end, NULL);
	if (!warden.end)
		fatal("no timer");
	sink_begin(&warden.sink, STDOUT_FILENO);
	if (event_base_dispatch(warden.base) < 0)
		fatal("the event loop failed: %s", strerror(errno));
	end();
	return 0;
}
