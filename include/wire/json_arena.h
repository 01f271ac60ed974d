/* Why: jansson allocates every value by itself, which per connection would be a dozen calls of
 * malloc. While the arena is open they come from one block of memory, which is empty again at the
 * next opening; what does not fit, and everything of jansson's while it is closed, lives in malloc.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_JSON_ARENA_H
#define WIRE_JSON_ARENA_H

void json_arena_open(void);

/* Every value made since has been given back by json_decref. */
void json_arena_close(void);

/* For texts of json_dumps, wherever they live. */
void json_arena_give(void *bytes);

#endif
