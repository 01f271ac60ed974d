/* Why: buffer.h; the only place where bytes are moved forward or memory grows by need.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/log.h"

#define BUFFER_SMALL 4096 /* what an empty buffer may keep */

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ .limit = buffer->limit };
}

static void buffer_rest(struct buffer *buffer)
{
	if (buffer_length(buffer) > 0)
		return;
	buffer->start = buffer->end = 0;
	if (buffer->size > BUFFER_SMALL)
		buffer_free(buffer);
}

static void buffer_compact(struct buffer *buffer)
{
	size_t length = buffer_length(buffer);

	if (buffer->start == 0)
		return;
	memmove(buffer->data, buffer->data + buffer->start, length);
	buffer->start = 0;
	buffer->end = length;
}

/* Makes room for `more` bytes behind the filled ones; the caller has checked the limit. */
static void buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t need = buffer_length(buffer) + more;
	size_t size = buffer->size ? buffer->size : BUFFER_SMALL;

	if (buffer->size - buffer->end >= more)
		return;
	buffer_compact(buffer);
	if (buffer->size >= need)
		return;
	while (size < need)
		size = size > buffer->limit / 2 ? buffer->limit : size * 2;
	if (size > buffer->limit)
		size = buffer->limit;
	buffer->data = realloc(buffer->data, size);
	if (!buffer->data)
		fatal("no memory for a buffer of %zu bytes", size);
	buffer->size = size;
}

bool buffer_add(struct buffer *buffer, const void *bytes, size_t length)
{
	if (length > buffer->limit - buffer_length(buffer))
		return false;
	if (length == 0)
		return true;
	buffer_reserve(buffer, length);
	memcpy(buffer->data + buffer->end, bytes, length);
	buffer->end += length;
	return true;
}

void buffer_drop(struct buffer *buffer, size_t length)
{
	if (length > buffer_length(buffer))
		fatal("%zu bytes dropped from a buffer that holds %zu", length,
		      buffer_length(buffer));
	buffer->start += length;
	buffer_rest(buffer);
}

ssize_t buffer_read(struct buffer *buffer, int fd, size_t most)
{
	size_t room = buffer->limit - buffer_length(buffer);
	ssize_t got;

	if (room == 0) {
		errno = ENOBUFS;
		return -1;
	}
	if (most > room)
		most = room;
	buffer_reserve(buffer, most);
	do
		got = read(fd, buffer->data + buffer->end, most);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		buffer->end += (size_t)got;
		return got;
	}
	int error = errno;
	buffer_rest(buffer);
	errno = error;
	return got;
}

char *buffer_line(struct buffer *buffer, size_t *length_r, size_t *scanned)
{
	size_t length = buffer_length(buffer);
	char *line, *newline;

	if (length == 0 || *scanned >= length) {
		buffer_rest(buffer);
		return NULL;
	}
	line = buffer_bytes(buffer);
	newline = memchr(line + *scanned, '\n', length - *scanned);
	if (!newline) {
		*scanned = length;
		return NULL;
	}
	*newline = '\0';
	*length_r = (size_t)(newline - line);
	*scanned = 0;
	buffer->start += *length_r + 1;
	return line;
}
