/* Why: opens a listening socket or says in one sentence what a person can do about it; this is
 * where most first attempts to start a server fail. SPDX-License-Identifier: ISC */
#include "supervisor/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/listener_group.h"
#include "supervisor/port_owner.h"
#include "supervisor/unix_path.h"

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static int option_of(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof value;

	return getsockopt(fd, level, name, &value, &length) < 0 ? -1 : value;
}

static bool is_path(const struct address *address)
{
	return address->any.sa_family == AF_UNIX;
}

static bool is_any6(const struct address *address)
{
	return address->any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

/* The address that the kernel gave: port 0 has become a real one. */
static void learn_address(int fd, struct address *address)
{
	struct address real = { .length = sizeof real.local };

	if (getsockname(fd, &real.any, &real.length) == 0)
		*address = real;
}

/* [::] dual-stack becomes 0.0.0.0 with the same port. */
static struct address fallback_of(const struct address *address)
{
	struct address any4 = { .length = sizeof any4.v4 };

	any4.v4.sin_family = AF_INET;
	any4.v4.sin_port = htons(address_port(address));
	return any4;
}

static bool in_use_sentence(const struct address *address, const char *name, int type,
			    struct error *e)
{
	char owner[128];

	if (type == SOCK_STREAM && port_owner(address, owner, sizeof owner))
		return error_set(e, "%s is in use by %s: stop it or take another %s", name, owner,
				 is_path(address) ? "path" : "port");
	return error_set(e, "%s is in use by another program: stop it or take another %s", name,
			 is_path(address) ? "path" : "port");
}

static bool bind_sentence(const struct address *address, const char *name, int type, int error,
			  struct error *e)
{
	const unsigned port = address_port(address);

	switch (error) {
	case EADDRINUSE:
		return in_use_sentence(address, name, type, e);
	case EACCES:
		return error_set(
			e,
			"%s: port %u needs root or CAP_NET_BIND_SERVICE: start as root, or setcap "
			"cap_net_bind_service=+ep on the limpet binary, or use a systemd socket, "
			"or "
			"sysctl net.ipv4.ip_unprivileged_port_start=%u",
			name, port, port);
	case EADDRNOTAVAIL:
		return error_set(
			e,
			"%s is not an address of this machine: \"ip address\" lists those that "
			"are, *:%u takes them all",
			name, port);
	case EAFNOSUPPORT:
		return error_set(e, "%s: this kernel has no IPv6: take an IPv4 address", name);
	default:
		return error_set(e, "%s cannot be opened: %s", name, strerror(error));
	}
}

/* Options and bind of a TCP or UDP socket. -1 with errno. SO_REUSEADDR on UDP would let two
 * programs share a port: only who asks for that gets it. */
static int open_inet(const struct listener_spec *spec, const struct address *address)
{
	const int family = address->any.sa_family;
	int fd = socket(family, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if ((spec->type == SOCK_STREAM || spec->reuse) &&
	    option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		goto failed;
	if (family == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->v6only) < 0)
		goto failed;
	if (bind(fd, &address->any, address->length) < 0)
		goto failed;
	return fd;
failed:
	fd_close(&fd);
	return -1;
}

static bool has_no_ipv6(int error)
{
	return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

static int begin_to_listen(struct listener *l, const struct listener_spec *spec)
{
	if (spec->sockets <= 1)
		return listen(l->fd, (int)spec->backlog);
	l->others = calloc(spec->sockets - 1, sizeof *l->others);
	if (!l->others)
		fatal("out of memory");
	l->other_count = spec->sockets - 1;
	return listener_group_listen(l->fd, &l->described.local, spec->v6only, spec->backlog,
				     spec->by_client, l->others, spec->sockets);
}

static bool listen_inet(struct listener *l, const struct listener_spec *spec, int *errno_r,
			struct error *e)
{
	struct address *local = &l->described.local;

	l->fd = open_inet(spec, local);
	if (l->fd < 0 && has_no_ipv6(errno) && spec->dual_fallback && is_any6(local)) {
		*local = fallback_of(local);
		l->fd = open_inet(spec, local);
	}
	if (l->fd < 0) {
		*errno_r = errno;
		address_print(local, l->name);
		return bind_sentence(local, l->name, spec->type, *errno_r, e);
	}
	learn_address(l->fd, local);
	if (spec->type != SOCK_STREAM || begin_to_listen(l, spec) == 0)
		return true;
	*errno_r = errno;
	return bind_sentence(local, l->name, spec->type, *errno_r, e);
}

static bool listen_path(struct listener *l, const struct listener_spec *spec, bool replace_stale,
			int *errno_r, struct error *e)
{
	struct stat made;

	l->fd = socket(AF_UNIX, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0) {
		*errno_r = errno;
		return bind_sentence(&spec->local, l->name, spec->type, *errno_r, e);
	}
	if (!unix_path_bind(l->fd, spec->type, &spec->local.local, spec->mode, replace_stale,
			    spec->as, &made, errno_r, e)) {
		char owner[128];

		if (*errno_r == EADDRINUSE && port_owner(&spec->local, owner, sizeof owner))
			in_use_sentence(&spec->local, l->name, spec->type, e);
		return false;
	}
	l->inode = made.st_ino;
	l->device = made.st_dev;
	if (spec->as)
		l->as = *spec->as;
	if (spec->type == SOCK_STREAM && listen(l->fd, (int)spec->backlog) < 0) {
		*errno_r = errno;
		return bind_sentence(&spec->local, l->name, spec->type, *errno_r, e);
	}
	return true;
}

/* Is this inherited socket the one that the configuration asks for? */
static bool fits(int fd, const struct listener_spec *spec)
{
	struct address local = { .length = 0 };

	learn_address(fd, &local);
	if (local.length == 0 || !address_equal(&local, &spec->local) ||
	    option_of(fd, SOL_SOCKET, SO_TYPE) != spec->type)
		return false;
	return !is_any6(&local) || option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == spec->v6only;
}

/* [::]:80 falls back to 0.0.0.0:80, so a manager's 0.0.0.0:80 is not refused where that is all
 * there is. */
static bool adopt(struct listener *l, const struct listener_spec *spec, int *adoptable,
		  size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (adoptable[i] < 0 || !fits(adoptable[i], spec))
			continue;
		l->fd = fd_take(&adoptable[i]);
		l->inherited = true;
		fd_set_nonblocking(l->fd);
		fd_set_cloexec(l->fd, true);
		if (spec->type == SOCK_STREAM && option_of(l->fd, SOL_SOCKET, SO_ACCEPTCONN) == 0)
			listen(l->fd, (int)spec->backlog);
		return true;
	}
	return false;
}

struct listener *listener_open(const struct listener_spec *spec, bool replace_stale, int *adoptable,
			       size_t adoptable_count, int *errno_r, struct error *e)
{
	struct listener *l = calloc(1, sizeof *l);
	bool opened;

	if (!l)
		fatal("out of memory");
	l->fd = -1;
	l->described.type = (uint32_t)spec->type;
	l->described.local = spec->local;
	address_print(&spec->local, l->name);
	opened = adopt(l, spec, adoptable, adoptable_count) ||
		 (is_path(&spec->local) ? listen_path(l, spec, replace_stale, errno_r, e)
					: listen_inet(l, spec, errno_r, e));
	if (!opened) {
		listener_close(&l);
		return NULL;
	}
	address_print(&l->described.local, l->name);
	return l;
}

int listener_fd(const struct listener *l, size_t number)
{
	return number == 0 || number > l->other_count ? l->fd : l->others[number - 1];
}

void listener_close(struct listener **listener)
{
	struct listener *l = *listener;

	*listener = NULL;
	if (!l)
		return;
	if (l->fd >= 0 && !l->inherited && l->inode != 0)
		unix_path_remove(&l->described.local.local, l->inode, l->device, &l->as);
	fd_close(&l->fd);
	for (size_t i = 0; i < l->other_count; i++)
		fd_close(&l->others[i]);
	free(l->others);
	free(l);
}
