/* Why: everything that supervisor and acceptor say to each other, with who may say it and whether a
 * descriptor comes with it; what is not in the table, or not from that side, ends the peer.
 *
 * X(NAME, struct of the payload, sender, descriptor)
 *   sender      FROM_SUPERVISOR or FROM_ROLE
 *   descriptor  NONE, ONE
 * One record per message on a SOCK_SEQPACKET pair: struct message_head, then the payload.
 * SPDX-License-Identifier: ISC */
#ifndef WIRE_MESSAGE_TABLE_H
#define WIRE_MESSAGE_TABLE_H

/* clang-format off */
#define MESSAGES(X) \
X(BEGIN,        message_begin,      FROM_SUPERVISOR, NONE) /* first word to a role */ \
X(LISTENER,     message_listener,   FROM_SUPERVISOR, ONE)  /* a listening (or shared) socket */ \
X(OPEN_FAILED,  message_open_failed,FROM_SUPERVISOR, NONE) /* answer to OPEN */ \
X(SLOT_BEGIN,   message_slot,       FROM_SUPERVISOR, ONE)  /* a new generation and our end of its link */ \
X(SLOT_STATE,   message_slot_state, FROM_SUPERVISOR, NONE) /* may it get clients? */ \
X(SLOT_END,     message_slot_end,   FROM_SUPERVISOR, NONE) /* its process was reaped */ \
X(KEPT,         message_keep,       FROM_SUPERVISOR, NONE) /* what a predecessor asked to keep */ \
X(GO,           message_go,         FROM_SUPERVISOR, NONE) /* all is told: serve */ \
X(DRAIN,        message_drain,      FROM_SUPERVISOR, NONE) /* accept no more; hand over what is held */ \
X(WARD,         message_ward,       FROM_SUPERVISOR, ONE)  /* to the warden: a process (pidfd) to outlive us */ \
X(WARD_LOG,     message_ward_log,   FROM_SUPERVISOR, ONE)  /* to the warden: read end of its log pipe */ \
X(SERVER,       message_server,     FROM_SUPERVISOR, NONE) /* to relays: where a slot is reached */ \
X(SLOT_HEALTH,  message_health,     FROM_SUPERVISOR, NONE) /* to relays: what relay 0 or a check found */ \
X(TLS_FILE,     message_tls_file,   FROM_SUPERVISOR, ONE)  /* to relays: an opened file of a [tls] section */ \
X(TLS_LOAD,     message_tls,        FROM_SUPERVISOR, NONE) /* to relays: that were all its files: use them */ \
X(TICKETS,      message_tickets,    FROM_SUPERVISOR, NONE) /* to relays: keys of session tickets */ \
X(GIFTS,        message_gifts,      FROM_SUPERVISOR, ONE)  /* to a relay and the acceptor: their link for decrypted clients */ \
X(SERVING,      message_serving,    FROM_ROLE,       NONE) /* answer to GO */ \
X(WORKER_READY, message_worker,     FROM_ROLE,       NONE) /* it listens, or said so on its link */ \
X(WORKER_LEAVES,message_worker,     FROM_ROLE,       NONE) /* it goes by its own will (Node: worker.disconnect) */ \
X(OPEN,         message_open,       FROM_ROLE,       NONE) /* an application asks for a port */ \
X(KEEP,         message_keep,       FROM_ROLE,       NONE) /* keep this for my successor */ \
X(SERVER_FOUND, message_server,     FROM_ROLE,       NONE) /* relay 0: what a name server said of a slot */ \
X(HEALTH,       message_health,     FROM_ROLE,       NONE) /* relay 0: a check of a slot changed its mind */ \
X(TLS_LOADED,   message_tls_loaded, FROM_ROLE,       NONE) /* what became of a TLS_LOAD */ \
X(DRAINED,      message_drained,    FROM_ROLE,       NONE) /* nothing is held any more */
/* clang-format on */

#endif
