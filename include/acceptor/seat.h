/* Why: the acceptor's side of one slot: its link, the clients sent to it and not yet acknowledged,
 * the clients waiting for it. It knows how to deliver; delivery.c decides to whom.
 *
 *            SLOT_BEGIN          route OPEN            drain
 *   EMPTY ───────────► STARTING ───────────► UP ───────────► LEAVING
 *     ▲                    │  ▲    WAIT       │                  │
 *     │                    │  └──────────────┘                  │
 *     └────────────────────┴────── SLOT_END ────────────────────┘
 *
 * All moves are made by seat_move. SPDX-License-Identifier: ISC */
#ifndef ACCEPTOR_SEAT_H
#define ACCEPTOR_SEAT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "acceptor/gather.h"
#include "base/address.h"
#include "base/buffer.h"
#include "config/config.h"
#include "front/client.h"
#include "wire/message.h"

enum seat_state {
	SEAT_EMPTY,
	SEAT_STARTING,
	SEAT_UP,
	SEAT_LEAVING
};

/* A power of two. The kernel takes 278 messages with a descriptor on a default pair. */
#define SEAT_WINDOW 256

struct delivery;
struct node_seat;
struct seat;

enum send_result {
	SEND_DONE,
	SEND_FULL,    /* later: the link is full, writability will tell */
	SEND_LATER,   /* later: too many descriptors in flight (ETOOMANYREFS): a timer will tell */
	SEND_NOT_NOW, /* the worker does not serve this listener (yet, or any more) */
	SEND_BROKEN,  /* the link is closed */
	SEND_BAD_SOCKET /* the client's own socket was refused by the kernel */
};

/* How a pool's clients travel; chosen once per pool. */
struct seat_kind {
	const char *name;
	void (*begin)(struct seat *seat); /* a link came; may allocate seat->node */
	void (*end)(struct seat *seat);   /* the generation is over */
	bool (*serves)(const struct seat *seat,
		       const struct client *client); /* would send work now? */
	enum send_result (*send)(struct seat *seat, struct client *client); /* client->id is set */
	bool (*readable)(struct seat *seat); /* reads all there is, reports by seat_acknowledged &
						co.; false: link closed */
	bool (*writable)(
		struct seat *seat); /* sends what the kind itself has queued; false: still full */
	void (*drain)(struct seat *seat); /* tell the worker: finish your clients and go */
};
extern const struct seat_kind seat_kind_fd, seat_kind_node;

struct seat {
	struct delivery *delivery;
	const struct pool_config *pool;
	const struct seat_kind *kind;
	struct node_seat *node; /* of kind node */
	struct buffer inbox;    /* of kind node: unfinished line */
	size_t index;           /* slot */
	uint64_t generation;
	int64_t pid;
	enum seat_state state;
	bool expected; /* EMPTY or STARTING, and worth waiting for */
	int link;      /* -1: none or closed */
	struct event *readable, *writable;
	struct gather_place gather;         /* whether `readable` is pending */
	struct client *window[SEAT_WINDOW]; /* sent, by id modulo SEAT_WINDOW */
	unsigned in_flight;
	uint64_t next_id;
	int64_t progress_ms;       /* last acknowledgement, or first delivery after an idle time */
	int64_t refusing_until_ms; /* after a refusal or a lost descriptor */
	bool stalled;
	struct client_queue waiting; /* for this seat, oldest first */
	unsigned waiting_count;
	char name[48]; /* "web/3" */
};

void seat_begin(struct seat *seat, struct delivery *delivery, const struct pool_config *pool,
		size_t index);
void seat_move(struct seat *seat, enum seat_state to);

/* SLOT_BEGIN: takes *link. SLOT_END is seat_close: the link is read to its end first (late
 * acknowledgements), then the clients still unacknowledged are put in *orphans, oldest first. */
void seat_open(struct seat *seat, struct event_base *base, int *link,
	       const struct message_slot *slot, uint64_t incarnation);
void seat_close(struct seat *seat, struct client_queue *orphans);

/* Reads what the worker says, and sends who waited for it. */
void seat_hear(struct seat *seat);

/* It can take no client now, though it is up: who has waited long enough may go elsewhere. */
bool seat_is_full(const struct seat *seat);

/* Sends waiting clients while the window and the link allow. */
void seat_flush(struct seat *seat);
void seat_wait(struct seat *seat, struct client *client);   /* at the tail of waiting */
void seat_unwait(struct seat *seat, struct client *client); /* out of waiting */

/* What an errno of sendmsg(2) with a descriptor means for the client. */
enum send_result seat_send_result(int error);

/* Called by the kinds. Unknown ids are counted as late. */
void seat_acknowledged(struct seat *seat, uint64_t id);
/* Refused (`lost` false) or its descriptor did not arrive (`lost` true): goes to the next slot. */
void seat_refused(struct seat *seat, uint64_t id, bool lost);
/* The worker is ready (listens, or said so). */
void seat_says_ready(struct seat *seat);
void seat_says_leaving(struct seat *seat);

#endif
