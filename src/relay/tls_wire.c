/* Why: tls_wire.h. Source: BIO_meth_new(3), send(2). SPDX-License-Identifier: ISC */
#include "relay/tls_wire.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"

static bool is_for_later(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK;
}

static int on_write(BIO *bio, const char *bytes, size_t size, size_t *sent_r)
{
	struct tls_wire *wire = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(wire->fd, bytes, size, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*sent_r = (size_t)n;
		return 1;
	}
	if (is_for_later(errno))
		BIO_set_retry_write(bio);
	else
		wire->error = errno;
	return 0;
}

static int on_read(BIO *bio, char *out, size_t size, size_t *got_r)
{
	struct tls_wire *wire = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (wire->budget != TLS_WIRE_UNLIMITED && size > wire->budget)
		size = wire->budget;
	wire->is_flooded = size == 0;
	if (wire->is_flooded)
		return 0;
	do
		n = recv(wire->fd, out, size, 0);
	while (n < 0 && errno == EINTR);
	wire->is_drained = n < (ssize_t)size;
	if (n > 0) {
		if (wire->budget != TLS_WIRE_UNLIMITED)
			wire->budget -= (uint32_t)n;
		*got_r = (size_t)n;
		return 1;
	}
	if (n == 0)
		wire->is_ended = true;
	else if (is_for_later(errno))
		BIO_set_retry_read(bio);
	else
		wire->error = errno;
	return 0;
}

/* A FIN is told by is_ended and not by BIO_CTRL_EOF, at which OpenSSL would send an alert and
 * refuse to write on. */
static long on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int on_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO *tls_wire_bio(struct tls_wire *wire)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "wire");
		if (!method || !BIO_meth_set_write_ex(method, on_write) ||
		    !BIO_meth_set_read_ex(method, on_read) ||
		    !BIO_meth_set_ctrl(method, on_control) ||
		    !BIO_meth_set_create(method, on_create))
			fatal("out of memory");
	}
	bio = BIO_new(method);
	if (!bio)
		fatal("out of memory");
	BIO_set_data(bio, wire);
	return bio;
}
