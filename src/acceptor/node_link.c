/* Why: see the header: lines never interleave, and every handle on its way has a name.
 * SPDX-License-Identifier: ISC */
#include "acceptor/node_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

struct node_line {
	TAILQ_ENTRY(node_line) link;
	int fd; /* goes with the first byte, -1: none (any more) */
	size_t sent, length;
	char bytes[];
};

void node_link_begin(struct node_link *link)
{
	*link = (struct node_link){ .in_step = false };
	TAILQ_INIT(&link->queue);
}

static void drop_line(struct node_link *link, struct node_line *line)
{
	TAILQ_REMOVE(&link->queue, line, link);
	link->queued--;
	fd_close(&line->fd);
	free(line);
}

/* false: no descriptor for the copy of the handle. */
static bool queue_line(struct node_link *link, const char *bytes, size_t length, int fd)
{
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct node_line *line;

	if (fd >= 0 && copy < 0)
		return false;
	line = malloc(sizeof *line + length);
	if (!line)
		fatal("out of memory");
	*line = (struct node_line){ .fd = copy, .length = length };
	memcpy(line->bytes, bytes, length);
	TAILQ_INSERT_TAIL(&link->queue, line, link);
	link->queued++;
	return true;
}

static bool is_full(const struct node_link *link)
{
	return link->last - link->first >= NODE_LINK_SENT;
}

static void remember(struct node_link *link, uint64_t id)
{
	link->sent[link->last++ % NODE_LINK_SENT] = id;
}

enum send_result node_link_client(struct node_link *link, int socket, const char *line,
				  size_t length, const struct client *client)
{
	ssize_t sent;

	if (link->floods)
		return SEND_BROKEN;
	if (node_link_waits(link))
		return SEND_FULL;
	if (is_full(link))
		return SEND_LATER;
	sent = fd_send(socket, line, length, client->fd);
	if (sent < 0)
		return seat_send_result(errno);
	remember(link, client->id);
	if ((size_t)sent < length)
		queue_line(link, line + sent, length - (size_t)sent, -1);
	return SEND_DONE;
}

/* One line of the queue; SEND_DONE: it is gone. */
static enum send_result send_line(struct node_link *link, int socket, struct node_line *line)
{
	ssize_t sent =
		fd_send(socket, line->bytes + line->sent, line->length - line->sent, line->fd);

	if (sent < 0)
		return seat_send_result(errno);
	if (line->fd >= 0)
		remember(link, NODE_LINK_SHARED);
	fd_close(&line->fd);
	line->sent += (size_t)sent;
	return line->sent < line->length ? SEND_FULL : SEND_DONE;
}

static void drop_all(struct node_link *link)
{
	struct node_line *line;

	while ((line = TAILQ_FIRST(&link->queue)))
		drop_line(link, line);
}

void node_link_end(struct node_link *link)
{
	drop_all(link);
}

enum send_result node_link_flush(struct node_link *link, int socket)
{
	struct node_line *line;
	enum send_result result;

	while ((line = TAILQ_FIRST(&link->queue))) {
		if (line->fd >= 0 && is_full(link))
			return SEND_LATER;
		result = send_line(link, socket, line);
		if (result == SEND_FULL || result == SEND_LATER)
			return result;
		if (result != SEND_DONE) {
			drop_all(link);
			return result;
		}
		drop_line(link, line);
	}
	return SEND_DONE;
}

bool node_link_line(struct node_link *link, const char *line, size_t length, int fd)
{
	if (link->queued >= NODE_LINK_QUEUE) {
		link->floods = true;
		return true;
	}
	return queue_line(link, line, length, fd);
}

bool node_link_waits(const struct node_link *link)
{
	return link->queued > 0;
}

void node_link_arrived(struct node_link *link)
{
	if (link->in_step && link->first != link->last)
		link->first++;
}

uint64_t node_link_lost(struct node_link *link)
{
	if (!link->in_step) {
		link->losses++;
		return NODE_LINK_SHARED;
	}
	return link->first == link->last ? NODE_LINK_SHARED
					 : link->sent[link->first++ % NODE_LINK_SENT];
}

/* Ids of clients grow. */
static bool is_on_its_way(const struct node_link *link, uint64_t id)
{
	for (unsigned i = link->first; i != link->last; i++) {
		if (link->sent[i % NODE_LINK_SENT] >= id)
			return link->sent[i % NODE_LINK_SENT] == id;
	}
	return false;
}

/* The losses that were not told yet happened to the oldest before `id`, or to a predecessor's. */
uint64_t node_link_settled(struct node_link *link, uint64_t id)
{
	if (!is_on_its_way(link, id))
		return NODE_LINK_SHARED;
	while (link->sent[link->first % NODE_LINK_SENT] != id) {
		uint64_t before = link->sent[link->first++ % NODE_LINK_SENT];

		if (!link->in_step && link->losses > 0 && before != NODE_LINK_SHARED) {
			link->losses--;
			return before;
		}
	}
	link->first++;
	link->losses = 0;
	link->in_step = true;
	return NODE_LINK_SHARED;
}
