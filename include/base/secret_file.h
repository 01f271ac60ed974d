/* Why: certificates, keys and the like are opened by one process and read by another; whoever opens
 * one must be sure that it is the file its owner meant, and that a secret is one. The checks are
 * made of what was opened, so a name may be a symbolic link (certbot's are) and nobody can change
 * it between check and use. Source: open(2), path_resolution(7). SPDX-License-Identifier: ISC */
#ifndef BASE_SECRET_FILE_H
#define BASE_SECRET_FILE_H

#include <stdbool.h>

#include "base/error.h"

enum secret {
	SECRET_NONE, /* a file of root or of our own uid that not everybody can write */
	SECRET_OURS, /* the same, and only its owner can read it */
	/* For files that programs of other users read as well: */
	SECRET_NONE_SHARED, /* anybody's file that not everybody can write */
	SECRET_SHARED       /* the same, and its owner may open it to a group at most */
};

/* Opens for reading a regular file that is no less secret than that. The descriptor is
 * close-on-exec. Never waits (a FIFO is refused). false with a sentence that begins with the path.
 */
bool secret_file_open(const char *path, enum secret secret, int *fd_r, struct error *e);

#endif
