/* Why: what can be known of a message from its table row: its name, its size, who may say it.
 * SPDX-License-Identifier: ISC */
#include "wire/message.h"

#include "wire/message_row.h"

static const struct message_row rows[MESSAGE_TYPES] = { [MESSAGE_INVALID] = { "INVALID", 0,
									      FROM_NOBODY, false },
#define MESSAGE_ROW(name, payload, from, fd)                                                       \
	[MESSAGE_##name] = { #name, sizeof(struct payload), from, MESSAGE_FD_##fd },
#define MESSAGE_FD_NONE false
#define MESSAGE_FD_ONE  true
							MESSAGES(MESSAGE_ROW) };

const struct message_row *message_row(enum message_type type)
{
	return type < MESSAGE_TYPES ? &rows[type] : &rows[MESSAGE_INVALID];
}

const char *message_name(enum message_type type)
{
	return message_row(type)->name;
}

static bool carries_bytes(enum message_type type)
{
	return type == MESSAGE_KEEP || type == MESSAGE_KEPT;
}

size_t message_length(const struct message *message)
{
	if (carries_bytes(message->type))
		return offsetof(struct message_keep, bytes) + message->KEEP.length;
	return message_row(message->type)->length;
}

bool message_fits(const struct message *message, size_t length)
{
	if (!carries_bytes(message->type))
		return length == message_row(message->type)->length;
	return length >= offsetof(struct message_keep, bytes) &&
	       message->KEEP.length <= MESSAGE_KEEP_MAX && length == message_length(message);
}
