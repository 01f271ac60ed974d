/* Why: one bounded byte buffer for everything that arrives in pieces: lines of workers, Node's IPC.
 * It never grows beyond its limit, and no caller does length arithmetic by hand.
 * SPDX-License-Identifier: ISC */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Bytes [start, end) of data are filled. Memory grows by doubling up to `limit`, and is given back
 * when the buffer runs empty and holds more than 4 KiB. Zero-initialised with `limit` set = empty.
 */
struct buffer {
	char *data;
	size_t start, end, size, limit;
};

void buffer_free(struct buffer *buffer); /* keeps the limit: the buffer is empty and usable again */
static inline size_t buffer_length(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}
static inline char *buffer_bytes(const struct buffer *buffer)
{
	return buffer->data + buffer->start;
}

/* Adds the bytes whole or not at all (false: the limit). */
bool buffer_add(struct buffer *buffer, const void *bytes, size_t length);
void buffer_drop(struct buffer *buffer, size_t length); /* from the front */

/* One read(2) of at most `most` bytes into the buffer. Returns read's result; -1 with ENOBUFS when
 * full. */
ssize_t buffer_read(struct buffer *buffer, int fd, size_t most);

/* The first line without its '\n' (NUL put in its place), or NULL. It stays valid until the next
 * call on the buffer, except a buffer_line that returns a line. The line is consumed. `scanned`
 * keeps long lines from being searched twice: pass the same variable, 0 at first. */
char *buffer_line(struct buffer *buffer, size_t *length_r, size_t *scanned);

#endif
