/* Why: tests that need files work in a fresh directory of their own, which is gone afterwards.
 * SPDX-License-Identifier: ISC */
#ifndef TEST_CONFIG_DIRECTORY_H
#define TEST_CONFIG_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory_path[] = "/tmp/limpet-test.XXXXXX";

static int directory_enter(void **state)
{
	(void)state;
	return mkdtemp(directory_path) && chdir(directory_path) == 0 ? 0 : -1;
}

static int directory_remove_one(const char *path, const struct stat *status, int flag,
				struct FTW *at)
{
	(void)status;
	(void)flag;
	(void)at;
	return remove(path);
}

static int directory_leave(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(directory_path, directory_remove_one, 8, FTW_DEPTH | FTW_PHYS)
			       : -1;
}

static void directory_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file)
		abort();
	fputs(text, file);
	fclose(file);
}

#endif
