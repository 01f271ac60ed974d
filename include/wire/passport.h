/* Why: some clients' sockets do not tell their own story: a relay has ended their TLS and gives the
 * worker one end of a pair, or a PROXY protocol header told who is behind the connection. What the
 * worker should know of them travels here. SPDX-License-Identifier: ISC */
#ifndef WIRE_PASSPORT_H
#define WIRE_PASSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct passport {
	struct peer from, to; /* of the client's own connection; AF_UNSPEC: not known */
	bool is_tls;
	bool is_verified;      /* showed a certificate that client_ca signed */
	char tls_version[8];   /* "TLSv1.3" */
	char cipher[40];       /* "TLS_AES_128_GCM_SHA256" */
	char alpn[32];         /* "" none */
	char server_name[256]; /* SNI, lower case; "" none */
	char client_name[128]; /* common name of that certificate */
};

#endif
