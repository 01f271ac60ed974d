/* Why: figures survive the death of the process that counts them: they live in a page of shared
 * memory that the supervisor makes, one process writes and nobody else can.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_COUNTER_H
#define WIRE_COUNTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire/counter_table.h"
#include "wire/end_table.h"

enum counter {
#define COUNTER_ENUM(name, word, kind, help) COUNTER_##name,
	COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
#define COUNTER_END_ENUM(name, word, level, sentence) COUNTER_ENDED_##name,
	END_REASONS(COUNTER_END_ENUM)
#undef COUNTER_END_ENUM
		COUNTER_COUNT
};

struct counter_page {
	uint64_t values[COUNTER_COUNT];
};

/* A fresh memfd for a page; -1 with errno. */
int counter_create(void);

/* Makes the page behind `fd` this process's page (writer), gauges reset to 0. false with errno.
 * Before that, and in unit tests, a private page is counted in. */
bool counter_map(int fd);

/* Maps a page read-only; NULL with errno. The values are one process's word: print them, trust
 * nothing. */
const struct counter_page *counter_view(int fd);

void counter_add(enum counter which, uint64_t by);
void counter_sub(enum counter which, uint64_t by); /* gauges; below 0 is fatal */
uint64_t counter_get(enum counter which);
void counter_end(enum end_reason reason); /* counts one ended connection */

/* The page that this process counts in, private or mapped. */
const struct counter_page *counter_mine(void);

/* Several roles count the same figures, each in its own page: adds those of `page` to `sum`, which
 * begins as zeroes. */
void counter_sum(struct counter_page *sum, const struct counter_page *page);

/* "accepted=12 held=0 ..." every row, in table order; ends without newline. */
void counter_print(const struct counter_page *page, char *out, size_t size);

#endif
