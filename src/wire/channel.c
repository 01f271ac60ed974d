/* Why: the only place where messages between our own processes are sent, checked and received. A
 * peer that breaks a rule of message_table.h is treated like one that died.
 * SPDX-License-Identifier: ISC */
#include "wire/channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/message_row.h"

/* A hanging peer must not cost memory without end. */
#define CHANNEL_QUEUE_MAX 16384
/* One peer must not keep the loop for itself. */
#define CHANNEL_BURST    64
#define CHANNEL_RETRY_MS 20

/* What lies behind the type in struct message; a longer record is cut by the kernel, and told. */
#define PAYLOAD_MAX (sizeof(struct message) - offsetof(struct message, BEGIN))

struct record {
	struct message_head head;
	struct message message;
};

struct waiting {
	STAILQ_ENTRY(waiting) link;
	size_t length;
	int fd;
	char bytes[];
};

struct channel {
	int fd;
	enum channel_side side;
	channel_handler *handler;
	void *arg;
	struct event *readable, *writable, *gone;
	struct event *retry; /* too many descriptors in flight: the socket stays writable, time must
				tell */
	STAILQ_HEAD(, waiting) queue;
	unsigned queued;
	bool busy;  /* in hear: channel_free leaves the end to it */
	bool dying; /* freed meanwhile */
};

static void drop_queue(struct channel *c)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(&c->queue))) {
		STAILQ_REMOVE_HEAD(&c->queue, link);
		fd_close(&w->fd);
		free(w);
	}
	c->queued = 0;
}

/* The peer is gone: said once, from the loop and never from inside channel_send. */
static void give_up(struct channel *c, const char *why)
{
	if (!event_pending(c->gone, EV_TIMEOUT, NULL))
		log_debug("channel: %s", why);
	event_del(c->readable);
	event_del(c->writable);
	event_active(c->gone, EV_TIMEOUT, 0);
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;
	int none = -1;

	(void)fd, (void)what;
	c->handler(c, NULL, &none, c->arg);
}

/* Is this message allowed to come from the other side, in this size, with or without a descriptor?
 */
static bool is_lawful(const struct channel *c, const struct record *r, ssize_t length, int fd)
{
	enum message_sender other = c->side == CHANNEL_ROLE ? FROM_SUPERVISOR : FROM_ROLE;
	size_t payload = (size_t)length - sizeof r->head;
	const struct message_row *row;

	if ((size_t)length < sizeof r->head || r->head.length != payload ||
	    r->head.type >= MESSAGE_TYPES)
		return false;
	row = message_row(r->head.type);
	return row->from == other && row->has_fd == (fd >= 0) && message_fits(&r->message, payload);
}

/* One record. false: nothing more to read, or the channel is over. */
static bool receive_one(struct channel *c)
{
	struct record r;
	bool truncated = false;
	int fd = -1;
	ssize_t n;

	/* The payload lands in the union behind the type; both halves are received into one flat
	 * buffer. */
	char flat[sizeof r.head + PAYLOAD_MAX];
	if (c->side == CHANNEL_ROLE)
		n = fd_receive(c->fd, flat, sizeof flat, &fd, &truncated);
	else
		n = fd_receive_data(c->fd, flat, sizeof flat);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || truncated) {
		fd_close(&fd);
		give_up(c, truncated ? "a descriptor was lost" : "closed by the peer");
		return false;
	}
	memset(&r, 0, sizeof r);
	if ((size_t)n >= sizeof r.head) {
		memcpy(&r.head, flat, sizeof r.head);
		r.message.type = r.head.type;
		memcpy(&r.message.BEGIN, flat + sizeof r.head, (size_t)n - sizeof r.head);
	}
	if (!is_lawful(c, &r, n, fd)) {
		log_error("channel: unlawful message of type %u, %zd bytes: the peer is dropped",
			  r.head.type, n);
		fd_close(&fd);
		give_up(c, "unlawful message");
		return false;
	}
	c->handler(c, &r.message, &fd, c->arg);
	fd_close(&fd);
	return true;
}

static void destroy(struct channel *c)
{
	event_free(c->readable);
	event_free(c->writable);
	event_free(c->gone);
	event_free(c->retry);
	drop_queue(c);
	fd_close(&c->fd);
	free(c);
}

/* The handler may free the channel: then it is destroyed here. */
static void hear(struct channel *c, int most)
{
	c->busy = true;
	for (int i = 0; i < most && !c->dying && receive_one(c); i++)
		continue;
	c->busy = false;
	if (c->dying)
		destroy(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	hear(arg, CHANNEL_BURST);
}

void channel_hear_rest(struct channel *c)
{
	hear(c, CHANNEL_QUEUE_MAX);
}

static bool is_temporary(int error)
{
	return error == EAGAIN || error == EINTR || error == ETOOMANYREFS || error == ENOBUFS;
}

/* Sends what is queued. false: not all went. */
static bool flush_queue(struct channel *c)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(&c->queue))) {
		if (fd_send(c->fd, w->bytes, w->length, w->fd) < 0) {
			if (!is_temporary(errno))
				give_up(c, strerror(errno));
			return false;
		}
		STAILQ_REMOVE_HEAD(&c->queue, link);
		c->queued--;
		fd_close(&w->fd);
		free(w);
	}
	return true;
}

static void flush_or_wait(struct channel *c)
{
	struct timeval delay = clock_timeval(CHANNEL_RETRY_MS);
	bool done = flush_queue(c);
	int error = errno;

	if (done)
		event_del(c->writable);
	else if (is_temporary(error) && error != EAGAIN) {
		event_del(c->writable);
		event_add(c->retry, &delay);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	flush_or_wait(arg);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct channel *c = arg;

	(void)fd, (void)what;
	if (c->queued > 0)
		event_add(c->writable, NULL);
}

static void enqueue(struct channel *c, const void *bytes, size_t length, int fd)
{
	struct waiting *w;

	if (c->queued >= CHANNEL_QUEUE_MAX) {
		give_up(c, "the peer does not read");
		return;
	}
	w = malloc(sizeof *w + length);
	if (!w)
		fatal("out of memory");
	w->length = length;
	memcpy(w->bytes, bytes, length);
	w->fd = fd < 0 ? -1 : dup(fd);
	if (fd >= 0 && w->fd < 0)
		fatal("no descriptor for a queued message: %s", strerror(errno));
	STAILQ_INSERT_TAIL(&c->queue, w, link);
	c->queued++;
	event_add(c->writable, NULL);
}

void channel_send(struct channel *c, const struct message *message, int fd)
{
	char flat[sizeof(struct message_head) + PAYLOAD_MAX];
	struct message_head head = { .type = message->type,
				     .length = (uint32_t)message_length(message) };
	size_t length = sizeof head + head.length;

	memcpy(flat, &head, sizeof head);
	memcpy(flat + sizeof head, &message->BEGIN, head.length);
	if (c->queued > 0) {
		enqueue(c, flat, length, fd);
		return;
	}
	if (fd_send(c->fd, flat, length, fd) >= 0)
		return;
	if (is_temporary(errno))
		enqueue(c, flat, length, fd);
	else
		give_up(c, strerror(errno));
}

bool channel_flush(struct channel *c, int ms)
{
	int64_t deadline = clock_now_ms() + ms;
	struct pollfd p = { .fd = c->fd, .events = POLLOUT };

	while (!flush_queue(c)) {
		int64_t left = deadline - clock_now_ms();

		if (left <= 0 || poll(&p, 1, (int)left) < 0 || (p.revents & (POLLERR | POLLHUP)))
			return false;
	}
	return true;
}

struct channel *channel_new(struct event_base *base, int *fd, enum channel_side side,
			    channel_handler *handler, void *arg)
{
	struct channel *c = calloc(1, sizeof *c);

	if (!c)
		fatal("out of memory");
	c->fd = fd_take(fd);
	c->side = side;
	c->handler = handler;
	c->arg = arg;
	STAILQ_INIT(&c->queue);
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	c->gone = event_new(base, -1, 0, on_gone, c);
	c->retry = event_new(base, -1, 0, on_retry, c);
	if (!c->readable || !c->writable || !c->gone || !c->retry ||
	    event_add(c->readable, NULL) < 0)
		fatal("no event for a channel");
	return c;
}

void channel_free(struct channel **channel)
{
	struct channel *c = *channel;

	*channel = NULL;
	if (!c)
		return;
	if (c->busy)
		c->dying = true;
	else
		destroy(c);
}
