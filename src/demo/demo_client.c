/* Why: one client of the demo worker. What he sent waits in `in`, what he is to get in `out`;
 * step() turns one request or frame of the one into an answer in the other, and settle() moves
 * bytes and decides what he is waited for next. He is not read from while he does not read.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "demo/answer.h"
#include "demo/demo_client.h"
#include "demo/websocket.h"
#include "limpet_worker.h"

#define READ_MOST (16 * 1024)
#define OUT_HIGH  (64 * 1024)  /* no further request is answered while this much waits to be sent */
#define OUT_LIMIT (256 * 1024) /* OUT_HIGH and the longest single answer fit well */
#define IN_LIMIT  (WEBSOCKET_FRAME_MAX + READ_MOST) /* an incomplete frame, and one read more */
#define STALL_MS  60000 /* longest time without one byte that he takes */

struct demo_client {
	TAILQ_ENTRY(demo_client) link;
	struct demo *demo;
	struct event readable, writable, deadline;
	enum demo_client_state state;
	int fd;
	struct buffer in, out;
	struct websocket websocket;
	struct peer peer;
	bool is_tls;
};

/* 0: none. */
static const int64_t deadlines_ms[CLIENT_STATES] = {
	[CLIENT_REQUEST] = 15000, [CLIENT_IDLE] = 60000,        [CLIENT_WEBSOCKET] = 0,
	[CLIENT_CLOSING] = 2000,  [CLIENT_FLUSHING] = STALL_MS, [CLIENT_LINGERING] = 2000,
};

static void end(struct demo_client **client)
{
	struct demo_client *c = *client;
	struct demo *demo = c->demo;

	event_del(&c->readable);
	event_del(&c->writable);
	event_del(&c->deadline);
	shutdown(c->fd, SHUT_WR); /* goodbye at once, although Limpet may still hold its copy */
	fd_close(&c->fd);
	buffer_free(&c->in);
	buffer_free(&c->out);
	websocket_end(&c->websocket);
	TAILQ_REMOVE(&demo->clients, c, link);
	free(c);
	*client = NULL;
	demo_client_left(demo);
}

static void set_deadline(struct demo_client *client, int64_t ms)
{
	const struct timeval wait = clock_timeval(ms);

	if (ms)
		event_add(&client->deadline, &wait);
	else
		event_del(&client->deadline);
}

/* Every change of state is made here. */
static void enter(struct demo_client *client, enum demo_client_state state)
{
	client->state = state;
	set_deadline(client, deadlines_ms[state]);
}

static bool is_ending(const struct demo_client *client)
{
	return client->state == CLIENT_FLUSHING || client->state == CLIENT_LINGERING;
}

static void add_frame(struct demo_client *client, enum websocket_opcode opcode, const char *payload,
		      size_t length)
{
	unsigned char head[WEBSOCKET_HEAD_MAX];
	const size_t size = websocket_head(opcode, length, head);

	if (!buffer_add(&client->out, head, size) ||
	    (length && !buffer_add(&client->out, payload, length)))
		fatal("a frame outgrew the limit of the demo's output");
}

static void add_close(struct demo_client *client, unsigned code)
{
	const char payload[2] = { (char)(code >> 8), (char)code };

	add_frame(client, WEBSOCKET_CLOSE, payload, code == WEBSOCKET_NO_CODE ? 0 : sizeof payload);
}

static void drop_input(struct demo_client *client)
{
	buffer_drop(&client->in, buffer_length(&client->in));
}

static struct answer_context context_of(struct demo_client *client,
					const struct http_request *request)
{
	return (struct answer_context){
		.identity = &client->demo->identity,
		.peer = &client->peer,
		.is_tls = client->is_tls,
		.request = request,
		.keep_alive = request->keep_alive && !client->demo->is_draining,
	};
}

static void open_websocket(struct demo_client *client, const struct http_request *request)
{
	const struct answer_context context = context_of(client, request);
	char text[ANSWER_WHOAMI_SIZE];

	if (!answer_upgrade(&client->out, request)) {
		enter(client, CLIENT_LINGERING);
		return;
	}
	websocket_begin(&client->websocket);
	add_frame(client, WEBSOCKET_TEXT, text, answer_whoami(&context, text));
	enter(client, CLIENT_WEBSOCKET);
}

static void answer(struct demo_client *client, const struct http_request *request)
{
	const struct answer_context context = context_of(client, request);

	if (request->wants_websocket && http_text_equals(request->path, "/ws")) {
		open_websocket(client, request);
		return;
	}
	answer_request(&client->out, &context);
	enter(client, context.keep_alive ? CLIENT_IDLE : CLIENT_FLUSHING);
}

static bool step_request(struct demo_client *client)
{
	struct http_request request;
	const int status =
		http_request_parse(buffer_bytes(&client->in), buffer_length(&client->in), &request);

	if (status == 0) {
		if (client->state == CLIENT_IDLE)
			enter(client, CLIENT_REQUEST);
		return false;
	}
	if (status == 200) {
		answer(client, &request);
		buffer_drop(&client->in, request.length);
		return true;
	}
	answer_refusal(&client->out, status);
	enter(client, CLIENT_LINGERING);
	return true;
}

static void take_frame(struct demo_client *client, enum websocket_event event,
		       const struct websocket_frame *frame)
{
	const bool is_open = client->state == CLIENT_WEBSOCKET;

	switch (event) {
	case WEBSOCKET_GOT_MESSAGE:
		if (is_open)
			add_frame(client, frame->opcode, frame->payload, frame->length);
		break;
	case WEBSOCKET_GOT_PING:
		if (is_open)
			add_frame(client, WEBSOCKET_PONG, frame->payload, frame->length);
		break;
	case WEBSOCKET_GOT_CLOSE:
		if (is_open)
			add_close(client, frame->code);
		enter(client, CLIENT_FLUSHING);
		break;
	case WEBSOCKET_BROKEN:
		if (is_open)
			add_close(client, frame->code);
		enter(client, CLIENT_LINGERING);
		break;
	case WEBSOCKET_INCOMPLETE:
	case WEBSOCKET_NOTHING_TO_DO:
		break;
	}
}

static bool step_websocket(struct demo_client *client)
{
	struct websocket_frame frame;
	const enum websocket_event event = websocket_read(
		&client->websocket, buffer_bytes(&client->in), buffer_length(&client->in), &frame);

	take_frame(client, event, &frame);
	buffer_drop(&client->in, frame.used);
	return event != WEBSOCKET_INCOMPLETE;
}

/* Turns one request or frame into what is to be said to it. False: nothing more can be done now. */
static bool step(struct demo_client *client)
{
	if (is_ending(client))
		drop_input(client);
	if (buffer_length(&client->in) == 0 || buffer_length(&client->out) >= OUT_HIGH)
		return false;
	if (client->state == CLIENT_WEBSOCKET || client->state == CLIENT_CLOSING)
		return step_websocket(client);
	return step_request(client);
}

/* False: the connection is gone. */
static bool send_output(struct demo_client *client)
{
	while (buffer_length(&client->out)) {
		const ssize_t sent = send(client->fd, buffer_bytes(&client->out),
					  buffer_length(&client->out), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		buffer_drop(&client->out, (size_t)sent);
	}
	return true;
}

/* A client who does not take what is his has STALL_MS from his last byte; an ending one has less
 * already. */
static void watch_output(struct demo_client *client, size_t before)
{
	const bool was_blocked = event_pending(&client->writable, EV_WRITE, NULL);
	const size_t left = buffer_length(&client->out);

	if (left && !was_blocked)
		event_add(&client->writable, NULL);
	if (!left && was_blocked)
		event_del(&client->writable);
	if (is_ending(client) || client->state == CLIENT_CLOSING)
		return;
	if (left && (!was_blocked || left < before))
		set_deadline(client, STALL_MS);
	if (!left && was_blocked)
		set_deadline(client, deadlines_ms[client->state]);
}

static void watch_input(struct demo_client *client)
{
	if (buffer_length(&client->out) >= OUT_HIGH)
		event_del(&client->readable);
	else if (!event_pending(&client->readable, EV_READ, NULL))
		event_add(&client->readable, NULL);
}

/* An idle client costs no buffers. */
static void free_empty(struct buffer *buffer)
{
	if (buffer->data && buffer_length(buffer) == 0)
		buffer_free(buffer);
}

/* Works off what is here, sends what can be sent, and waits for what is due. May end the client. */
static void settle(struct demo_client **client)
{
	struct demo_client *c = *client;
	size_t before;

	do {
		while (step(c))
			;
		before = buffer_length(&c->out);
		if (!send_output(c)) {
			end(client);
			return;
		}
	} while (before >= OUT_HIGH && buffer_length(&c->out) < OUT_HIGH && buffer_length(&c->in));
	if (c->state == CLIENT_FLUSHING && buffer_length(&c->out) == 0) {
		end(client);
		return;
	}
	watch_output(c, before);
	watch_input(c);
	free_empty(&c->in);
	free_empty(&c->out);
}

/* One read. May end the client. */
static void receive(struct demo_client **client)
{
	const ssize_t length = buffer_read(&(*client)->in, (*client)->fd, READ_MOST);

	if (length > 0)
		settle(client);
	else if (length == 0 || (errno != EAGAIN && errno != EINTR))
		end(client);
	else
		free_empty(&(*client)->in);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct demo_client *client = arg;

	(void)fd, (void)what;
	receive(&client);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct demo_client *client = arg;

	(void)fd, (void)what;
	settle(&client);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct demo_client *client = arg;
	const bool is_late_request = client->state == CLIENT_REQUEST &&
				     buffer_length(&client->in) && buffer_length(&client->out) == 0;

	(void)fd, (void)what;
	if (!is_late_request) {
		end(&client);
		return;
	}
	answer_refusal(&client->out, 408);
	enter(client, CLIENT_LINGERING);
	settle(&client);
}

void demo_client_begin(struct demo *demo, struct limpet_client *arrived)
{
	struct demo_client *client = calloc(1, sizeof *client);

	if (!client)
		fatal("no memory for a client");
	client->demo = demo;
	client->fd = fd_take(&arrived->fd);
	client->is_tls = arrived->is_tls;
	client->in.limit = IN_LIMIT;
	client->out.limit = OUT_LIMIT;
	peer_set(&client->peer, (const struct sockaddr *)&arrived->peer, arrived->peer_length);
	event_assign(&client->readable, demo->base, client->fd, EV_READ | EV_PERSIST, on_readable,
		     client);
	event_assign(&client->writable, demo->base, client->fd, EV_WRITE | EV_PERSIST, on_writable,
		     client);
	evtimer_assign(&client->deadline, demo->base, on_deadline, client);
	TAILQ_INSERT_TAIL(&demo->clients, client, link);
	enter(client, CLIENT_REQUEST);
	event_add(&client->readable, NULL);
	receive(&client); /* most clients have spoken by now */
}

struct demo_client *demo_client_next(struct demo_client *client)
{
	return TAILQ_NEXT(client, link);
}

void demo_client_drain(struct demo_client *client)
{
	if (client->state != CLIENT_IDLE)
		return;
	enter(client, CLIENT_FLUSHING);
	settle(&client);
}

void demo_client_stop(struct demo_client *client)
{
	if (client->state == CLIENT_REQUEST)
		receive(&client); /* what he has sent by now is answered */
	if (!client)
		return;
	if (client->state == CLIENT_REQUEST) {
		end(&client);
	} else if (client->state == CLIENT_WEBSOCKET) {
		add_close(client, WEBSOCKET_GOING_AWAY);
		enter(client, CLIENT_CLOSING);
		settle(&client);
	} else {
		demo_client_drain(client);
	}
}

void demo_client_abandon(struct demo_client *client)
{
	end(&client);
}
