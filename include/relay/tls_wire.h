/* Why: OpenSSL's own socket BIO raises SIGPIPE, knows no limit on what is read before a client has
 * proved anything, and hides whether a connection ended or broke. SPDX-License-Identifier: ISC */
#ifndef RELAY_TLS_WIRE_H
#define RELAY_TLS_WIRE_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stdint.h>

#define TLS_WIRE_UNLIMITED UINT32_MAX

struct tls_wire {
	int fd;
	int error;       /* errno of what failed; 0: nothing did */
	uint32_t budget; /* bytes that may still be read */
	bool is_ended;   /* the peer's FIN was read */
	bool is_flooded; /* the budget is used up */
	bool is_drained; /* the last read got less than it had room for: there is no more now */
};

/* Reads and writes by `wire`, which must outlive it. */
BIO *tls_wire_bio(struct tls_wire *wire);

#endif
