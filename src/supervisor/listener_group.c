/* Why: see the header. A program that sees the packet decides faster than any process could, and it
 * goes on deciding the same while processes come and go: the index of a socket in its group is its
 * place in the order of listen(2), for as long as somebody holds it.
 * SPDX-License-Identifier: ISC */
#include "supervisor/listener_group.h"

#include <errno.h>
#include <linux/filter.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fd.h"

/* Offsets in the IP headers: RFC 791 3.1, RFC 8200 3. */
#define IP_VERSION  (SKF_NET_OFF + 0)
#define IPV4_SOURCE (SKF_NET_OFF + 12)
#define IPV6_SOURCE (SKF_NET_OFF + 8)

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

/* A client that knew the hash could choose its relay, so a secret goes in. On a dual-stack socket
 * IPv4 clients come in IPv4 packets: they are the same client as on any other. */
static int spread_by_client(int fd, size_t count)
{
	uint32_t secret = 0;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)IP_VERSION),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)IPV4_SOURCE),
		BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)IPV6_SOURCE),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(IPV6_SOURCE + 4)),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2654435761u),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 15),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2246822519u),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)count),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = { .len = COUNT_OF(code), .filter = code };

	if (getrandom(&secret, sizeof secret, 0) != (ssize_t)sizeof secret)
		return -1;
	code[9].k = secret;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

static int join(const struct address *local, bool v6only)
{
	const int family = local->any.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    set(fd, SOL_SOCKET, SO_REUSEPORT, 1) == 0 &&
	    (family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only) == 0) &&
	    bind(fd, &local->any, local->length) == 0)
		return fd;
	fd_close(&fd);
	return -1;
}

static bool join_all(const struct address *local, bool v6only, int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((fds[i] = join(local, v6only)) < 0)
			return false;
	}
	return true;
}

static bool listen_all(int first, const int *fds, size_t count, unsigned backlog)
{
	if (listen(first, (int)backlog) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (listen(fds[i], (int)backlog) < 0)
			return false;
	}
	return true;
}

int listener_group_listen(int first, const struct address *local, bool v6only, unsigned backlog,
			  bool by_client, int *fds_r, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++)
		fds_r[i] = -1;
	if (set(first, SOL_SOCKET, SO_REUSEPORT, 1) == 0 &&
	    join_all(local, v6only, fds_r, count - 1) &&
	    (!by_client || spread_by_client(first, count) == 0) &&
	    listen_all(first, fds_r, count - 1, backlog))
		return 0;
	for (size_t i = 0; i + 1 < count; i++)
		fd_close(&fds_r[i]);
	return -1;
}
