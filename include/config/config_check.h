/* Why: what only the whole can tell: a listener's pool, two equal addresses, a slot that there is
 * not, two options that say opposite things. Values count, never whether they were written: what is
 * printed as the effective configuration must pass too. SPDX-License-Identifier: ISC */
#ifndef CONFIG_CONFIG_CHECK_H
#define CONFIG_CONFIG_CHECK_H

#include "config/config.h"
#include "config/option.h"

/* The rules that hold on every machine, and what follows from them: delivery, locals, slots,
 * proxied; pool_index, tls_index, relayed; needs_relays. */
bool config_check_whole(struct config *config, struct error *e);

/* Users, groups and rights of this process. */
bool config_check_rights(const struct config *config, struct error *e);

/* Parts of config_check_whole, in this order. */
bool config_check_pools(struct config *config, struct error *e);
bool config_check_listens(struct config *config, struct error *e);
bool config_check_tls(struct config *config, struct error *e);

/* Puts the place of an option's assignment, or of the head of the section where there is none or
 * `option` is NULL, in front of the sentence. Always false. */
bool config_blame(const struct config *config, enum section_kind kind, size_t section,
		  const char *option, size_t item, struct error *e);
bool config_blame_pool(const struct config *config, const struct pool_config *pool,
		       const char *option, struct error *e);
bool config_blame_listen(const struct config *config, const struct listen_config *listen,
			 const char *option, size_t item, struct error *e);

#endif
