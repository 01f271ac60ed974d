/* Why: what only the whole can tell: a listener's pool, two equal addresses, a slot that there is
 * not. SPDX-License-Identifier: ISC */
#ifndef CONFIG_CONFIG_CHECK_H
#define CONFIG_CONFIG_CHECK_H

#include "config/config.h"

/* The rules that hold on every machine, and what follows from them (pool_index, delivery). */
bool config_check_whole(struct config *config, struct error *e);

/* Users, groups and rights of this process. */
bool config_check_rights(const struct config *config, struct error *e);

#endif
