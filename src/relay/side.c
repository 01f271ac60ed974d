/* Why: see the header. SPDX-License-Identifier: ISC */
#include "relay/side.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"

static void set(struct side *side, unsigned flags)
{
	side->flags = (uint8_t)(side->flags | flags);
}

static void clear(struct side *side, unsigned flags)
{
	side->flags = (uint8_t)(side->flags & ~flags);
}

void side_begin(struct side *side, struct event_base *base, int fd, uint8_t kind,
		event_callback_fn handler)
{
	*side = (struct side){ .flags = kind };
	if (event_assign(&side->event, base, fd,
			 EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, handler, side) < 0)
		fatal("no event for a descriptor");
}

bool side_listen(struct side *side)
{
	if (side->flags & SIDE_LISTENS)
		return true;
	if (event_add(&side->event, NULL) < 0)
		return false;
	set(side, SIDE_LISTENS);
	return true;
}

void side_deafen(struct side *side)
{
	if (side->flags & SIDE_LISTENS)
		event_del(&side->event);
	clear(side, SIDE_LISTENS);
}

void side_end(struct side *side)
{
	side_deafen(side);
	side->event.ev_fd = -1;
}

/* TLS may need a read to write and the other way round: whatever came, both are tried. */
void side_heard(struct side *side, short what, const struct tls *tls)
{
	unsigned flags = 0;

	if (what & EV_READ)
		flags |= SIDE_READABLE;
	if (what & EV_WRITE)
		flags |= SIDE_WRITABLE;
	if (what & EV_CLOSED)
		flags |= SIDE_READABLE | SIDE_CLOSED;
	if (tls)
		flags |= SIDE_READABLE | SIDE_WRITABLE;
	set(side, flags);
}

/* A write may have been the first to find a reset; what came before it is read to its end, and that
 * is where the kernel has no more. */
static void dry(struct side *side)
{
	clear(side, SIDE_READABLE);
	side->unsure = SIDE_SURE;
	if (side->flags & SIDE_BROKEN)
		set(side, SIDE_EOF);
}

static size_t read_plain(struct side *side, void *out, size_t size)
{
	ssize_t n;

	do
		n = recv(side_fd(side), out, size, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		if ((size_t)n < size && !(side->flags & (SIDE_CLOSED | SIDE_BROKEN))) {
			clear(side, SIDE_READABLE);
			side->unsure = SIDE_UNSURE;
		}
		return (size_t)n;
	}
	if (n == 0)
		set(side, SIDE_EOF);
	else if (errno == EAGAIN)
		dry(side);
	else
		set(side, SIDE_BROKEN | SIDE_EOF);
	return 0;
}

/* One record is at most 16 KiB: several make one large write to the other side. */
static size_t read_tls(struct side *side, struct tls *tls, char *out, size_t size)
{
	enum tls_result result = TLS_WANT_READ;
	size_t sum = 0, n;

	do {
		n = tls_read(tls, out + sum, size - sum, &result);
		sum += n;
	} while (n > 0 && sum < size);
	if (n > 0)
		return sum;
	if (result == TLS_WANT_READ || result == TLS_WANT_WRITE)
		dry(side);
	else if (result == TLS_EOF)
		set(side, SIDE_EOF);
	else
		set(side, SIDE_BROKEN | SIDE_EOF);
	return sum;
}

size_t side_read(struct side *side, struct tls *tls, void *out, size_t size)
{
	return tls ? read_tls(side, tls, out, size) : read_plain(side, out, size);
}

static size_t write_plain(struct side *side, const void *bytes, size_t size)
{
	ssize_t n;

	do
		n = send(side_fd(side), bytes, size, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)size)
		return size;
	if (n >= 0 || errno == EAGAIN)
		clear(side, SIDE_WRITABLE);
	else
		set(side, SIDE_BROKEN | SIDE_READABLE);
	return n > 0 ? (size_t)n : 0;
}

static size_t write_tls(struct side *side, struct tls *tls, const char *bytes, size_t size)
{
	enum tls_result result = TLS_WANT_WRITE;
	size_t sum = 0, n;

	do {
		n = tls_write(tls, bytes + sum, size - sum, &result);
		sum += n;
	} while (n > 0 && sum < size);
	if (n > 0)
		return sum;
	clear(side, SIDE_WRITABLE);
	if (result != TLS_WANT_READ && result != TLS_WANT_WRITE)
		set(side, SIDE_BROKEN | SIDE_EOF);
	return sum;
}

size_t side_write(struct side *side, struct tls *tls, const void *bytes, size_t size)
{
	return tls ? write_tls(side, tls, bytes, size) : write_plain(side, bytes, size);
}

/* A peer that is gone already need not be told: whoever reads it finds that out. */
void side_shut(struct side *side, struct tls *tls)
{
	const enum tls_result result = tls ? tls_shutdown(tls) : TLS_DONE;

	if (result == TLS_WANT_READ || result == TLS_WANT_WRITE) {
		clear(side, SIDE_WRITABLE);
		return;
	}
	shutdown(side_fd(side), SHUT_WR);
	set(side, SIDE_SHUT);
}
