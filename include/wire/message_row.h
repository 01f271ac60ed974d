/* Why: the rows of message_table.h as data, for the one place that enforces them (channel.c).
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_MESSAGE_ROW_H
#define WIRE_MESSAGE_ROW_H

#include <stdbool.h>

#include "wire/message.h"

enum message_sender {
	FROM_NOBODY,
	FROM_SUPERVISOR,
	FROM_ROLE
};

struct message_row {
	const char *name;
	size_t length;
	enum message_sender from;
	bool has_fd;
};

/* Never NULL: unknown types have the row of MESSAGE_INVALID. */
const struct message_row *message_row(enum message_type type);

/* Does a received payload of `length` bytes have the size that its type and contents demand? */
bool message_fits(const struct message *message, size_t length);

#endif
