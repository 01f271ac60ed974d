/* Why: what happens to a supervised process, and when, is one table of states and events; nothing
 * here forks, signals or waits: that is behind struct slot_ops, so that every cell can be tested.
 *
 *            START               IS_READY                 DRAIN, LEAVES
 *   EMPTY ──────────► STARTING ───────────► READY ──────────────────────► DRAINING
 *     ▲                │  ▲ │ timeout,        │ │ STOP                       │ deadline, STOP
 *     │          EXITED│  │ │ HUNG            │ └────────► STOPPING ◄────────┘
 *     │                ▼  │ └──────► KILLED ◄─┼─ HUNG ─────  │ timeout, STOP
 *     │   FAILED ◄─ (back off) ◄─── EXITED ───┘              ▼
 *     │                │  ▲                                KILLED
 *     │                ▼  │ TIMER, START                     │
 *     │              WAITING                                 │
 *     └──────────────── EXITED, when it is not wanted any more ───────── else: back off, or start
 * at once
 *
 * All moves are made by slot_handle. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_SLOT_H
#define SUPERVISOR_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pace.h"
#include "wire/message.h"

enum slot_state {
	SLOT_EMPTY,    /* no process, none wanted */
	SLOT_STARTING, /* started, not ready; until start_timeout */
	SLOT_READY,    /* takes clients; its failures are forgiven after min_uptime */
	SLOT_DRAINING, /* takes no clients, finishes those it has; until the drain deadline */
	SLOT_STOPPING, /* got the stop signal; until stop_timeout */
	SLOT_KILLED,   /* got SIGKILL */
	SLOT_WAITING,  /* failed; next start when the timer says so */
	SLOT_FAILED,   /* failed max_restarts times */
	SLOT_STATES
};

enum slot_event {
	SLOT_START, /* it shall run */
	SLOT_IS_READY,
	SLOT_EXITED, /* reaped */
	SLOT_TIMER,
	SLOT_DRAIN,  /* it shall end when its clients have (slot->drain_ms) */
	SLOT_STOP,   /* it shall end now; twice: at once */
	SLOT_LEAVES, /* it ends by its own will */
	SLOT_HUNG,   /* its watchdog is silent */
	SLOT_EVENTS
};

/* Times in ms. */
struct slot_policy {
	int64_t start_timeout, stop_timeout, min_uptime, restart_delay, restart_delay_max;
	unsigned max_restarts; /* in a row; 0: never give up */
	int stop_signal;
	bool kill_group;
};

struct slot;

#define SLOT_NO_TIMER (-1)

struct slot_ops {
	/* Starts a new generation (slot->generation is its number); false with a sentence. */
	bool (*start)(struct slot *slot, struct error *e);
	void (*signal)(struct slot *slot, int signal, bool group);
	/* May it get clients? Told at every change. `drain`: tell the process itself to finish. */
	void (*route)(struct slot *slot, enum slot_route route, bool drain);
	/* SLOT_TIMER after `ms` from now, replacing the last one; SLOT_NO_TIMER: none. */
	void (*timer)(struct slot *slot, int64_t ms);
	int64_t (*now_ms)(void);
};

struct slot {
	const struct slot_ops *ops;
	const struct slot_policy *policy;
	const char *name; /* "web/3"; not ours */
	enum slot_state state;
	bool wanted;                  /* shall run: an exit is followed by a start */
	bool voluntary;               /* this generation said that it leaves */
	uint64_t generation;          /* counts starts; 0: never started */
	int64_t started_ms, ready_ms; /* of this generation */
	int64_t drain_ms;             /* time for SLOT_DRAIN; SLOT_NO_TIMER: no deadline */
	int64_t stop_ms;   /* SLOT_NO_TIMER: the policy's stop_timeout; else a shorter one */
	unsigned restarts; /* starts after the first */
	struct pace pace;
	char last_end[320]; /* "killed by SIGSEGV after 3.2 s": why the last generation ended */
};

void slot_begin(struct slot *slot, const struct slot_ops *ops, const struct slot_policy *policy,
		const char *name, uint64_t seed);

/* The only function that changes the state. */
void slot_handle(struct slot *slot, enum slot_event event);

/* Before SLOT_EXITED: how it ended ("exited with code 1"). */
void slot_note_end(struct slot *slot, const char *how);

bool slot_is_running(const struct slot *slot); /* has a process */
const char *slot_state_name(enum slot_state state);

#endif
