/* Why: the bytes of one simulated connection, plain or TLS 1.3, so that the client above asks and
 * reads without knowing which; OpenSSL is behind leg.c alone. One cipher suite and one group, so
 * that every server does the same work. SPDX-License-Identifier: ISC */
#ifndef BENCH_LEG_H
#define BENCH_LEG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

enum leg_kind {
	LEG_PLAIN,
	LEG_FULL,    /* TLS, every handshake with certificate and key exchange */
	LEG_RESUMED, /* TLS by the newest ticket that the server gave on this leg, once it has one
		      */
};

struct leg {
	int fd; /* -1: closed */
	struct ssl_st *tls;
	struct ssl_session_st *session; /* LEG_RESUMED: outlives the connection */
};

/* What the TLS legs of one thread share; NULL for LEG_PLAIN. Exits when OpenSSL refuses it. */
struct ssl_ctx_st *leg_context_new(enum leg_kind kind);
void leg_context_free(struct ssl_ctx_st **context);

/* Goes on with the TLS handshake of a connected socket: 1 done, 0 when more must come first
 * (edge-triggered: until EAGAIN), -1 failed. */
int leg_shake(struct leg *leg, struct ssl_ctx_st *context);
bool leg_is_resumed(const struct leg *leg);

/* As send(2) and recv(2) without flags: the end of a TLS stream is 0 only after its close_notify.
 */
ssize_t leg_send(struct leg *leg, const char *data, size_t length);
ssize_t leg_receive(struct leg *leg, char *buffer, size_t room);

/* As leg_receive, but nobody wants the bytes: of a plain leg they are not even copied. */
ssize_t leg_discard(struct leg *leg);

/* Ends the connection, of TLS with close_notify; the session stays. */
void leg_close(struct leg *leg);

/* The session too. */
void leg_clear(struct leg *leg);

#endif
