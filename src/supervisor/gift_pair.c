/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/gift_pair.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

static bool are_needed(const struct supervisor *s)
{
	const struct listener *l;

	TAILQ_FOREACH (l, &s->listeners, link) {
		if (l->gives)
			return true;
	}
	return false;
}

/* What could not be made now comes with the next start of one of them. */
void gift_pair_to_relay(struct role_process *relay)
{
	struct supervisor *s = relay->child.owner;
	struct message message = { .type = MESSAGE_GIFTS };
	int pair[2];

	if (!relay->channel || !s->acceptor.channel || !are_needed(s))
		return;
	if (fd_pair(SOCK_SEQPACKET, pair) < 0) {
		log_line(LOG_ERROR, relay->child.name, "no link to the acceptor: %s",
			 strerror(errno));
		return;
	}
	message.GIFTS.relay = (uint32_t)relay->number;
	role_process_tell(relay, &message, pair[0]);
	role_process_tell(&s->acceptor, &message, pair[1]);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

void gift_pair_to_acceptor(struct supervisor *s)
{
	for (size_t i = 0; i < s->relay_count; i++)
		gift_pair_to_relay(&s->relays[i]);
}
