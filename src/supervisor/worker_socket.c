/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/worker_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/listener.h"
#include "supervisor/unix_path.h"
#include "supervisor/worker.h"

/* The kernel cuts it to net.core.somaxconn. */
#define WORKER_BACKLOG 4096

static bool set_path(struct worker *w, const char *path, struct error *e)
{
	struct sockaddr_un *local = &w->address.local;

	if (strlen(path) >= sizeof local->sun_path)
		return error_set(e, "%s: socket: %s is longer than a UNIX path can be (%zu bytes)",
				 w->child.name, path, sizeof local->sun_path - 1);
	*local = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(local->sun_path, path, strlen(path));
	w->address.length = sizeof *local;
	return true;
}

static bool set_own_path(struct worker *w, const char *runtime_directory, struct error *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s-%zu.sock", runtime_directory, w->pool->name, w->index);
	return set_path(w, path, e);
}

static bool set_given_path(struct worker *w, struct error *e)
{
	char *path = config_expand(w->pool, w->pool->socket, w->index);
	bool good = set_path(w, path, e);

	free(path);
	return good;
}

static bool set_address(struct worker *w, const char *runtime_directory, struct error *e)
{
	if (w->pool->socket[0])
		return set_given_path(w, e);
	if (w->pool->port == 0)
		return set_own_path(w, runtime_directory, e);
	w->address.length = sizeof w->address.v4;
	w->address.v4 = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(w->pool->port + w->index)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return true;
}

/* Who makes a path that the configuration names: the workers' user, in whose directory it may be,
 * with the group of the relays, who must be able to write to it. */
static bool maker_of(const struct worker *w, const struct process_identity *relays,
		     struct process_identity *maker_r, struct error *e)
{
	const struct pool_config *pool = w->pool;

	*maker_r = (struct process_identity){ .change = true, .name = "root" };
	if (pool->user[0] && !process_identify(pool->user, pool->group, maker_r, e))
		return false;
	maker_r->gid = relays->gid;
	return true;
}

/* Our own directory is nobody else's to write in, so the name cannot be moved under our hands. */
static bool give_to_relays(const struct worker *w, const struct process_identity *relays,
			   struct error *e)
{
	const char *path = w->address.local.sun_path;

	if (lchown(path, relays->uid, relays->gid) == 0)
		return true;
	return error_set(e, "%s: %s cannot be given to the relays: %s", w->child.name, path,
			 strerror(errno));
}

static bool open_own(struct worker *w, const struct process_identity *relays, struct error *e)
{
	const bool is_path = w->address.any.sa_family == AF_UNIX, is_given = w->pool->socket[0];
	struct process_identity maker = { .change = false };
	struct listener_spec spec = {
		.local = w->address,
		.type = SOCK_STREAM,
		.backlog = WORKER_BACKLOG,
		.mode = 0600,
	};
	int error = 0, flags;

	if (is_path && is_given && relays->change) {
		if (!maker_of(w, relays, &maker, e))
			return false;
		spec.as = &maker;
		spec.mode = 0660;
	}
	w->own = listener_open(&spec, true, NULL, 0, &error, e);
	if (!w->own)
		return false;
	flags = fcntl(w->own->fd, F_GETFL);
	if (flags < 0 || fcntl(w->own->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return error_set(e, "%s: %s", w->child.name, strerror(errno));
	return !is_path || is_given || !relays->change || give_to_relays(w, relays, e);
}

bool worker_socket_open(struct worker *w, const char *runtime_directory,
			const struct process_identity *relays, struct error *e)
{
	if (!w->pool->proxied)
		return true;
	return set_address(w, runtime_directory, e) &&
	       (w->pool->delivery != DELIVERY_LISTEN || open_own(w, relays, e));
}

void worker_socket_close(struct worker *w)
{
	listener_close(&w->own);
}

void worker_socket_sweep(const struct worker *w, const struct process_identity *identity)
{
	if (w->pool->delivery != DELIVERY_PROXY || w->address.any.sa_family != AF_UNIX)
		return;
	if (unix_path_sweep(&w->address.local, identity))
		log_line(LOG_INFO, w->child.name, "removed %s, on which nobody listened",
			 w->address.local.sun_path);
}
