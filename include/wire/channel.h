/* Why: one end of the pair between the supervisor and a role: typed, checked messages with
 * descriptors, in libevent, and a plain word when the peer is gone. Source: unix(7) SOCK_SEQPACKET.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include <event2/event.h>
#include <stdbool.h>

#include "wire/message.h"

struct channel;

enum channel_side {
	CHANNEL_SUPERVISOR,
	CHANNEL_ROLE
}; /* which side we are */

/* `message` NULL: the peer is gone (closed, died, or broke the rules); free the channel then. *fd
 * is the descriptor that came along or -1; whoever wants it takes it (fd_take), the rest is closed.
 * The channel may be freed in the callback. */
typedef void channel_handler(struct channel *channel, const struct message *message, int *fd,
			     void *arg);

/* Takes *fd (left -1). */
struct channel *channel_new(struct event_base *base, int *fd, enum channel_side side,
			    channel_handler *handler, void *arg);
void channel_free(struct channel **channel);

/* Sends or queues; the descriptor is duplicated when queued, the caller keeps his. A queue over
 * 16,384 messages means that the peer hangs: it is declared gone (in a later turn of the loop). */
void channel_send(struct channel *channel, const struct message *message, int fd);

/* Hears what the peer said before it died: without this its last words would be lost when its death
 * is seen first. */
void channel_hear_rest(struct channel *channel);

/* Before the loop runs: blocks up to `ms` until all is sent. false: not all. */
bool channel_flush(struct channel *channel, int ms);

#endif
