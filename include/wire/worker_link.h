/* Why: the records on an `fd` worker's link, both directions, as include/limpet_worker.h promises
 * them to programs in any language. SPDX-License-Identifier: ISC */
#ifndef WIRE_WORKER_LINK_H
#define WIRE_WORKER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "wire/passport.h"

/* Most bytes of a client's record: the fixed part and IPv6 addresses are 52, the id is 11, all
 * texts of a passport are 482. */
#define WORKER_LINK_RECORD 1024

enum worker_word {
	WORKER_BAD,
	WORKER_READY,        /* id 0 */
	WORKER_ACKNOWLEDGES, /* 8 bytes */
	WORKER_LOST,         /* reason 1: the descriptor did not arrive */
	WORKER_REFUSES       /* reason 2 */
};

/* A client's record; never 0. The second is for clients with a passport: its addresses count, and
 * what it knows of their TLS goes along. */
size_t worker_link_write(char out[WORKER_LINK_RECORD], uint64_t id, const struct peer *from,
			 const struct peer *to);
size_t worker_link_write_passport(char out[WORKER_LINK_RECORD], uint64_t id,
				  const struct passport *passport);

enum worker_word worker_link_parse(const void *record, size_t length, uint64_t *id_r);

/* No more clients: the worker reads end of file behind the records that are queued. It can still
 * acknowledge. */
void worker_link_finish(int link);

#endif
