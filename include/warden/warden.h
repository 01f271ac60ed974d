/* Why: if the supervisor is killed, nobody is left to end its workers or to read what they print.
 * The warden is a small role that does nothing until then: it holds a pidfd of every worker and the
 * read end of its log pipes. When the supervisor's end of its channel closes, it gives the workers
 * the time that the configuration says (they drain: the acceptor tells them), then the stop signal,
 * then SIGKILL, copies their last lines to its standard output meanwhile (which is where the
 * supervisor's lines went), and ends. It keeps the supervisor's user, since it must be allowed to
 * signal workers of any user. SPDX-License-Identifier: ISC */
#ifndef WARDEN_WARDEN_H
#define WARDEN_WARDEN_H

/* Answers GO by SERVING; DRAIN ends it at once. Returns the exit code. */
int warden_run(void);

#endif
