/* Why: certificates and keys are opened here, where the rights to do so are, and read by the relays
 * alone: no byte of a key is ever in this process. Changed files reach running relays without
 * dropping a connection; broken ones change nothing.
 * SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_TLS_FILES_H
#define SUPERVISOR_TLS_FILES_H

#include "wire/message.h"

struct role_process;
struct supervisor;
struct tls_files;

/* Of the [tls] sections that relayed listeners use; looks at their files every watch_interval.
 * NULL where there are none. */
struct tls_files *tls_files_new(struct supervisor *supervisor);
void tls_files_free(struct tls_files **files);

/* A fresh relay gets every section's files and is told to load them. `files` may be NULL. */
void tls_files_introduce(struct tls_files *files, struct role_process *relay);

/* SIGHUP: all relays load everything again. false: there are none. */
bool tls_files_reload(struct tls_files *files);

/* A relay's answer to a load. Bad material at the start of Limpet ends it. false: it answers what
 * nobody asked. */
bool tls_files_loaded(struct tls_files *files, const struct role_process *relay,
		      const struct message_tls_loaded *loaded);

#endif
