/* Why: see the header: delivery to one worker, with everything that we sent and that it has not
 * acknowledged kept at hand. SPDX-License-Identifier: ISC */
#include "acceptor/seat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "acceptor/delivery.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "wire/counter.h"
#include "wire/node_ipc.h"

/* A worker that refused one gets no other for this long: Node's own primary spins here. */
#define REFUSAL_PAUSE_MS 100
/* Reads of a dead worker's link: it is bounded by the socket's buffer, this bounds a live heir of
 * the descriptor. */
#define LAST_READS 64

/* Ids stay below 2^53, so that JavaScript's numbers hold them, and differ between starts of the
 * acceptor. */
#define INCARNATION_SHIFT 32
#define INCARNATION_MASK  0x1fffff

void seat_begin(struct seat *seat, struct delivery *delivery, const struct pool_config *pool,
		size_t index)
{
	*seat = (struct seat){
		.delivery = delivery,
		.pool = pool,
		.kind = pool->delivery == DELIVERY_NODE ? &seat_kind_node : &seat_kind_fd,
		.inbox = { .limit = NODE_LINE_MAX },
		.index = index,
		.link = -1,
	};
	TAILQ_INIT(&seat->waiting);
	snprintf(seat->name, sizeof seat->name, "%s/%zu", pool->name, index);
}

void seat_move(struct seat *seat, enum seat_state to)
{
	if (seat->state == to)
		return;
	if (to == SEAT_UP)
		counter_add(COUNTER_SLOTS_UP, 1);
	if (seat->state == SEAT_UP)
		counter_sub(COUNTER_SLOTS_UP, 1);
	seat->state = to;
}

static void close_link(struct seat *seat)
{
	gather_leave(seat->delivery->gather, seat);
	if (seat->readable)
		event_free(seat->readable);
	if (seat->writable)
		event_free(seat->writable);
	seat->readable = seat->writable = NULL;
	fd_close(&seat->link);
}

void seat_hear(struct seat *seat)
{
	if (!seat->kind->readable(seat))
		close_link(seat);
	else
		seat_flush(seat);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	seat_hear(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct seat *seat = arg;

	(void)fd, (void)what;
	event_del(seat->writable);
	if (!seat->kind->writable(seat))
		event_add(seat->writable, NULL);
	else
		seat_flush(seat);
}

void seat_open(struct seat *seat, struct event_base *base, int *link,
	       const struct message_slot *slot, uint64_t incarnation)
{
	seat->generation = slot->generation;
	seat->pid = slot->pid;
	seat->link = fd_take(link);
	seat->next_id = ((incarnation & INCARNATION_MASK) << INCARNATION_SHIFT) + 1;
	seat->stalled = false;
	seat->refusing_until_ms = 0;
	seat->readable = event_new(base, seat->link, EV_READ | EV_PERSIST, on_readable, seat);
	seat->writable = event_new(base, seat->link, EV_WRITE | EV_PERSIST, on_writable, seat);
	if (!seat->readable || !seat->writable || event_add(seat->readable, NULL) < 0)
		fatal("no event for the link of %s", seat->name);
	seat_move(seat, SEAT_STARTING);
	seat->kind->begin(seat);
}

static struct client **window_place(struct seat *seat, uint64_t id)
{
	return &seat->window[id % SEAT_WINDOW];
}

/* Takes a client out of the window; NULL for an id that is not (or no longer) there. */
static struct client *window_take(struct seat *seat, uint64_t id)
{
	struct client **place = window_place(seat, id);
	struct client *client = *place;

	if (!client || client->id != id) {
		counter_add(COUNTER_LATE_ACKS, 1);
		return NULL;
	}
	*place = NULL;
	client->id = 0;
	seat->in_flight--;
	counter_sub(COUNTER_UNACKNOWLEDGED, 1);
	return client;
}

bool seat_is_full(const struct seat *seat)
{
	return seat->window[seat->next_id % SEAT_WINDOW] ||
	       (seat->writable && event_pending(seat->writable, EV_WRITE, NULL));
}

void seat_close(struct seat *seat, struct client_queue *orphans)
{
	seat_move(seat, SEAT_LEAVING); /* whatever the last answers say, nothing more is sent */
	for (int i = 0; i < LAST_READS && seat->link >= 0; i++) {
		if (!seat->kind->readable(seat))
			close_link(seat);
	}
	close_link(seat);
	seat->kind->end(seat);
	buffer_free(&seat->inbox);
	for (uint64_t id = seat->next_id - SEAT_WINDOW; seat->in_flight > 0 && id != seat->next_id;
	     id++) {
		struct client *client = *window_place(seat, id);

		if (!client)
			continue;
		window_take(seat, client->id);
		TAILQ_INSERT_TAIL(orphans, client, link);
	}
	seat->stalled = false;
	seat_move(seat, SEAT_EMPTY);
}

enum send_result seat_send_result(int error)
{
	switch (error) {
	case EAGAIN:
		return SEND_FULL;
	case ETOOMANYREFS:
	case ENOBUFS:
	case ENOMEM:
	case EINTR:
		return SEND_LATER;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return SEND_BROKEN;
	default:
		return SEND_BAD_SOCKET;
	}
}

/* One client, now. What is not SEND_DONE leaves the client as it was. */
static enum send_result send_now(struct seat *seat, struct client *client)
{
	struct client **place = window_place(seat, seat->next_id);
	enum send_result result;

	if (*place)
		return SEND_LATER; /* an acknowledgement will tell */
	client->id = seat->next_id;
	result = seat->kind->send(seat, client);
	if (result != SEND_DONE) {
		client->id = 0;
		return result;
	}
	*place = client;
	seat->next_id++;
	client->sent_ms = clock_now_ms();
	if (seat->in_flight++ == 0)
		seat->progress_ms = client->sent_ms;
	counter_add(COUNTER_UNACKNOWLEDGED, 1);
	gather_sent(seat->delivery->gather, seat, client->sent_ms);
	return SEND_DONE;
}

void seat_unwait(struct seat *seat, struct client *client)
{
	TAILQ_REMOVE(&seat->waiting, client, link);
	seat->waiting_count--;
	counter_sub(COUNTER_HELD, 1);
}

void seat_wait(struct seat *seat, struct client *client)
{
	TAILQ_INSERT_TAIL(&seat->waiting, client, link);
	seat->waiting_count++;
	counter_add(COUNTER_HELD, 1);
}

/* What became of one attempt; true: the next client may be tried. */
static bool settle(struct seat *seat, struct client *client, enum send_result result)
{
	switch (result) {
	case SEND_DONE:
		return true;
	case SEND_BAD_SOCKET:
		client_end(&client, END_BAD_SOCKET);
		return true;
	case SEND_NOT_NOW:
		break;
	case SEND_FULL:
		counter_add(COUNTER_BACKPRESSURE, 1);
		event_add(seat->writable, NULL);
		break;
	case SEND_LATER:
		break;
	case SEND_BROKEN:
		/* Only our sending is over: answers may still stand in the link. */
		seat_move(seat, SEAT_STARTING);
		break;
	}
	return false;
}

/* A worker may serve one listener and not yet another, so a client that must wait does not hold up
 * the others. */
void seat_flush(struct seat *seat)
{
	struct client *client, *next;

	if (seat->state != SEAT_UP || clock_now_ms() < seat->refusing_until_ms)
		return;
	for (client = TAILQ_FIRST(&seat->waiting); client && seat->link >= 0; client = next) {
		enum send_result result;

		next = TAILQ_NEXT(client, link);
		if (!seat->kind->serves(seat, client))
			continue;
		result = send_now(seat, client);
		if (result == SEND_DONE || result == SEND_BAD_SOCKET)
			seat_unwait(seat, client);
		if (!settle(seat, client, result) && result != SEND_NOT_NOW)
			break;
	}
}

void seat_acknowledged(struct seat *seat, uint64_t id)
{
	struct client *client = window_take(seat, id);

	seat->progress_ms = clock_now_ms();
	if (client)
		client_end(&client, END_HANDED_OVER);
	if (seat->stalled) {
		seat->stalled = false;
		log_line(LOG_NOTICE, seat->name, "acknowledges again");
		delivery_seat_opened(seat);
	}
}

void seat_refused(struct seat *seat, uint64_t id, bool lost)
{
	struct client *client = window_take(seat, id);

	counter_add(lost ? COUNTER_NACKS : COUNTER_REFUSED, 1);
	seat->progress_ms = clock_now_ms();
	seat->refusing_until_ms = seat->progress_ms + REFUSAL_PAUSE_MS;
	if (!client)
		return;
	client->refusals++;
	delivery_again(seat, client);
}

static void tell_supervisor(struct seat *seat, enum message_type type)
{
	struct message message = { .type = type };

	message.WORKER_READY = (struct message_worker){
		.pool = (uint32_t)seat->pool->index,
		.slot = (uint32_t)seat->index,
		.generation = seat->generation,
	};
	seat->delivery->sender(&message, seat->delivery->sender_arg);
}

void seat_says_ready(struct seat *seat)
{
	tell_supervisor(seat, MESSAGE_WORKER_READY);
}

void seat_says_leaving(struct seat *seat)
{
	seat_move(seat, SEAT_LEAVING);
	seat->expected = false;
	tell_supervisor(seat, MESSAGE_WORKER_LEAVES);
	delivery_seat_closed(seat);
}
