/* Why: every connection that passes through our hands ends with one of these reasons, and nowhere
 * else: one word for the log and the counter, one sentence for people.
 *
 * X(NAME, word, log level, sentence)
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_END_TABLE_H
#define WIRE_END_TABLE_H

/* clang-format off */
#define END_REASONS(X) \
X(HANDED_OVER,  "handed_over",    LOG_DEBUG,   "the worker has acknowledged the socket") \
X(DENIED,       "denied",         LOG_INFO,    "the address is not allowed here") \
X(CLIENT_LIMIT, "max_per_client", LOG_INFO,    "the client has max_per_client connections already") \
X(QUEUE_FULL,   "queue_full",     LOG_WARNING, "every worker's queue is full") \
X(NO_WORKER,    "no_worker",      LOG_WARNING, "no worker took it within queue_timeout") \
X(BAD_SOCKET,   "bad_socket",     LOG_INFO,    "the client left before it was served") \
X(SHUTDOWN,     "shutdown",       LOG_INFO,    "Limpet is stopping")
/* clang-format on */

enum end_reason {
#define END_ENUM(name, word, level, sentence) END_##name,
	END_REASONS(END_ENUM)
#undef END_ENUM
	END_REASONS_COUNT
};

#endif
