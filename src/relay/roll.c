/* Why: see the header. The order on a roll means nothing: the last row takes the place of one that
 * leaves. SPDX-License-Identifier: ISC */
#include "relay/roll.h"

#include <stdlib.h>

#include "base/log.h"

#define ROLL_FIRST 64

static void grow(struct roll *roll)
{
	const uint32_t size = roll->size ? roll->size * 2 : ROLL_FIRST;
	struct roll_row *rows = realloc(roll->rows, size * sizeof *rows);

	if (!rows)
		fatal("out of memory");
	roll->rows = rows;
	roll->size = size;
}

void roll_enter(struct roll *roll, void *item, uint32_t *place)
{
	if (*place != 0)
		return;
	if (roll->count == roll->size)
		grow(roll);
	roll->rows[roll->count++] = (struct roll_row){ .item = item, .place = place };
	*place = roll->count;
}

void roll_leave(struct roll *roll, uint32_t *place)
{
	const uint32_t at = *place;

	if (at == 0)
		return;
	*place = 0;
	roll->count--;
	if (at - 1 == roll->count)
		return;
	roll->rows[at - 1] = roll->rows[roll->count];
	*roll->rows[at - 1].place = at;
}

void *roll_take(struct roll *roll)
{
	struct roll_row *last;

	if (roll->count == 0)
		return NULL;
	last = &roll->rows[--roll->count];
	*last->place = 0;
	return last->item;
}

void roll_end(struct roll *roll)
{
	free(roll->rows);
	*roll = (struct roll){ 0 };
}
