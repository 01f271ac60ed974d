/* Why: the only door to OpenSSL, so that its rules (an error queue per thread, states that want a
 * read to write, buffers that hide data from poll) are kept in one place. Non-blocking sockets, no
 * BIO of libevent. Implemented by src/relay/tls*.c; nobody else includes OpenSSL. Source: ssl(7),
 * SSL_get_error(3), RFC 8446, RFC 5246. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_H
#define RELAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "config/config.h"
#include "wire/message.h"
#include "wire/passport.h"

/* --- Material: the [tls] sections of this process --- */

struct tls_store;

struct tls_store *tls_store_new(const struct config *config);
void tls_store_free(struct tls_store **store);

/* Collects an opened file for the next load; reads and closes *fd (left -1) at once. Key bytes stay
 * in this process, locked and out of core dumps where the system allows. */
void tls_store_file(struct tls_store *store, const struct message_tls_file *file, int *fd);

/* Builds a context of what was collected, checks it (key and certificate match, chain parses, a
 * handshake in memory succeeds), then puts it in the place of the old one, whose connections go on
 * with it. Where anything is wrong the old one stays, and *loaded_r says why. */
void tls_store_load(struct tls_store *store, const struct message_tls *load,
		    struct message_tls_loaded *loaded_r);

void tls_store_tickets(struct tls_store *store, const struct message_tickets *tickets);

/* For -t and the start: reads and checks everything that [tls] sections name, as a relay would.
 * false with a sentence "file:line: ...". What works but should be known is logged. */
bool tls_check(const struct config *config, struct error *e);

/* The same in a short-lived process, so that the caller never has a byte of a key in its memory. */
bool tls_check_apart(const struct config *config, struct error *e);

/* --- One connection --- */

struct tls;

enum tls_result {
	TLS_DONE,       /* handshake over; close_notify sent */
	TLS_WANT_READ,  /* go on when the socket is readable */
	TLS_WANT_WRITE, /* go on when it is writable */
	TLS_EOF,        /* the peer's close_notify: all data has come */
	TLS_TRUNCATED,  /* the peer's FIN without it: data may be missing */
	TLS_BROKEN      /* alert, wrong record, reset: errno or tls_why */
};

/* Server side of section `tls`; NULL where that section has no material. The fd stays the
 * caller's. */
struct tls *tls_begin(struct tls_store *store, size_t tls, int fd);
void tls_end(struct tls **tls); /* sends nothing */

/* TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE or TLS_BROKEN. At most 64 KiB are read before it is
 * done. */
enum tls_result tls_handshake(struct tls *tls);

/* More than 0: bytes. 0: *result_r says why not (WANT_READ, WANT_WRITE, EOF, TRUNCATED, BROKEN).
 * After WANT_WRITE of tls_write the same bytes must come again (at another address, and with more
 * behind them, if need be). */
size_t tls_read(struct tls *tls, void *out, size_t size, enum tls_result *result_r);
size_t tls_write(struct tls *tls, const void *bytes, size_t size, enum tls_result *result_r);
/* Bytes, or an end, that no event will tell of: read again. Also after the handshake. */
bool tls_pending(const struct tls *tls);

/* Sends close_notify (half-close: reading goes on); all bytes must have been written. */
enum tls_result tls_shutdown(struct tls *tls);

/* What the handshake told (is_tls and all behind it; the addresses are the caller's). */
void tls_tell(const struct tls *tls, struct passport *passport);
bool tls_resumed(const struct tls *tls);
/* Why it is broken, for the log; valid until the next call. */
const char *tls_why(const struct tls *tls);

#endif
