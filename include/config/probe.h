/* Why: `check` says how a server's health is found out in a small grammar of its own; who checks
 * (relay, supervisor) gets it taken apart, and the parser of the configuration refuses what is no
 * check. Source: RFC 9110 9.1, 15; RFC 9112 3. SPDX-License-Identifier: ISC */
#ifndef CONFIG_PROBE_H
#define CONFIG_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum probe_kind {
	PROBE_OFF,
	PROBE_TCP,
	PROBE_HTTP,
	PROBE_EXEC
};

#define PROBE_RANGES    16
#define PROBE_PATH_MOST 1024 /* bytes of a path, and of a host */

/* Only the members of its kind are set. */
struct probe {
	enum probe_kind kind;
	char *method; /* GET, HEAD or OPTIONS: nothing that changes a server */
	char *path;
	char *host; /* of the Host field; NULL: that of the server */
	struct probe_range {
		unsigned first, last;
	} expected[PROBE_RANGES]; /* of status codes */
	size_t expected_count;
	char *command; /* checked: command_split, then command_expand of each word */
};

/* "off", "tcp", "http GET /path [expecting 2xx,304,400-403] [host=NAME]", "exec COMMAND". Without
 * expecting: 2xx. On error *probe_r owns nothing. */
bool probe_parse(const char *text, struct probe *probe_r, struct error *e);
void probe_free(struct probe *probe); /* what it owns; it is PROBE_OFF afterwards */

bool probe_expects(const struct probe *probe, unsigned status);

#endif
