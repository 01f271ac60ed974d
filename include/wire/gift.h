/* Why: a relay that has ended a client's TLS gives the worker one end of a connected pair; only the
 * acceptor holds the workers' links, so the gift goes through it. One record with one descriptor on
 * a SOCK_SEQPACKET pair between the two; no answer: a gift that nobody takes is closed, and the
 * relay sees its end of the pair end. SPDX-License-Identifier: ISC */
#ifndef WIRE_GIFT_H
#define WIRE_GIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/passport.h"

struct gift {
	uint32_t listener; /* the supervisor's number of it */
	uint32_t pool;     /* index; of sni it may differ from the listener's */
	struct passport passport;
};

enum gift_result {
	GIFT_DONE,
	GIFT_LATER, /* EAGAIN, too many descriptors in flight: try again when writable or soon */
	GIFT_GONE   /* the other side is gone */
};

enum gift_result gift_send(int link, const struct gift *gift, int fd);

/* 1: a gift with *fd_r (non-blocking, close-on-exec, the caller's); 0: none now; -1: the link
 * ended, or what came is no gift (errno EPROTO). */
int gift_receive(int link, struct gift *gift_r, int *fd_r);

#endif
