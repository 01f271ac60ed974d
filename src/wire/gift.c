/* Why: see the header. A relay speaks with strangers all day, so the acceptor believes nothing of
 * what it sends: the record is exactly one struct whose every field is looked at before use, and
 * the descriptor is a stream socket that cannot block a worker. SPDX-License-Identifier: ISC */
#include "wire/gift.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

enum gift_result gift_send(int link, const struct gift *gift, int fd)
{
	if (fd_send(link, gift, sizeof *gift, fd) >= 0)
		return GIFT_DONE;
	switch (errno) {
	case EAGAIN:
	case ETOOMANYREFS:
	case ENOBUFS:
	case ENOMEM:
	case EINTR:
		return GIFT_LATER;
	default:
		return GIFT_GONE;
	}
}

static bool is_ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_peer(const struct peer *peer)
{
	switch (peer->any.sa_family) {
	case AF_UNSPEC:
	case AF_UNIX:
	case AF_INET:
	case AF_INET6:
		return true;
	default:
		return false;
	}
}

/* A bool with another byte than 0 or 1 must not even be read as a bool. */
static bool is_bool(const char *record, size_t at)
{
	return record[at] == 0 || record[at] == 1;
}

static bool is_sound(const char *record, struct gift *gift_r)
{
	const size_t passport = offsetof(struct gift, passport);
	const struct passport *p = &gift_r->passport;

	if (!is_bool(record, passport + offsetof(struct passport, is_tls)) ||
	    !is_bool(record, passport + offsetof(struct passport, is_verified)))
		return false;
	memcpy(gift_r, record, sizeof *gift_r);
	return is_peer(&p->from) && is_peer(&p->to) &&
	       is_ended(p->tls_version, sizeof p->tls_version) &&
	       is_ended(p->cipher, sizeof p->cipher) && is_ended(p->alpn, sizeof p->alpn) &&
	       is_ended(p->server_name, sizeof p->server_name) &&
	       is_ended(p->client_name, sizeof p->client_name);
}

/* What blocks would stop the worker that gets it, and with it all its clients. */
static bool is_fit_for_worker(int fd)
{
	int type = 0;
	socklen_t size = sizeof type;
	const int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	return flags >= 0 && flags & O_NONBLOCK &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* Our descriptor table was full when this one came: that client is lost, the link is sound. */
static bool is_lost(ssize_t length, int fd, bool is_truncated)
{
	return (size_t)length == sizeof(struct gift) && fd < 0 && is_truncated;
}

int gift_receive(int link, struct gift *gift_r, int *fd_r)
{
	char record[sizeof *gift_r + 1];
	bool is_truncated;
	ssize_t length;

	do
		length = fd_receive(link, record, sizeof record, fd_r, &is_truncated);
	while (length > 0 && is_lost(length, *fd_r, is_truncated));
	if (length < 0)
		return errno == EAGAIN ? 0 : -1;
	if ((size_t)length == sizeof *gift_r && is_sound(record, gift_r) &&
	    is_fit_for_worker(*fd_r))
		return 1;
	fd_close(fd_r);
	errno = length == 0 ? 0 : EPROTO;
	return -1;
}
