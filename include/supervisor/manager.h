/* Why: the program that started us may be systemd: tell it how we are, and take the sockets that it
 * opened. Without libsystemd (or without NOTIFY_SOCKET) every call does nothing. Source:
 * sd_notify(3), sd_listen_fds(3). SPDX-License-Identifier: ISC */
#ifndef SUPERVISOR_MANAGER_H
#define SUPERVISOR_MANAGER_H

#include <stddef.h>

/* Descriptors from socket activation, made close-on-exec and non-blocking; LISTEN_* are unset. */
size_t manager_sockets(int *fds_r, size_t size);

void manager_ready(const char *status);
void manager_status(const char *status);
void manager_stopping(void);

/* WATCHDOG_USEC for this process, in ms, as the environment said before manager_forget_environment;
 * 0: none. manager_alive must be called more often than that. */
long long manager_watchdog_ms(void);
void manager_alive(void);
/* Removes NOTIFY_SOCKET, LISTEN_*, WATCHDOG_* from our environment, so that no child speaks in our
 * name; called once, after manager_sockets. What it needs is remembered. */
void manager_forget_environment(void);

#endif
