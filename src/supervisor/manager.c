/* Why: the only file that knows libsystemd. It brings six more libraries, which would cost every
 * start of every role milliseconds and memory, so it is loaded when a service manager is there, and
 * only then. Its calls read the environment, which our children must not have; so the address is
 * remembered here and stands in the environment during a call only. SPDX-License-Identifier: ISC */
#include "supervisor/manager.h"

#include <config.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

static char *notify_socket; /* NULL: nobody wants to hear */
static long long watchdog_ms;

static const char *const variables[] = {
	"NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
	"LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
};

/* WATCHDOG_PID names whom it is for; without it, for us. Source: sd_watchdog_enabled(3). */
static void read_watchdog(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *time = getenv("WATCHDOG_USEC");
	char *end;
	unsigned long long microseconds;

	if (!time || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
		return;
	errno = 0;
	microseconds = strtoull(time, &end, 10);
	if (errno == 0 && end != time && *end == '\0' && microseconds / 1000 <= INT64_MAX)
		watchdog_ms = (long long)(microseconds / 1000);
}

long long manager_watchdog_ms(void)
{
	return watchdog_ms;
}

void manager_forget_environment(void)
{
	const char *address = getenv(variables[0]);

	read_watchdog();
	if (address) {
		free(notify_socket);
		notify_socket = strdup(address);
		if (!notify_socket)
			fatal("out of memory");
	}
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		unsetenv(variables[i]);
}

#ifdef HAVE_SYSTEMD
/* The library's own declarations give the types. */
static struct {
	__typeof__(&sd_listen_fds) listen_fds;
	__typeof__(&sd_notify) notify;
} systemd;

/* Loaded once, at the first need. */
static bool systemd_is_there(void)
{
	static bool tried;
	void *library;

	if (tried)
		return systemd.notify != NULL;
	tried = true;
	library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (library) {
		systemd.listen_fds = (__typeof__(&sd_listen_fds))dlsym(library, "sd_listen_fds");
		systemd.notify = (__typeof__(&sd_notify))dlsym(library, "sd_notify");
	}
	if (systemd.listen_fds && systemd.notify)
		return true;
	systemd.notify = NULL;
	log_warning("a service manager started us, but libsystemd cannot be loaded: %s", dlerror());
	return false;
}

size_t manager_sockets(int *fds_r, size_t size)
{
	size_t taken = 0;
	int count;

	if (!getenv("LISTEN_FDS") || !systemd_is_there())
		return 0;
	count = systemd.listen_fds(1);

	if (count < 0)
		log_warning("LISTEN_FDS of the environment is not understood: %s",
			    strerror(-count));
	for (int i = 0; i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (taken == size) {
			log_warning("inherited socket %d is one too many: closed", fd);
			fd_close(&fd);
			continue;
		}
		fd_set_nonblocking(fd);
		fd_set_cloexec(fd, true);
		fds_r[taken++] = fd;
	}
	return taken;
}

static void tell(const char *text)
{
	int result;

	if (!notify_socket || !systemd_is_there())
		return;
	if (setenv(variables[0], notify_socket, 1) < 0)
		fatal("out of memory");
	result = systemd.notify(1, text); /* 1: the variable goes again */
	if (result < 0)
		log_warning("the service manager cannot be reached: %s", strerror(-result));
}

/* A status is one line: what would begin another assignment becomes a space. */
static void tell_with_status(const char *state, const char *status)
{
	char text[1024];
	int used = snprintf(text, sizeof text, "%sSTATUS=", state);

	snprintf(text + used, sizeof text - (size_t)used, "%s", status);
	for (char *c = text + used; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	tell(text);
}

void manager_ready(const char *status)
{
	char state[64];

	snprintf(state, sizeof state, "READY=1\nMAINPID=%d\n", (int)getpid());
	tell_with_status(state, status);
}

void manager_status(const char *status)
{
	tell_with_status("", status);
}

void manager_stopping(void)
{
	tell("STOPPING=1");
}

void manager_alive(void)
{
	tell("WATCHDOG=1");
}
#else
size_t manager_sockets(int *fds_r, size_t size)
{
	(void)fds_r, (void)size;
	return 0;
}

void manager_ready(const char *status)
{
	(void)status;
}

void manager_status(const char *status)
{
	(void)status;
}

void manager_stopping(void)
{
}

void manager_alive(void)
{
}
#endif
