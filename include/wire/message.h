/* Why: the payloads of message_table.h. Fixed records: both sides are the same binary on the same
 * machine, and a wrong length or type is a bug or an attack: the peer is dropped, nothing is
 * guessed. SPDX-License-Identifier: ISC */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "wire/message_table.h"

enum message_type {
	MESSAGE_INVALID,
#define MESSAGE_ENUM(name, payload, from, fd) MESSAGE_##name,
	MESSAGES(MESSAGE_ENUM)
#undef MESSAGE_ENUM
	MESSAGE_TYPES
};

struct message_head {
	uint32_t type;
	uint32_t length; /* of the payload */
};

#define MESSAGE_ADOPTED                                                                            \
	UINT32_MAX /* listener of no [listen] section: an application asked for it */
#define MESSAGE_POOL_WIDE UINT32_MAX /* in `slot`: of the whole pool */
#define MESSAGE_KEEP_MAX  12288

struct message_begin {
	uint32_t number; /* of a relay, from 0 */
	uint32_t pad;
	uint64_t seed;        /* of the affinity hash */
	uint64_t incarnation; /* counts the starts of this role: makes sequence numbers disjoint */
	int64_t supervisor;   /* its pid */
};

enum listener_use {
	LISTENER_ACCEPT, /* the acceptor accepts */
	LISTENER_KNOWN,  /* no descriptor: relays accept, and give decrypted clients */
	LISTENER_SHARED, /* given to workers whole: UDP, a path that an application asked for */
};
struct message_listener {
	uint32_t id;     /* for life */
	uint32_t listen; /* index of the [listen] section, or MESSAGE_ADOPTED */
	uint32_t pool;
	uint32_t request;     /* of the OPEN that it answers, 0 = none */
	uint32_t use;         /* enum listener_use */
	uint32_t type;        /* SOCK_STREAM, SOCK_DGRAM */
	uint32_t share;       /* of max_connections, for this role; 0: no limit */
	struct address local; /* with the real port */
};
struct message_open {
	uint32_t request; /* not 0 */
	uint32_t pool;
	uint32_t use;
	uint32_t type;
	uint32_t v6only;
	uint32_t dual_fallback; /* address is [::]; take 0.0.0.0 where there is no IPv6 */
	uint32_t backlog;       /* 0: default */
	uint32_t mode;          /* of a path: 0, or what chmod gets */
	int32_t inherited;      /* >= 0: listen({fd}): the supervisor's own inherited descriptor */
	uint32_t reuse; /* SOCK_DGRAM: SO_REUSEADDR, the application shares the port knowingly */
	struct address local;
};
struct message_open_failed {
	uint32_t request;
	int32_t error; /* an errno */
};
struct message_slot {
	uint32_t pool, slot;
	uint64_t generation;
	int64_t pid;
};
enum slot_route {
	ROUTE_WAIT,  /* not now, but soon: clients may be held for it */
	ROUTE_OPEN,  /* takes clients */
	ROUTE_CLOSED /* none: failing, stopped, or draining */
};
struct message_slot_state {
	uint32_t pool, slot;
	uint64_t generation; /* 0: whatever runs */
	uint32_t route;      /* enum slot_route */
	uint32_t drain;      /* tell the worker to finish its clients and go */
};
struct message_slot_end {
	uint32_t pool, slot;
	uint64_t generation;
	uint32_t route; /* of the slot from now on */
	uint32_t pad;
};
struct message_worker {
	uint32_t pool, slot;
	uint64_t generation;
};
/* Opaque to the supervisor. Sent with `length` bytes only. A record replaces the one with the same
 * (pool, slot, generation, id); length 0 forgets it; records of a generation go with it. */
struct message_keep {
	uint32_t pool, slot;
	uint64_t generation;
	uint32_t id;
	uint32_t length;
	char bytes[MESSAGE_KEEP_MAX];
};
struct message_go {
	uint32_t draining; /* we are stopping: never accept */
};
struct message_drain {
	uint32_t pad;
};
struct message_serving {
	uint32_t pad;
};
struct message_drained {
	uint32_t pad;
};
struct message_ward {
	uint32_t pool, slot;
	uint64_t generation;
	int64_t pid;
	int64_t drain_ms; /* after the supervisor's death: until SIGKILL */
	int64_t stop_ms;  /* so long before that: the stop signal */
	uint32_t stop_signal;
	uint32_t group; /* signal the whole process group */
};
struct message_ward_log {
	uint32_t pool, slot;
	uint64_t generation;
};

/* Where relays reach a slot: of a local worker (told by the supervisor), or of a server line, where
 * relay 0 tells the supervisor and he tells all relays.
 *
 *   ABSENT ──found──► PRESENT ──vanished──► LEAVING ──place is needed──► ABSENT
 *                        ▲───found again──────┘
 */
enum server_state {
	SERVER_ABSENT, /* no such slot now */
	SERVER_PRESENT,
	SERVER_LEAVING /* vanished from its name: keeps its connections, gets no new ones */
};
struct message_server {
	uint32_t pool, slot;
	uint32_t state;  /* enum server_state */
	uint32_t weight; /* in thousandths; servers only, else 0: the pool's weight rows hold */
	struct address address;
	char name[128]; /* what is hashed; "" of local workers: their number is */
};
/* A slot that its checks call bad gets no new client until they call it good. */
struct message_health {
	uint32_t pool, slot;
	uint32_t good;
	uint32_t ready; /* from relay 0: a starting worker accepts (delivery = proxy) */
	char why[128];  /* where not good */
};
enum tls_file_kind {
	TLS_FILE_CERTIFICATE, /* the next descriptor is its key, of the same number */
	TLS_FILE_KEY,
	TLS_FILE_BOTH, /* of `directory`: both in one */
	TLS_FILE_CLIENT_CA,
	TLS_FILE_CRL,
	TLS_FILE_STAPLE
};
struct message_tls_file {
	uint32_t tls;    /* index of the [tls] section */
	uint32_t kind;   /* enum tls_file_kind */
	uint32_t number; /* of the pair */
	char path[160];  /* for sentences; cut at its left where longer */
};
struct message_tls {
	uint32_t tls;
	uint32_t serial; /* counts loads of this section */
};
struct message_tls_loaded {
	uint32_t tls;
	uint32_t serial;
	uint32_t good;
	uint32_t pad;
	int64_t expires; /* earliest notAfter, seconds since 1970 */
	char text[256];  /* where not good: why the old material is kept */
};
/* The first encrypts, all decrypt; RFC 5077 4. A key of zeroes is none. */
#define TICKET_KEYS 3
struct message_tickets {
	struct ticket_key {
		uint8_t name[16], aes[32], hmac[32];
	} keys[TICKET_KEYS];
};
struct message_gifts {
	uint32_t relay; /* its number */
};

struct message {
	enum message_type type;
	union {
#define MESSAGE_MEMBER(name, payload, from, fd) struct payload name;
		MESSAGES(MESSAGE_MEMBER)
#undef MESSAGE_MEMBER
	};
};

/* "SLOT_BEGIN"; for logs. */
const char *message_name(enum message_type type);
/* Bytes of the payload as sent. */
size_t message_length(const struct message *message);

#endif
