/* Why: these tests make files, pipes and sockets; each test gets an empty directory that goes with
 * it, and waits for conditions instead of sleeping. SPDX-License-Identifier: ISC */
#ifndef TEST_SUPERVISOR_SCRATCH_H
#define TEST_SUPERVISOR_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static char scratch[64];
static char scratch_path[256];

__attribute__((unused)) static int scratch_begin(void **state)
{
	(void)state;
	snprintf(scratch, sizeof scratch, "/tmp/limpet-unit.XXXXXX");
	return mkdtemp(scratch) ? chmod(scratch, 0755) : -1;
}

__attribute__((unused)) static int scratch_end(void **state)
{
	DIR *dir = opendir(scratch);
	struct dirent *entry;

	(void)state;
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
	return rmdir(scratch);
}

/* A path in the directory; valid until the next call. */
__attribute__((unused)) static const char *in_scratch(const char *name)
{
	snprintf(scratch_path, sizeof scratch_path, "%s/%s", scratch, name);
	return scratch_path;
}

__attribute__((unused)) static void scratch_write(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

__attribute__((unused)) static void scratch_read(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	out[fread(out, 1, size - 1, f)] = '\0';
	fclose(f);
}

/* Turns the loop until *value reaches `wanted`; gives up after 10 s. */
__attribute__((unused)) static void loop_until(struct event_base *base, const int *value,
					       int wanted)
{
	const int64_t deadline = clock_now_ms() + 10000;

	while (*value < wanted && clock_now_ms() < deadline) {
		const struct timeval turn = { .tv_usec = 5000 };

		event_base_loopexit(base, &turn);
		event_base_dispatch(base);
	}
	assert_true(*value >= wanted);
}

#endif
