/* Why: everything that a worker must know to get its clients from Limpet by `delivery = fd`: the
 * contract in words, and one way to keep it in C11 or C++17 with nothing but libc. The words are
 * the contract; the code is a convenience. Source: "The PROXY protocol, versions 1 & 2" (HAProxy),
 * unix(7), recvmsg(2), cmsg(3). SPDX-License-Identifier: ISC */
/* clang-format off */
/* THE LINK
 *
 * A worker is a program that Limpet starts. It finds one end of a SOCK_SEQPACKET socket, the link, as descriptor
 * 3; the number also stands in LIMPET_LINK_FD. The link is non-blocking. It is not close-on-exec, since it came
 * through an exec: set that flag before starting programs of your own, for a copy of the link in one of them
 * keeps it alive.
 *
 *   LIMPET_LINK_FD      number of the link's descriptor
 *   LIMPET_POOL         name of the pool
 *   LIMPET_SLOT         number of this worker's place in the pool, from 0; the same client address comes to the
 *                       same slot
 *   LIMPET_GENERATION   number of this process among those that had the slot; it only grows
 *   NOTIFY_SOCKET       for sd_notify(3): READY=1, STOPPING=1, STATUS=..., WATCHDOG=1
 *
 * READY
 *
 * Send one record of eight zero bytes when clients may come. sd_notify's READY=1 means the same; one of the two
 * is enough. Until then the worker counts as starting, and is killed after start_timeout.
 *
 * A CLIENT
 *
 * Each record that arrives on the link is one client: a binary PROXY protocol header of version 2, and with it,
 * as SCM_RIGHTS, exactly one descriptor: the client's own connected, non-blocking socket. Nothing has been read
 * from it and nothing written.
 *
 *   bytes 0-11   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *   byte  12     0x21 (PROXY); 0x20 (LOCAL) for a client without an address: he came by a UNIX socket
 *   byte  13     0x11 TCP over IPv4, 0x21 TCP over IPv6, 0x00 with LOCAL
 *   bytes 14-15  length of what follows, big-endian; the record ends there
 *   addresses    source address, destination address, source port, destination port, big-endian:
 *                12 bytes for IPv4, 36 for IPv6, none for 0x00. Source is the client; behind another proxy it
 *                is what that proxy said, so believe it rather than getpeername(2).
 *   TLVs         type (1 byte), length (2, big-endian), value. Type 0x05 (PP2_TYPE_UNIQUE_ID) is always there:
 *                eight opaque bytes, the id. A client who came by TLS has 0x20 (PP2_TYPE_SSL), and as known
 *                0x01 (ALPN) and 0x02 (the server name he asked for), with no NUL behind the text. Skip every
 *                other type: more may be added, and their order is not fixed.
 *
 * The value of 0x20 is one byte of bits (0x01 he spoke TLS, 0x02 he showed a certificate, 0x04 he did so in this
 * session, which he may have resumed), four bytes that are all zero when that certificate is good, and TLVs
 * within: 0x21 the version ("TLSv1.3"), 0x22 the common name of his certificate, 0x23 the cipher suite.
 *
 * The socket is a TCP socket or, where TLS ended in a relay of Limpet or the client came by a UNIX path, a
 * UNIX stream socket: what is read from it is plain text either way, and getpeername(2) of a UNIX socket
 * tells nothing. TCP options (TCP_NODELAY) fail on it with EOPNOTSUPP: ignore that.
 *
 * A record has at most 4096 bytes (this version sends 1024 at most). Receive with MSG_CMSG_CLOEXEC and room for more than one descriptor, close
 * surplus ones, and look at MSG_CTRUNC: a process whose descriptor table is full gets the bytes, and silently
 * loses the socket.
 *
 * THE ANSWER
 *
 * Answer each client with one record:
 *
 *   8 bytes   the id: "the socket is mine". Send it BEFORE the first read from the socket. Until it arrives
 *             Limpet keeps its own copy, and gives the client to another worker if this one dies. A client must
 *             never be served twice, so an answer that follows the first read is a fault.
 *   9 bytes   the id and a reason: "not mine". 1: the descriptor did not arrive. 2: busy, try another worker.
 *             Close the socket first, if it came; it must not have been read or written.
 *
 * Limpet closes its copy when it has read the acknowledgement. Until then your close(2) does not end the
 * connection, and does not take the socket out of an epoll set: use shutdown(2) and EPOLL_CTL_DEL first, as
 * good servers do anyway.
 *
 * Answers may be sent in any order. EAGAIN: wait until the link is writable; Limpet always reads.
 * EPIPE or ECONNRESET: Limpet is gone, so nobody else can serve the client: he is yours.
 *
 * THE END
 *
 * End of file on the link (recvmsg returns 0) means that no more clients will come, because Limpet stops this
 * worker gently, or because Limpet itself is gone. Finish the clients that you have, then exit with status 0.
 * Answers can still be sent. ECONNRESET from recvmsg tells that Limpet went without reading all of them; clients
 * may be waiting behind that error, so receive again until the end of file.
 * SIGTERM (or the pool's stop_signal) asks for the same in a hurry; SIGKILL follows after stop_timeout.
 */
/* clang-format on */
#ifndef LIMPET_WORKER_H
#define LIMPET_WORKER_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LIMPET_RECORD_MAX      4096
#define LIMPET_ID_SIZE         8
#define LIMPET_TLV_ALPN        0x01
#define LIMPET_TLV_AUTHORITY   0x02
#define LIMPET_TLV_UNIQUE_ID   0x05
#define LIMPET_TLV_SSL         0x20
#define LIMPET_TLV_SSL_VERSION 0x21
#define LIMPET_TLV_SSL_CN      0x22
#define LIMPET_TLV_SSL_CIPHER  0x23
#define LIMPET_NOT_ARRIVED     1 /* reasons of a refusal */
#define LIMPET_BUSY            2
#define LIMPET_DESCRIPTORS_MAX 8 /* received at once, so that surplus ones are seen and closed */

/* One client. The caller of limpet_worker_receive owns fd. Addresses are in network byte order, as
 * in sockaddr_in and sockaddr_in6; where none is known the length is 0 and ss_family AF_UNSPEC. */
struct limpet_client {
	int fd;
	uint64_t id;                   /* opaque bytes, never 0 */
	struct sockaddr_storage peer;  /* the client */
	struct sockaddr_storage local; /* what he connected to */
	socklen_t peer_length, local_length;
	/* Of the TLS between him and Limpet, or the proxy in front of it. Texts are "" where not
	 * known; one that does not fit, or has a NUL within, counts as not known. */
	int is_tls;
	int is_verified;       /* he showed a certificate, and it is good */
	char tls_version[16];  /* "TLSv1.3" */
	char cipher[64];       /* "TLS_AES_128_GCM_SHA256" */
	char alpn[64];         /* the protocol agreed upon */
	char server_name[256]; /* the host that he asked for */
	char client_name[256]; /* common name of his certificate */
};

/* The link's descriptor, made close-on-exec; -1 with errno: not started by Limpet with `delivery =
 * fd`. */
static inline int limpet_worker_link(void)
{
	const char *text = getenv("LIMPET_LINK_FD");
	char *end = NULL;
	int type = 0;
	socklen_t size = sizeof type;
	long fd = text ? strtol(text, &end, 10) : -1;

	if (!text || end == text || *end || fd < 0 || fd > 1 << 20) {
		errno = ENOTCONN;
		return -1;
	}
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -1;
	if (type != SOCK_SEQPACKET) {
		errno = EPROTOTYPE;
		return -1;
	}
	return fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : (int)fd;
}

/* Sends one answer; waits where the link is full. 0, or -1 with errno: Limpet is gone. */
static inline int limpet_worker_send(int link, const void *bytes, size_t length)
{
	struct pollfd writable = { link, POLLOUT, 0 };

	while (send(link, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		if (errno == EAGAIN)
			poll(&writable, 1, -1);
		else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/* "Clients may come." 0, or -1 with errno. */
static inline int limpet_worker_ready(int link)
{
	const uint64_t none = 0;

	return limpet_worker_send(link, &none, sizeof none);
}

/* "The socket is mine": before the first read of it. 0; or -1 with errno: Limpet is gone, and he is
 * yours. */
static inline int limpet_worker_accept(int link, uint64_t id)
{
	return limpet_worker_send(link, &id, sizeof id);
}

/* "Not mine": after closing the socket, unread and unwritten. 0, or -1 with errno. */
static inline int limpet_worker_refuse(int link, uint64_t id, unsigned char reason)
{
	unsigned char answer[LIMPET_ID_SIZE + 1];

	memcpy(answer, &id, LIMPET_ID_SIZE);
	answer[LIMPET_ID_SIZE] = reason;
	return limpet_worker_send(link, answer, sizeof answer);
}

/* Fills in the addresses of one header: `family` is its byte 13, `at` its address block. */
static inline void limpet_worker_addresses(struct limpet_client *client, unsigned family,
					   const unsigned char *at)
{
	struct sockaddr_in v4[2];
	struct sockaddr_in6 v6[2];
	size_t i;

	memset(v4, 0, sizeof v4);
	memset(v6, 0, sizeof v6);
	for (i = 0; i < 2; i++) {
		if (family >> 4 == 1) {
			v4[i].sin_family = AF_INET;
			memcpy(&v4[i].sin_addr, at + 4 * i, 4);
			memcpy(&v4[i].sin_port, at + 8 + 2 * i, 2);
		} else {
			v6[i].sin6_family = AF_INET6;
			memcpy(&v6[i].sin6_addr, at + 16 * i, 16);
			memcpy(&v6[i].sin6_port, at + 32 + 2 * i, 2);
		}
	}
	if (family >> 4 == 1) {
		memcpy(&client->peer, &v4[0], sizeof v4[0]);
		memcpy(&client->local, &v4[1], sizeof v4[1]);
		client->peer_length = client->local_length = sizeof v4[0];
	} else {
		memcpy(&client->peer, &v6[0], sizeof v6[0]);
		memcpy(&client->local, &v6[1], sizeof v6[1]);
		client->peer_length = client->local_length = sizeof v6[0];
	}
}

/* One TLV's value as text. */
static inline void limpet_worker_text(char *out, size_t size, const unsigned char *value,
				      size_t length)
{
	if (length >= size || memchr(value, 0, length))
		length = 0;
	memcpy(out, value, length);
	out[length] = 0;
}

/* The TLV at `at`: its value and length, and the next one. 1; 0: there is none; -1: it is damaged.
 */
static inline int limpet_worker_tlv(const unsigned char **at, const unsigned char *end,
				    const unsigned char **value_r, size_t *length_r)
{
	if (*at == end)
		return 0;
	if (end - *at < 3)
		return -1;
	*value_r = *at + 3;
	*length_r = (size_t)(*at)[1] << 8 | (*at)[2];
	if ((size_t)(end - *value_r) < *length_r)
		return -1;
	*at = *value_r + *length_r;
	return 1;
}

/* The value of a TLV of type SSL. What is damaged in it is not believed, and costs nothing else. */
static inline void limpet_worker_tls(struct limpet_client *client, const unsigned char *at,
				     size_t length)
{
	const unsigned char *const end = at + length, *value, *type;

	if (length < 5)
		return;
	client->is_tls = at[0] & 1;
	client->is_verified = (at[0] & 6) && !(at[1] | at[2] | at[3] | at[4]);
	for (type = at += 5; limpet_worker_tlv(&at, end, &value, &length) > 0; type = at) {
		if (*type == LIMPET_TLV_SSL_VERSION)
			limpet_worker_text(client->tls_version, sizeof client->tls_version, value,
					   length);
		else if (*type == LIMPET_TLV_SSL_CIPHER)
			limpet_worker_text(client->cipher, sizeof client->cipher, value, length);
		else if (*type == LIMPET_TLV_SSL_CN)
			limpet_worker_text(client->client_name, sizeof client->client_name, value,
					   length);
	}
}

/* Reads the TLVs. 0; -1: there is no id, or they are damaged. */
static inline int limpet_worker_tlvs(struct limpet_client *client, const unsigned char *at,
				     const unsigned char *end)
{
	const unsigned char *type = at, *value;
	size_t length;
	int result;

	client->id = 0;
	for (; (result = limpet_worker_tlv(&at, end, &value, &length)) > 0; type = at) {
		if (*type == LIMPET_TLV_UNIQUE_ID && length == LIMPET_ID_SIZE)
			memcpy(&client->id, value, LIMPET_ID_SIZE);
		else if (*type == LIMPET_TLV_ALPN)
			limpet_worker_text(client->alpn, sizeof client->alpn, value, length);
		else if (*type == LIMPET_TLV_AUTHORITY)
			limpet_worker_text(client->server_name, sizeof client->server_name, value,
					   length);
		else if (*type == LIMPET_TLV_SSL)
			limpet_worker_tls(client, value, length);
	}
	return result == 0 && client->id ? 0 : -1;
}

/* Reads one whole header; client->fd is left alone. 0; or -1 with EPROTO: not a record of this
 * contract. */
static inline int limpet_worker_parse(const unsigned char *bytes, size_t length,
				      struct limpet_client *client)
{
	static const unsigned char signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
						     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };
	static const size_t address_sizes[4] = { 0, 12, 36, 216 }; /* none, IPv4, IPv6, UNIX */
	size_t address_size;

	memset(&client->id, 0, sizeof *client - offsetof(struct limpet_client, id));
	errno = EPROTO;
	if (length < 16 || memcmp(bytes, signature, sizeof signature) != 0)
		return -1;
	if (bytes[12] != 0x20 && bytes[12] != 0x21)
		return -1;
	if (length - 16 != ((size_t)bytes[14] << 8 | bytes[15]) || bytes[13] >> 4 > 3)
		return -1;
	address_size = address_sizes[bytes[13] >> 4];
	if (length - 16 < address_size)
		return -1;
	if (bytes[12] == 0x21 && (address_size == 12 || address_size == 36))
		limpet_worker_addresses(client, bytes[13], bytes + 16);
	return limpet_worker_tlvs(client, bytes + 16 + address_size, bytes + length);
}

/* The first descriptor of a received message, or -1; surplus ones are closed. */
static inline int limpet_worker_take_descriptor(struct msghdr *message)
{
	struct cmsghdr *part;
	int taken = -1;

	for (part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
		size_t i, count;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
			if (taken < 0)
				taken = fd;
			else
				close(fd);
		}
	}
	return taken;
}

/* One recvmsg(2) of a record and its descriptor: *fd_r is -1 where none came whole. Returns the
 * record's length, 0 at end of file, or -1 with errno (EPROTO: longer than the contract allows). */
static inline ssize_t limpet_worker_read(int link, unsigned char *bytes, size_t size, int *fd_r)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[CMSG_SPACE(LIMPET_DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct iovec part = { bytes, size };
	struct msghdr message;
	ssize_t length;

	memset(&message, 0, sizeof message);
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = &control;
	message.msg_controllen = sizeof control;
	do {
		length = recvmsg(link, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (length < 0 && (errno == EINTR || errno == ECONNRESET)); /* each is told once */
	*fd_r = length < 0 ? -1 : limpet_worker_take_descriptor(&message);
	if (*fd_r >= 0 && message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
		close(*fd_r);
		*fd_r = -1;
	}
	if (length > 0 && message.msg_flags & MSG_TRUNC) {
		errno = EPROTO;
		return -1;
	}
	return length;
}

/* Receives one client. Never blocks: call it when the link is readable, until EAGAIN.
 *   1   a client: answer with limpet_worker_accept(), or close client->fd and
 * limpet_worker_refuse() 0   end of file: no more clients will come -1   errno: EAGAIN, none is
 * there now; EPROTO, a record that breaks the contract (its socket is closed); others as recvmsg(2)
 * A client whose descriptor did not arrive is refused here, and the next record is read. */
static inline int limpet_worker_receive(int link, struct limpet_client *client)
{
	unsigned char bytes[LIMPET_RECORD_MAX];

	for (;;) {
		ssize_t length = limpet_worker_read(link, bytes, sizeof bytes, &client->fd);

		if (length <= 0)
			return (int)length;
		if (limpet_worker_parse(bytes, (size_t)length, client) < 0) {
			if (client->fd >= 0)
				close(client->fd);
			client->fd = -1;
			errno = EPROTO;
			return -1;
		}
		if (client->fd >= 0)
			return 1;
		if (limpet_worker_refuse(link, client->id, LIMPET_NOT_ARRIVED) < 0)
			return -1;
	}
}

#endif
