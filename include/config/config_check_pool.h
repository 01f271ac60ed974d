/* Why: the rules for pools fill two files; this is what one needs of the other. Nobody else
 * includes it. SPDX-License-Identifier: ISC */
#ifndef CONFIG_CONFIG_CHECK_POOL_H
#define CONFIG_CONFIG_CHECK_POOL_H

#include "config/config_check.h"

/* PORT of each worker is one that there is. */
bool config_check_port(struct config *config, struct pool_config *pool, struct error *e);

/* Where workers and servers of a proxied pool are reached; others pass. The pools before this one
 * are settled. */
bool config_check_proxy(struct config *config, struct pool_config *pool, struct error *e);

/* "OPTION is for delivery = X; pool P has delivery = Y". Always false. */
bool config_pool_refuses(struct config *config, const struct pool_config *pool, const char *option,
			 const char *deliveries, struct error *e);

#endif
