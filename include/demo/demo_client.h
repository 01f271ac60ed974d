/* Why: one client of the demo worker, from the hand-over of his socket to its end: HTTP/1.1
 * requests in a row, or a WebSocket that echoes. Everything about him is bounded, in bytes and in
 * time. SPDX-License-Identifier: ISC */
#ifndef DEMO_DEMO_CLIENT_H
#define DEMO_DEMO_CLIENT_H

#include "demo/demo.h"

struct demo_client;
struct limpet_client;

/*   begin ──► REQUEST ◄──────first byte────── IDLE
 *              │  │ └──────answered, he may stay──────►
 *              │  └─answered, he is to go──► FLUSHING ──all sent──► ended
 *              ├────upgrade──► WEBSOCKET ──his close──► FLUSHING
 *              │                 │   └───we stop───► CLOSING ──his close──► FLUSHING
 *              │                 └───broken frame──► LINGERING
 *              └──bad request, deadline────────────► LINGERING ──he closed, deadline──► ended
 * The end of file, an error or a deadline ends him in any state. */
enum demo_client_state {
	CLIENT_REQUEST,   /* a request is awaited, or a part of one is here */
	CLIENT_IDLE,      /* answered; nothing of the next request is here */
	CLIENT_WEBSOCKET, /* no deadline */
	CLIENT_CLOSING,   /* our close frame was sent, his is awaited */
	CLIENT_FLUSHING,  /* closed as soon as the last byte is sent */
	CLIENT_LINGERING, /* his input is thrown away until he closes, or a reset would cost him our
			     last words */
	CLIENT_STATES
};

/* Takes arrived->fd (left -1); the client frees himself at his end and tells demo_client_left. */
void demo_client_begin(struct demo *demo, struct limpet_client *arrived);

struct demo_client *
demo_client_next(struct demo_client *client); /* NULL: the last of the demo's list */

/* Each of these may end and free the client. */
void demo_client_drain(struct demo_client *client); /* no new request, if none has begun */
void demo_client_stop(
	struct demo_client *client); /* what is here is answered; WebSockets are told 1001 */
void demo_client_abandon(struct demo_client *client); /* at once */

#endif
