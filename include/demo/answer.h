/* Why: what the demo worker says: its few routes, and the form of an HTTP answer. Source: RFC 9110,
 * RFC 9112. SPDX-License-Identifier: ISC */
#ifndef DEMO_ANSWER_H
#define DEMO_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/buffer.h"
#include "demo/demo.h"
#include "demo/http_request.h"

#define ANSWER_WHOAMI_SIZE 512 /* enough for the JSON text, NUL included */

/* Whom the answer is from, to, and what was asked. */
struct answer_context {
	const struct demo_identity *identity;
	const struct peer *peer;
	bool is_tls; /* between the client and Limpet */
	const struct http_request *request;
	bool keep_alive; /* what the answer says about the connection */
};

/* {"slot":0,"pid":1,"generation":1,"pool":"web","client":"127.0.0.1","port":40000,"scheme":"http"};
 * returns the length. */
size_t answer_whoami(const struct answer_context *context, char out[ANSWER_WHOAMI_SIZE]);

/* The answer to a proper request, 404 included. */
void answer_request(struct buffer *out, const struct answer_context *context);

/* A status that ends the connection: 400, 408 ... */
void answer_refusal(struct buffer *out, int status);

/* 101, or 400 and false: the handshake was not proper; 426 and false: an unknown WebSocket version.
 */
bool answer_upgrade(struct buffer *out, const struct http_request *request);

#endif
