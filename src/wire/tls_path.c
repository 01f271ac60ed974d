/* Why: tls_path.h. SPDX-License-Identifier: ISC */
#include "wire/tls_path.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret_file.h"

struct walk {
	const struct tls_config *tls;
	tls_path_visit *visit;
	void *arg;
};

/* A path that is too long for the message keeps its end, which tells more than its beginning. */
static void tell_path(char *out, size_t size, const char *path)
{
	size_t length = strlen(path);

	if (length < size)
		snprintf(out, size, "%s", path);
	else
		snprintf(out, size, "...%s", path + length - (size - sizeof "..."));
}

static bool visit(const struct walk *walk, enum tls_file_kind kind, const char *option, size_t item,
		  const char *text, struct error *e)
{
	struct tls_path path = {
		.file = { .tls = (uint32_t)walk->tls->index,
			  .kind = kind,
			  .number = (uint32_t)item },
		.path = text,
		.option = option,
		.item = item,
		.secret = SECRET_NONE,
	};

	if (kind == TLS_FILE_KEY || kind == TLS_FILE_BOTH)
		path.secret = walk->tls->is_workers ? SECRET_SHARED : SECRET_OURS;
	else if (walk->tls->is_workers)
		path.secret = SECRET_NONE_SHARED;
	tell_path(path.file.path, sizeof path.file.path, text);
	return walk->visit(&path, walk->arg, e);
}

/* Hidden ones are what editors and package managers leave behind for a moment. */
static int is_pem(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 4 &&
	       strcmp(entry->d_name + length - 4, ".pem") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool visit_entry(const struct walk *walk, const char *name, size_t number, struct error *e)
{
	const char *directory = walk->tls->directory;
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
		return error_set(e, "the path of %s in %s is too long", name, directory);
	return visit(walk, TLS_FILE_BOTH, "directory", number, path, e);
}

static bool visit_directory(const struct walk *walk, struct error *e)
{
	const char *directory = walk->tls->directory;
	struct dirent **entries;
	int count = scandir(directory, &entries, is_pem, by_bytes);
	bool good = true;

	if (count < 0)
		return error_set(e, "%s cannot be listed: %s", directory, strerror(errno));
	if (count > TLS_PATH_DIRECTORY_MOST)
		good = error_set(e, "%s has %d files *.pem, %d are the most", directory, count,
				 TLS_PATH_DIRECTORY_MOST);
	else if (count == 0 && walk->tls->certificate.count == 0)
		good = error_set(e, "%s has no file *.pem, and there is no certificate besides",
				 directory);
	for (int i = 0; i < count; i++) {
		good = good && visit_entry(walk, entries[i]->d_name, (size_t)i, e);
		free(entries[i]);
	}
	free((void *)entries);
	return good;
}

static bool visit_pairs(const struct walk *walk, struct error *e)
{
	const struct tls_config *tls = walk->tls;

	for (size_t i = 0; i < tls->certificate.count; i++) {
		if (!visit(walk, TLS_FILE_CERTIFICATE, "certificate", i, tls->certificate.items[i],
			   e))
			return false;
		if (i < tls->key.count &&
		    !visit(walk, TLS_FILE_KEY, "key", i, tls->key.items[i], e))
			return false;
	}
	return true;
}

static bool visit_one(const struct walk *walk, enum tls_file_kind kind, const char *option,
		      const char *path, struct error *e)
{
	return !*path || visit(walk, kind, option, 0, path, e);
}

bool tls_path_each(const struct tls_config *tls, tls_path_visit *visitor, void *arg,
		   struct error *e)
{
	const struct walk walk = { .tls = tls, .visit = visitor, .arg = arg };

	return visit_pairs(&walk, e) && (!*tls->directory || visit_directory(&walk, e)) &&
	       visit_one(&walk, TLS_FILE_CLIENT_CA, "client_ca", tls->client_ca, e) &&
	       visit_one(&walk, TLS_FILE_CRL, "crl", tls->crl, e) &&
	       visit_one(&walk, TLS_FILE_STAPLE, "ocsp_staple", tls->ocsp_staple, e);
}

bool tls_path_open(const struct tls_path *path, int *fd_r, struct error *e)
{
	return secret_file_open(path->path, path->secret, fd_r, e);
}
