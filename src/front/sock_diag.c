/* Why: all that we know of netlink is here: two kinds of sockets, one question, one record.
 *
 * The record of a socket (struct inet_diag_msg) is the same in a dump and in the news of its end,
 * so one reader serves both; of the attributes behind it we need none, and let the kernel cut them
 * off. Nobody but the kernel and processes with CAP_NET_ADMIN can send to these sockets. Source:
 * sock_diag(7), netlink(7); net/ipv4/inet_diag.c. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "front/sock_diag.h"

/* The largest portion that the kernel puts into one read of a dump. */
#define DUMP_SIZE 32768

/* Asked for; the kernel cuts it to net.core.rmem_max. What does not fit is repaired by a dump. */
#define EVENTS_RCVBUF (4 << 20)

/* Left out: LISTEN, SYN_RECV, and TIME_WAIT, whose socket has ended already. */
#define DUMP_STATES                                                                                \
	(1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 |                       \
	 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

static int open_netlink(unsigned groups)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		fd_close(&fd);
	return fd;
}

int sock_diag_open_events(void)
{
	const int size = EVENTS_RCVBUF;
	const int fd = open_netlink(1u << (SKNLGRP_INET_TCP_DESTROY - 1) |
				    1u << (SKNLGRP_INET6_TCP_DESTROY - 1));

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

int sock_diag_open_dump(void)
{
	return open_netlink(0);
}

int sock_diag_ask(int fd, const struct address *local, uint32_t number)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 question;
	} message = {
		.header = { .nlmsg_len = sizeof message,
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			    .nlmsg_seq = number },
		.question = { .sdiag_family = (uint8_t)local->any.sa_family,
			      .sdiag_protocol = IPPROTO_TCP,
			      .idiag_states = DUMP_STATES,
			      .id.idiag_sport = htons(address_port(local)) },
	};

	return send(fd, &message, sizeof message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static uint64_t cookie_of(const struct inet_diag_msg *record)
{
	return (uint64_t)record->id.idiag_cookie[1] << 32 | record->id.idiag_cookie[0];
}

/* The kernel chose by family and port. A listener of one address must not count the clients of its
 * neighbour on the same port. */
static bool is_at(const struct inet_diag_msg *record, const struct address *local)
{
	const void *source = record->id.idiag_src;

	if (local->any.sa_family == AF_INET)
		return local->v4.sin_addr.s_addr == htonl(INADDR_ANY) ||
		       memcmp(source, &local->v4.sin_addr, sizeof local->v4.sin_addr) == 0;
	return IN6_IS_ADDR_UNSPECIFIED(&local->v6.sin6_addr) ||
	       memcmp(source, &local->v6.sin6_addr, sizeof local->v6.sin6_addr) == 0;
}

static void set_peer(struct peer *peer, const struct inet_diag_msg *record)
{
	*peer = (struct peer){ .any.sa_family = record->idiag_family };
	if (record->idiag_family == AF_INET) {
		peer->v4.sin_port = record->id.idiag_dport;
		memcpy(&peer->v4.sin_addr, record->id.idiag_dst, sizeof peer->v4.sin_addr);
	} else {
		peer->v6.sin6_port = record->id.idiag_dport;
		memcpy(&peer->v6.sin6_addr, record->id.idiag_dst, sizeof peer->v6.sin6_addr);
	}
}

/* A socket without an inode waits in the backlog or was closed by its process. The former must not
 * be counted: at a limit, nobody would ever take it out of the backlog. */
static void read_row(const struct nlmsghdr *header, const struct address *local,
		     sock_diag_handler *handler, void *arg)
{
	const struct inet_diag_msg *record = NLMSG_DATA(header);
	struct sock_diag_row row;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof *record) || record->idiag_inode == 0 ||
	    !is_at(record, local))
		return;
	row.cookie = cookie_of(record);
	set_peer(&row.peer, record);
	if (row.cookie != 0)
		handler(&row, arg);
}

/* NLMSG_ERROR and NLMSG_DONE both begin with a negative errno, or 0. */
static enum sock_diag_answer read_end(const struct nlmsghdr *header)
{
	int32_t code = 0;

	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof code))
		memcpy(&code, NLMSG_DATA(header), sizeof code);
	if (code == 0 && header->nlmsg_type == NLMSG_DONE)
		return SOCK_DIAG_END;
	errno = code < 0 ? -code : EPROTO;
	return SOCK_DIAG_FAILED;
}

enum sock_diag_answer sock_diag_read(int fd, const struct address *local, uint32_t number,
				     sock_diag_handler *handler, void *arg)
{
	static _Alignas(struct nlmsghdr) char portion[DUMP_SIZE];
	const struct nlmsghdr *header = (const struct nlmsghdr *)portion;
	ssize_t length = recv(fd, portion, sizeof portion, 0);

	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? SOCK_DIAG_LATER : SOCK_DIAG_FAILED;
	for (; NLMSG_OK(header, (size_t)length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_seq != number)
			continue;
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
			return read_end(header);
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			read_row(header, local, handler, arg);
	}
	return SOCK_DIAG_MORE;
}

int sock_diag_read_events(int fd, uint64_t *cookies_r, size_t size)
{
	static struct {
		struct nlmsghdr header;
		struct inet_diag_msg record;
	} news[SOCK_DIAG_EVENTS];
	struct iovec parts[SOCK_DIAG_EVENTS];
	struct mmsghdr messages[SOCK_DIAG_EVENTS];
	int got;
	int count = 0;

	if (size > SOCK_DIAG_EVENTS)
		size = SOCK_DIAG_EVENTS;
	for (size_t i = 0; i < size; i++) {
		parts[i] = (struct iovec){ &news[i], sizeof news[i] };
		messages[i] =
			(struct mmsghdr){ .msg_hdr = { .msg_iov = &parts[i], .msg_iovlen = 1 } };
	}
	got = recvmmsg(fd, messages, (unsigned)size, 0, NULL);
	if (got < 0)
		return -1;
	for (int i = 0; i < got; i++)
		if (messages[i].msg_len == sizeof news[i] &&
		    news[i].header.nlmsg_type == SOCK_DIAG_BY_FAMILY)
			cookies_r[count++] = cookie_of(&news[i].record);
	return count;
}

uint64_t sock_diag_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof cookie;

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
		return 0;
	return cookie;
}
