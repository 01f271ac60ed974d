/* Why: the server name of a client that speaks TLS to somebody behind us (tls_passthrough) is in
 * its very first message, unencrypted. It is looked at and nothing else: the bytes stay in the
 * socket. Source: RFC 8446 4.1.2 and 5.1, RFC 5246 7.4.1.2, RFC 6066 3.
 * SPDX-License-Identifier: ISC */
#ifndef FRONT_CLIENT_HELLO_H
#define FRONT_CLIENT_HELLO_H

#include <stddef.h>

#define CLIENT_HELLO_MAX  16384 /* bytes of its records that we look at, their heads included */
#define CLIENT_HELLO_NAME 254   /* a host name and its NUL (RFC 1035 2.3.4) */

enum client_hello_progress {
	CLIENT_HELLO_MORE, /* so far so good; at least *needed_r more bytes belong to it */
	CLIENT_HELLO_DONE, /* `name_r`: lower case; "" where it names none */
	CLIENT_HELLO_BAD   /* no ClientHello, or a wrong one: *why_r is a sentence */
};

/* Looks at the first `have` bytes of a connection, which may be more than its ClientHello. A name
 * has letters, digits, hyphens and, since they are in use, underscores. */
enum client_hello_progress client_hello_read(const void *bytes, size_t have,
					     char name_r[CLIENT_HELLO_NAME], size_t *needed_r,
					     const char **why_r);

#endif
