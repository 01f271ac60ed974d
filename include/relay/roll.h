/* Why: streams that something must be done for later (go on, try again, look once more) stand on a
 * roll; they may end at any time and must leave it in constant time, for four bytes each.
 * SPDX-License-Identifier: ISC */
#ifndef RELAY_ROLL_H
#define RELAY_ROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct roll {
	struct roll_row {
		void *item;
		uint32_t *place; /* the item's own note of where it stands + 1; 0: not here */
	} * rows;
	uint32_t count, size;
};

/* Does nothing for an item that is on this roll already. */
void roll_enter(struct roll *roll, void *item, uint32_t *place);
/* Does nothing for an item that is on none. */
void roll_leave(struct roll *roll, uint32_t *place);

/* Takes the last item off; NULL: empty. */
void *roll_take(struct roll *roll);
void roll_end(struct roll *roll);

#endif
