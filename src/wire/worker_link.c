/* Why: see the header. SPDX-License-Identifier: ISC */
#include "wire/worker_link.h"

#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "wire/proxy_header.h"

enum {
	REASON_LOST = 1,
	REASON_REFUSED = 2
};

static size_t checked(size_t length)
{
	if (length == 0)
		fatal("a client's record does not fit %d bytes", WORKER_LINK_RECORD);
	return length;
}

size_t worker_link_write(char out[WORKER_LINK_RECORD], uint64_t id, const struct peer *from,
			 const struct peer *to)
{
	struct proxy_tlv unique = { PROXY_TLV_UNIQUE_ID, sizeof id, &id };

	return checked(proxy_header_write(out, WORKER_LINK_RECORD, from, to, &unique, 1));
}

size_t worker_link_write_passport(char out[WORKER_LINK_RECORD], uint64_t id,
				  const struct passport *passport)
{
	return checked(proxy_header_write_passport(out, WORKER_LINK_RECORD, passport, &id,
						   sizeof id, false));
}

enum worker_word worker_link_parse(const void *record, size_t length, uint64_t *id_r)
{
	const char *bytes = record;

	if (length != sizeof *id_r && length != sizeof *id_r + 1)
		return WORKER_BAD;
	memcpy(id_r, bytes, sizeof *id_r);
	if (length == sizeof *id_r)
		return *id_r == 0 ? WORKER_READY : WORKER_ACKNOWLEDGES;
	switch (bytes[sizeof *id_r]) {
	case REASON_LOST:
		return WORKER_LOST;
	case REASON_REFUSED:
		return WORKER_REFUSES;
	default:
		return WORKER_BAD;
	}
}

/* This is our own pair with the worker, never a client's socket, and both holders of our end
 * (supervisor and acceptor) mean the same by it. */
void worker_link_finish(int link)
{
	shutdown(link, SHUT_WR);
}
