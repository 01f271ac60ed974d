/* Why: every figure that we count is one row here; the stats line (and later the metrics) are loops
 * over it.
 *
 * X(NAME, word, kind, help)   kind: COUNTER only grows; GAUGE is a present state
 * One further COUNTER per row of end_table.h is called ended_<word>.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_COUNTER_TABLE_H
#define WIRE_COUNTER_TABLE_H

/* clang-format off */
#define COUNTERS(X) \
X(ACCEPTED,       "accepted",       COUNTER, "Clients accepted.") \
X(ACCEPT_ERRORS,  "accept_errors",  COUNTER, "accept(2) failures that concern one client or the network.") \
X(ACCEPT_PAUSES,  "accept_pauses",  COUNTER, "Times that accepting paused because descriptors or memory ran out.") \
X(LIMIT_PAUSES,   "limit_pauses",   COUNTER, "Times that a listener paused at max_connections.") \
X(REROUTED,       "rerouted",       COUNTER, "Clients sent to another slot than their first choice.") \
X(RESENT,         "resent",         COUNTER, "Clients delivered again because their worker died before it acknowledged them.") \
X(BACKPRESSURE,   "backpressure",   COUNTER, "Times that a worker's link was full.") \
X(REFUSED,        "refused",        COUNTER, "Clients that a worker refused (accepted:false, or reason 2 on a link).") \
X(NACKS,          "nacks",          COUNTER, "Clients whose descriptor a worker could not receive.") \
X(STALLS,         "stalls",         COUNTER, "Times that a worker stopped acknowledging for stall_timeout.") \
X(LATE_ACKS,      "late_acks",      COUNTER, "Acknowledgements of clients that we no longer hold.") \
X(BAD_RECORDS,    "bad_records",    COUNTER, "Records or lines from workers that were not understood.") \
X(USER_MESSAGES,  "user_messages",  COUNTER, "Messages of Node applications to their primary, ignored.") \
X(ADOPTED_PORTS,  "adopted_ports",  COUNTER, "Ports opened because an application asked for them.") \
X(ACCEPTOR_STARTS,"acceptor_starts",COUNTER, "Starts of the acceptor.") \
X(RELAY_STARTS,   "relay_starts",   COUNTER, "Starts of relays.") \
X(CONNECTS,       "connects",       COUNTER, "Connections of relays to workers and servers.") \
X(CONNECT_ERRORS, "connect_errors", COUNTER, "Those that failed.") \
X(RETRIES,        "retries",        COUNTER, "Relayed clients tried on a further slot because connecting failed.") \
X(BYTES_IN,       "bytes_in",       COUNTER, "Bytes relayed from clients.") \
X(BYTES_OUT,      "bytes_out",      COUNTER, "Bytes relayed to clients.") \
X(SPLICED,        "spliced",        COUNTER, "Bytes of both that went through a pipe in the kernel.") \
X(HANDSHAKES,     "handshakes",     COUNTER, "TLS handshakes that succeeded.") \
X(RESUMED,        "resumed",        COUNTER, "Those of them that resumed a session.") \
X(GIFTS,          "gifts",          COUNTER, "Decrypted clients given to a worker.") \
X(HEALTH_CHANGES, "health_changes", COUNTER, "Times that checks or failures closed or opened a slot.") \
X(RELAYED,        "relayed",        GAUGE,   "Relayed connections that are open.") \
X(HANDSHAKING,    "handshaking",    GAUGE,   "TLS handshakes in progress.") \
X(GREETING,       "greeting",       GAUGE,   "Clients whose PROXY header or ClientHello is awaited.") \
X(HELD,           "held",           GAUGE,   "Clients waiting for a worker.") \
X(UNACKNOWLEDGED, "unacknowledged", GAUGE,   "Clients sent to a worker and not yet acknowledged.") \
X(SLOTS_UP,       "slots_up",       GAUGE,   "Slots that take clients.") \
X(COUNTED,        "counted",        GAUGE,   "Open connections counted for max_connections and max_per_client.")
/* clang-format on */

#endif
