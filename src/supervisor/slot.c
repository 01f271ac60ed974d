/* Why: see the header. Each action does one thing and returns the next state; the table says when.
 * SPDX-License-Identifier: ISC */
#include "supervisor/slot.h"

#include <signal.h>
#include <stdio.h>

#include "base/log.h"

/* SIGKILL cannot be refused, but a process in an uninterruptible wait can be late: say so, and
 * again. */
#define KILL_REMINDER_MS 5000
/* After so many failures in a row clients are not held for the slot any more. */
#define FAILURES_TO_DISTRUST 2

static const char *const state_names[SLOT_STATES] = {
	[SLOT_EMPTY] = "empty",       [SLOT_STARTING] = "starting", [SLOT_READY] = "ready",
	[SLOT_DRAINING] = "draining", [SLOT_STOPPING] = "stopping", [SLOT_KILLED] = "killed",
	[SLOT_WAITING] = "waiting",   [SLOT_FAILED] = "failed",
};

const char *slot_state_name(enum slot_state state)
{
	return state_names[state];
}

bool slot_is_running(const struct slot *slot)
{
	return slot->state == SLOT_STARTING || slot->state == SLOT_READY ||
	       slot->state == SLOT_DRAINING || slot->state == SLOT_STOPPING ||
	       slot->state == SLOT_KILLED;
}

void slot_begin(struct slot *slot, const struct slot_ops *ops, const struct slot_policy *policy,
		const char *name, uint64_t seed)
{
	*slot = (struct slot){
		.ops = ops,
		.policy = policy,
		.name = name,
		.drain_ms = SLOT_NO_TIMER,
		.stop_ms = SLOT_NO_TIMER,
	};
	pace_begin(&slot->pace, policy->restart_delay, policy->restart_delay_max, seed);
}

static double seconds_up(const struct slot *slot)
{
	return (double)(slot->ops->now_ms() - slot->started_ms) / 1000.0;
}

void slot_note_end(struct slot *slot, const char *how)
{
	snprintf(slot->last_end, sizeof slot->last_end, "%s after %.1f s", how, seconds_up(slot));
}

typedef enum slot_state slot_action(struct slot *slot);

static enum slot_state stay(struct slot *slot)
{
	return slot->state;
}

static enum slot_state back_off(struct slot *slot);

static enum slot_state start(struct slot *slot)
{
	struct error e = { "" };

	slot->wanted = true;
	slot->voluntary = false;
	slot->restarts += slot->generation > 0;
	slot->generation++;
	slot->started_ms = slot->ops->now_ms();
	slot->ready_ms = 0;
	if (!slot->ops->start(slot, &e)) {
		slot_note_end(slot, e.text);
		return back_off(slot);
	}
	slot->ops->timer(slot, slot->policy->start_timeout);
	return SLOT_STARTING;
}

static enum slot_state offer(struct slot *slot)
{
	slot->ready_ms = slot->ops->now_ms();
	log_line(LOG_INFO, slot->name, "ready after %.2f s (generation %llu)", seconds_up(slot),
		 (unsigned long long)slot->generation);
	slot->ops->route(slot, ROUTE_OPEN, false);
	slot->ops->timer(slot, slot->policy->min_uptime);
	return SLOT_READY;
}

static enum slot_state forgive(struct slot *slot)
{
	pace_healthy(&slot->pace);
	slot->ops->timer(slot, SLOT_NO_TIMER);
	return SLOT_READY;
}

static enum slot_state give_up(struct slot *slot)
{
	slot->ops->route(slot, ROUTE_CLOSED, false);
	slot->ops->timer(slot, SLOT_NO_TIMER);
	log_line(LOG_ERROR, slot->name, "%s: given up after %u failures in a row (max_restarts)",
		 slot->last_end, slot->pace.failures);
	return SLOT_FAILED;
}

/* It ended though it should run. The first failure in a row starts it again at once. */
static enum slot_state back_off(struct slot *slot)
{
	int64_t delay = pace_failed(&slot->pace);
	enum slot_route route =
		slot->pace.failures <= FAILURES_TO_DISTRUST ? ROUTE_WAIT : ROUTE_CLOSED;

	if (slot->policy->max_restarts > 0 && slot->pace.failures > slot->policy->max_restarts)
		return give_up(slot);
	slot->ops->route(slot, route, false);
	if (delay == 0)
		log_line(LOG_WARNING, slot->name, "%s: starting it again", slot->last_end);
	else
		log_line(LOG_WARNING, slot->name,
			 "%s: starting it again in %.1f s (failure %u in a row)", slot->last_end,
			 (double)delay / 1000.0, slot->pace.failures);
	slot->ops->timer(slot, delay);
	return SLOT_WAITING;
}

/* It left by its own will, or we ended it, and it should run: not a failure unless it was too
 * quick. */
static enum slot_state replace(struct slot *slot)
{
	bool lived = slot->ready_ms > 0 &&
		     slot->ops->now_ms() - slot->ready_ms >= slot->policy->min_uptime;

	if (!slot->voluntary || !lived)
		return back_off(slot);
	log_line(LOG_NOTICE, slot->name, "left by its own will (%s): starting it again",
		 slot->last_end);
	slot->ops->route(slot, ROUTE_WAIT, false);
	slot->ops->timer(slot, 0);
	return SLOT_WAITING;
}

static enum slot_state over(struct slot *slot)
{
	if (slot->wanted)
		return replace(slot);
	log_line(LOG_INFO, slot->name, "%s", slot->last_end);
	slot->ops->route(slot, ROUTE_CLOSED, false);
	slot->ops->timer(slot, SLOT_NO_TIMER);
	return SLOT_EMPTY;
}

static enum slot_state kill_it(struct slot *slot)
{
	slot->ops->signal(slot, SIGKILL, slot->policy->kill_group);
	slot->ops->timer(slot, KILL_REMINDER_MS);
	return SLOT_KILLED;
}

static enum slot_state start_is_late(struct slot *slot)
{
	log_line(LOG_ERROR, slot->name,
		 "not ready after %.1f s (start_timeout): killing it. If it opens no port by "
		 "design, set ready = started",
		 seconds_up(slot));
	slot->ops->route(slot, ROUTE_WAIT, false);
	return kill_it(slot);
}

static enum slot_state hang(struct slot *slot)
{
	log_line(LOG_ERROR, slot->name, "no WATCHDOG=1 for watchdog_timeout: killing it");
	slot->ops->route(slot, ROUTE_WAIT, false);
	return kill_it(slot);
}

static enum slot_state stop_is_late(struct slot *slot)
{
	log_line(LOG_WARNING, slot->name, "did not end within stop_timeout: killing it");
	return kill_it(slot);
}

static enum slot_state remind(struct slot *slot)
{
	log_line(LOG_ERROR, slot->name, "was killed and has not ended: it hangs in the kernel");
	return kill_it(slot);
}

static enum slot_state ask_to_stop(struct slot *slot)
{
	slot->ops->route(slot, ROUTE_CLOSED, false);
	slot->ops->signal(slot, slot->policy->stop_signal, slot->policy->kill_group);
	slot->ops->timer(slot, slot->stop_ms != SLOT_NO_TIMER ? slot->stop_ms
							      : slot->policy->stop_timeout);
	return SLOT_STOPPING;
}

static enum slot_state stop(struct slot *slot)
{
	slot->wanted = false;
	return ask_to_stop(slot);
}

static enum slot_state stop_now(struct slot *slot)
{
	slot->wanted = false;
	return kill_it(slot);
}

static enum slot_state drain(struct slot *slot)
{
	slot->wanted = false;
	slot->ops->route(slot, ROUTE_CLOSED, true);
	slot->ops->timer(slot, slot->drain_ms);
	return SLOT_DRAINING;
}

/* Draining already: only the deadline is new. */
static enum slot_state drain_anew(struct slot *slot)
{
	slot->wanted = false;
	slot->ops->timer(slot, slot->drain_ms);
	return SLOT_DRAINING;
}

/* It closed its doors itself and finishes its clients: we do not hurry it, somebody else takes its
 * place when it has gone. */
static enum slot_state let_go(struct slot *slot)
{
	slot->voluntary = true;
	slot->ops->route(slot, ROUTE_CLOSED, false); /* the acceptor may not know it yet */
	slot->ops->timer(slot, SLOT_NO_TIMER);
	return SLOT_DRAINING;
}

static enum slot_state unwanted(struct slot *slot)
{
	slot->wanted = false;
	return slot->state;
}

static enum slot_state cancel(struct slot *slot)
{
	slot->wanted = false;
	slot->ops->timer(slot, SLOT_NO_TIMER);
	slot->ops->route(slot, ROUTE_CLOSED, false);
	return SLOT_EMPTY;
}

/* clang-format off */
static slot_action *const actions[SLOT_STATES][SLOT_EVENTS] = {
	[SLOT_EMPTY] = {
		[SLOT_START] = start, [SLOT_IS_READY] = stay, [SLOT_EXITED] = stay, [SLOT_TIMER] = stay,
		[SLOT_DRAIN] = stay, [SLOT_STOP] = stay, [SLOT_LEAVES] = stay, [SLOT_HUNG] = stay },
	[SLOT_STARTING] = {
		[SLOT_START] = stay, [SLOT_IS_READY] = offer, [SLOT_EXITED] = over, [SLOT_TIMER] = start_is_late,
		[SLOT_DRAIN] = stop, [SLOT_STOP] = stop, [SLOT_LEAVES] = let_go, [SLOT_HUNG] = hang },
	[SLOT_READY] = {
		[SLOT_START] = stay, [SLOT_IS_READY] = stay, [SLOT_EXITED] = over, [SLOT_TIMER] = forgive,
		[SLOT_DRAIN] = drain, [SLOT_STOP] = stop, [SLOT_LEAVES] = let_go, [SLOT_HUNG] = hang },
	[SLOT_DRAINING] = {
		[SLOT_START] = stay, [SLOT_IS_READY] = stay, [SLOT_EXITED] = over, [SLOT_TIMER] = ask_to_stop,
		[SLOT_DRAIN] = drain_anew, [SLOT_STOP] = stop, [SLOT_LEAVES] = stay, [SLOT_HUNG] = hang },
	[SLOT_STOPPING] = {
		[SLOT_START] = stay, [SLOT_IS_READY] = stay, [SLOT_EXITED] = over, [SLOT_TIMER] = stop_is_late,
		[SLOT_DRAIN] = unwanted, [SLOT_STOP] = stop_now, [SLOT_LEAVES] = stay, [SLOT_HUNG] = stay },
	[SLOT_KILLED] = {
		[SLOT_START] = stay, [SLOT_IS_READY] = stay, [SLOT_EXITED] = over, [SLOT_TIMER] = remind,
		[SLOT_DRAIN] = unwanted, [SLOT_STOP] = unwanted, [SLOT_LEAVES] = stay, [SLOT_HUNG] = stay },
	[SLOT_WAITING] = {
		[SLOT_START] = start, [SLOT_IS_READY] = stay, [SLOT_EXITED] = stay, [SLOT_TIMER] = start,
		[SLOT_DRAIN] = cancel, [SLOT_STOP] = cancel, [SLOT_LEAVES] = stay, [SLOT_HUNG] = stay },
	[SLOT_FAILED] = {
		[SLOT_START] = start, [SLOT_IS_READY] = stay, [SLOT_EXITED] = stay, [SLOT_TIMER] = stay,
		[SLOT_DRAIN] = cancel, [SLOT_STOP] = cancel, [SLOT_LEAVES] = stay, [SLOT_HUNG] = stay },
};
/* clang-format on */

void slot_handle(struct slot *slot, enum slot_event event)
{
	slot->state = actions[slot->state][event](slot);
}
