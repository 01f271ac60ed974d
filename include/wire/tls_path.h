/* Why: the files of a [tls] section are opened by the supervisor and read by a relay, and by the
 * check before a start; all of them must mean the same files in the same order.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_TLS_PATH_H
#define WIRE_TLS_PATH_H

#include <stddef.h>

#include "base/error.h"
#include "base/secret_file.h"
#include "config/config.h"
#include "wire/message.h"

#define TLS_PATH_DIRECTORY_MOST 1024 /* files *.pem of `directory`; more are an error */

struct tls_path {
	struct message_tls_file file; /* as relays are told of it */
	const char *path;             /* whole, as given; valid during the visit */
	const char *option;           /* whose line names it, ... */
	size_t item;                  /* ... and which of its lines */
	enum secret secret;           /* ours where it holds a private key, unless Node workers
					 alone read the section (tls_at = worker): shared */
};

/* false with a sentence ends the walk. */
typedef bool tls_path_visit(const struct tls_path *path, void *arg, struct error *e);

/* Every file of the section: pairs (certificate 0, key 0, certificate 1, ...), then those of
 * `directory` by name, then client_ca, crl and ocsp_staple. false with the visitor's sentence, or
 * with one that blames the directory, which the visitor then was not asked about. */
bool tls_path_each(const struct tls_config *tls, tls_path_visit *visit, void *arg, struct error *e);

/* By the rules of base/secret_file.h. */
bool tls_path_open(const struct tls_path *path, int *fd_r, struct error *e);

#endif
