/* Why: decrypted clients go from a relay to the acceptor on a pair of their own; the supervisor
 * makes it, anew whenever one of the two is. SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_GIFT_PAIR_H
#define SUPERVISOR_GIFT_PAIR_H

struct role_process;
struct supervisor;

/* A fresh relay, or a fresh acceptor and all relays, get the ends of new pairs, where some listener
 * needs them and the other side lives. */
void gift_pair_to_relay(struct role_process *relay);
void gift_pair_to_acceptor(struct supervisor *supervisor);

#endif
