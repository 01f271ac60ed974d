/* Why: who may come in and how many, decided before anything is spent on a client.
 * SPDX-License-Identifier: ISC */
#ifndef FRONT_LIMITS_H
#define FRONT_LIMITS_H

#include "config/config.h"
#include "front/census.h"
#include "wire/end_table.h"

/* END_HANDED_OVER (as "no objection"), END_DENIED or END_CLIENT_LIMIT. */
enum end_reason limits_check(const struct listen_config *config, const struct census *census,
			     const struct peer *peer);

/* The listener is at max_connections: stop accepting on it until census_handler says that one
 * ended. */
bool limits_full(const struct listen_config *config, const struct census *census);

#endif
