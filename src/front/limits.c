/* Why: the rules of a [listen] section are pure questions, answered from the configuration and the
 * census alone, so that they can be tested without a socket. SPDX-License-Identifier: ISC */
#include "front/limits.h"

static bool is_denied(const struct listen_config *config, const struct peer *peer)
{
	return cidr_match(&config->deny, peer) ||
	       (config->allow.count > 0 && !cidr_match(&config->allow, peer));
}

enum end_reason limits_check(const struct listen_config *config, const struct census *census,
			     const struct peer *peer)
{
	/* A UNIX client has no address: who may connect is decided by the permissions of the file.
	 */
	if (peer->any.sa_family == AF_UNIX)
		return END_HANDED_OVER;
	if (is_denied(config, peer))
		return END_DENIED;
	if (census && config->max_per_client > 0 &&
	    census_of(census, peer) >= config->max_per_client)
		return END_CLIENT_LIMIT;
	return END_HANDED_OVER;
}

bool limits_full(const struct listen_config *config, const struct census *census)
{
	return census && config->max_connections > 0 &&
	       census_total(census) >= config->max_connections;
}
