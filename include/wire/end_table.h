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
X(RELAYED,      "relayed",        LOG_DEBUG,   "the relayed connection ended in order") \
X(NOT_TRUSTED,  "not_trusted",    LOG_WARNING, "its address may not send a PROXY protocol header (trusted)") \
X(BAD_HEADER,   "bad_header",     LOG_WARNING, "no valid PROXY protocol header") \
X(LATE_HEADER,  "late_header",    LOG_INFO,    "its header was not there within header_timeout") \
X(BAD_HELLO,    "bad_hello",      LOG_INFO,    "no valid TLS ClientHello") \
X(TLS_FAILED,   "tls_failed",     LOG_INFO,    "the TLS handshake failed") \
X(TLS_LATE,     "tls_late",       LOG_INFO,    "the TLS handshake was not over within handshake_timeout") \
X(TLS_CROWD,    "tls_crowd",      LOG_WARNING, "max_handshakes are in progress already") \
X(TLS_BROKEN,   "tls_broken",     LOG_INFO,    "the TLS stream was broken or cut off") \
X(NO_SERVER,    "no_server",      LOG_WARNING, "no worker or server took the relayed connection") \
X(CLIENT_RESET, "client_reset",   LOG_DEBUG,   "the client reset the relayed connection") \
X(SERVER_RESET, "server_reset",   LOG_INFO,    "the worker reset the relayed connection") \
X(FIRST_BYTE,   "first_byte",     LOG_INFO,    "the client said nothing within first_byte_timeout") \
X(IDLE,         "idle",           LOG_DEBUG,   "nothing moved within idle_timeout") \
X(HALF_CLOSED,  "half_closed",    LOG_DEBUG,   "one side was finished, and nothing moved within half_closed_timeout") \
X(AGE,          "age",            LOG_DEBUG,   "it reached max_connection_age") \
X(SHUTDOWN,     "shutdown",       LOG_INFO,    "Limpet is stopping")
/* clang-format on */

enum end_reason {
#define END_ENUM(name, word, level, sentence) END_##name,
	END_REASONS(END_ENUM)
#undef END_ENUM
	END_REASONS_COUNT
};

#endif
