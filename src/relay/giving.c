/* Why: workers of node and fd pools get sockets, not bytes. Of a client whose TLS ended here the
 * worker gets one end of a connected pair, through the acceptor, who holds the workers' links; the
 * other end is ours and is relayed like a server's. Where the acceptor is being started again, the
 * client waits for it. SPDX-License-Identifier: ISC */
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "front/door.h"
#include "relay/streams.h"
#include "wire/counter.h"
#include "wire/gift.h"

static void wait(struct stream *stream)
{
	struct client *client = stream->client;
	const struct pool_config *pool = stream_pool(stream);
	const int64_t now_ms = clock_now_ms();

	if (client->moved_ms == 0)
		client->moved_ms = now_ms + pool->queue_timeout;
	if (now_ms >= client->moved_ms) {
		stream_end(stream, END_NO_WORKER);
		return;
	}
	if (stream->streams->waiting.count >= pool->max_queue) {
		stream_end(stream, END_QUEUE_FULL);
		return;
	}
	streams_wait(stream);
}

static enum gift_result give(struct stream *stream, int *ours_r)
{
	struct streams *all = stream->streams;
	enum gift_result result;
	struct gift gift = { .listener = stream->client->listener->id,
			     .pool = stream->client->pool };
	int pair[2];

	if (all->gifts < 0 || fd_pair(SOCK_STREAM, pair) < 0)
		return GIFT_LATER;
	stream_describe(stream, &gift.passport);
	result = gift_send(all->gifts, &gift, pair[1]);
	fd_close(&pair[1]);
	if (result == GIFT_DONE)
		*ours_r = pair[0];
	else
		fd_close(&pair[0]);
	if (result == GIFT_GONE)
		fd_close(&all->gifts); /* streams_gifts brings the next */
	return result;
}

void giving_begin(struct stream *stream)
{
	stream_move(stream, STREAM_GIVING);
	giving_again(stream);
}

void giving_again(struct stream *stream)
{
	int ours;

	if (give(stream, &ours) != GIFT_DONE) {
		wait(stream);
		return;
	}
	counter_add(COUNTER_GIFTS, 1);
	if (stream_serve(stream, &ours))
		flow_begin(stream);
}
