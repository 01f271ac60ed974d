/* Why: see leg.h. SPDX-License-Identifier: ISC */
#include "leg.h"

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PLAIN (1 << 24)
#define DISCARD_TLS   16384 /* SSL_read(3) gives one record at a time */

/* Tickets come after the handshake, with the first reads. */
static int on_ticket(SSL *tls, SSL_SESSION *session)
{
	struct leg *leg = SSL_get_app_data(tls);

	SSL_SESSION_free(leg->session);
	leg->session = session;
	return 1; /* it is ours now */
}

struct ssl_ctx_st *leg_context_new(enum leg_kind kind)
{
	SSL_CTX *context;

	if (kind == LEG_PLAIN)
		return NULL;
	context = SSL_CTX_new(TLS_client_method());
	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set1_groups_list(context, "X25519"))
		errx(1, "OpenSSL: %s", ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1); /* header and body of a record by one recv(2) */
	SSL_CTX_set_session_cache_mode(context, kind == LEG_RESUMED
							? SSL_SESS_CACHE_CLIENT |
								  SSL_SESS_CACHE_NO_INTERNAL_STORE
							: SSL_SESS_CACHE_OFF);
	if (kind == LEG_RESUMED)
		SSL_CTX_sess_set_new_cb(context, on_ticket);
	return context;
}

void leg_context_free(struct ssl_ctx_st **context)
{
	SSL_CTX_free(*context);
	*context = NULL;
}

/* As recv(2) would say it. */
static ssize_t leg_result(const struct leg *leg, int done)
{
	const int system_error = errno;

	if (done > 0)
		return done;
	switch (SSL_get_error(leg->tls, done)) {
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_SYSCALL:
		errno = system_error ? system_error : EPROTO;
		return -1;
	default:
		errno = EPROTO;
		return -1;
	}
}

static void leg_begin_tls(struct leg *leg, struct ssl_ctx_st *context)
{
	const int on = 1;

	/* Otherwise the request would wait until the end of the handshake is acknowledged. */
	setsockopt(leg->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	leg->tls = SSL_new(context);
	if (!leg->tls || !SSL_set_fd(leg->tls, leg->fd))
		errx(1, "out of memory for TLS");
	SSL_set_app_data(leg->tls, leg);
	if (leg->session)
		SSL_set_session(leg->tls, leg->session);
}

int leg_shake(struct leg *leg, struct ssl_ctx_st *context)
{
	ssize_t result;

	if (!leg->tls)
		leg_begin_tls(leg, context);
	ERR_clear_error();
	result = leg_result(leg, SSL_connect(leg->tls));
	if (result > 0)
		return 1;
	return result < 0 && errno == EAGAIN ? 0 : -1;
}

bool leg_is_resumed(const struct leg *leg)
{
	return leg->tls && SSL_session_reused(leg->tls);
}

ssize_t leg_send(struct leg *leg, const char *data, size_t length)
{
	if (!leg->tls)
		return send(leg->fd, data, length, MSG_NOSIGNAL);
	ERR_clear_error();
	return leg_result(leg, SSL_write(leg->tls, data, (int)length));
}

ssize_t leg_receive(struct leg *leg, char *buffer, size_t room)
{
	if (!leg->tls)
		return recv(leg->fd, buffer, room, 0);
	ERR_clear_error();
	return leg_result(leg, SSL_read(leg->tls, buffer, (int)room));
}

ssize_t leg_discard(struct leg *leg)
{
	char unwanted[DISCARD_TLS];

	if (!leg->tls) /* tcp(7): MSG_TRUNC discards, the buffer is not touched */
		return recv(leg->fd, NULL, DISCARD_PLAIN, MSG_TRUNC);
	return leg_receive(leg, unwanted, sizeof unwanted);
}

void leg_close(struct leg *leg)
{
	if (leg->tls) {
		ERR_clear_error();
		if (SSL_is_init_finished(leg->tls))
			SSL_shutdown(leg->tls);
		SSL_free(leg->tls);
		leg->tls = NULL;
	}
	if (leg->fd >= 0)
		close(leg->fd);
	leg->fd = -1;
}

void leg_clear(struct leg *leg)
{
	leg_close(leg);
	SSL_SESSION_free(leg->session);
	leg->session = NULL;
}
