/* Why: relay 0 asks name servers and checks servers for all relays; what it found is kept here and
 * told to the others, and to its successor when it dies. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_SERVERS_H
#define SUPERVISOR_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

struct role_process;
struct supervisor;
struct servers;

struct servers *servers_new(struct supervisor *supervisor);
void servers_free(struct servers **servers);

/* Words of relay 0, of which nothing is believed before it is checked. false: it is no lawful word,
 * and *why_r says why not. */
bool servers_found(struct servers *servers, const struct message_server *found, const char **why_r);
bool servers_heard(struct servers *servers, const struct message_health *health,
		   const char **why_r);

/* What an exec check found, said to all relays. */
void servers_judge(struct servers *servers, const struct message_health *health);

/* A new process or address has no bad name. */
void servers_absolve(struct servers *servers, uint32_t pool, uint32_t slot);

/* All that is known, for a fresh relay. */
void servers_introduce(const struct servers *servers, struct role_process *relay);

/* NULL: of a local slot, or nothing is known. */
const struct message_server *servers_at(const struct servers *servers, size_t pool, size_t slot);

#endif
