/* Why: a process that dies takes its memory with it, but not what it has counted: the figures live
 * in a sealed memfd that its supervisor holds and its successor maps again. Sealed against
 * resizing, so that no reader can be killed by SIGBUS. There is one writer per page, so that adding
 * needs no lock: a plain 64-bit store that a reader sees whole or not at all.
 * Source: memfd_create(2), fcntl(2) "File Sealing". SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "wire/counter.h"

enum kind {
	COUNTER,
	GAUGE
};

static const struct {
	const char *word;
	enum kind kind;
} rows[] = {
#define COUNTER_ROW(name, word, kind, help) { word, kind },
	COUNTERS(COUNTER_ROW)
#undef COUNTER_ROW
#define COUNTER_END_ROW(name, word, level, sentence) { "ended_" word, COUNTER },
		END_REASONS(COUNTER_END_ROW)
#undef COUNTER_END_ROW
};
_Static_assert(sizeof rows / sizeof *rows == COUNTER_COUNT, "one row per figure");

/* counter_end finds the figure of a reason by its place. */
#define COUNTER_ENDED_FIRST (COUNTER_COUNT - END_REASONS_COUNT)
_Static_assert(COUNTER_ENDED_FIRST == (int)COUNTER_ENDED_HANDED_OVER,
	       "end reasons are the last rows, in the order of their enum");

static struct counter_page private_page;
static struct counter_page *page = &private_page;

int counter_create(void)
{
	int fd = memfd_create("limpet-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, sizeof(struct counter_page)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		fd_close(&fd);
	return fd;
}

/* A page of another size is from another version of this program: its figures are not ours. */
static void *map(int fd, int protection)
{
	struct stat facts;
	void *mapped;

	if (fstat(fd, &facts) < 0)
		return NULL;
	if (facts.st_size != sizeof(struct counter_page)) {
		errno = EINVAL;
		return NULL;
	}
	mapped = mmap(NULL, sizeof(struct counter_page), protection, MAP_SHARED, fd, 0);
	return mapped == MAP_FAILED ? NULL : mapped;
}

static void put(enum counter which, uint64_t value)
{
	__atomic_store_n(&page->values[which], value, __ATOMIC_RELAXED);
}

bool counter_map(int fd)
{
	struct counter_page *mapped = map(fd, PROT_READ | PROT_WRITE);

	if (!mapped)
		return false;
	if (page != &private_page)
		munmap(page, sizeof *page);
	page = mapped;
	/* What the dead process had in its hands is gone with it. */
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		if (rows[i].kind == GAUGE)
			put((enum counter)i, 0);
	return true;
}

const struct counter_page *counter_view(int fd)
{
	return map(fd, PROT_READ);
}

void counter_add(enum counter which, uint64_t by)
{
	put(which, page->values[which] + by);
}

void counter_sub(enum counter which, uint64_t by)
{
	if (page->values[which] < by)
		fatal("%s fell below 0", rows[which].word);
	put(which, page->values[which] - by);
}

uint64_t counter_get(enum counter which)
{
	return page->values[which];
}

void counter_end(enum end_reason reason)
{
	counter_add((enum counter)(COUNTER_ENDED_FIRST + (int)reason), 1);
}

const struct counter_page *counter_mine(void)
{
	return page;
}

void counter_sum(struct counter_page *sum, const struct counter_page *added)
{
	for (size_t i = 0; i < COUNTER_COUNT; i++)
		sum->values[i] += __atomic_load_n(&added->values[i], __ATOMIC_RELAXED);
}

void counter_print(const struct counter_page *shown, char *out, size_t size)
{
	size_t used = 0;

	if (size)
		out[0] = '\0';
	for (size_t i = 0; i < COUNTER_COUNT && used < size; i++) {
		const uint64_t value = __atomic_load_n(&shown->values[i], __ATOMIC_RELAXED);
		const int length = snprintf(out + used, size - used, "%s%s=%llu", i ? " " : "",
					    rows[i].word, (unsigned long long)value);

		used += (size_t)length;
	}
}
