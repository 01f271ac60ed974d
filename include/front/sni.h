/* Why: which pool a server name leads to, the same where TLS ends here (relay) and where its first
 * record is only looked at (greeting). SPDX-License-Identifier: ISC */
#ifndef FRONT_SNI_H
#define FRONT_SNI_H

#include "config/config.h"

/* The row of the name (lower case): the name itself, else "*" for its first label. NULL: none, or
 * no name. */
const struct sni_route *sni_find(const struct sni_list *list, const char *name);

#endif
