/* Why: the only file that knows libsystemd. Its calls read the environment, which our children must
 * not have; so the address is remembered here and stands in the environment during a call only.
 * SPDX-License-Identifier: ISC */
#include "supervisor/manager.h"

#include <config.h>
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

static const char *const variables[] = {
	"NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
	"LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
};

void manager_forget_environment(void)
{
	const char *address = getenv(variables[0]);

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
size_t manager_sockets(int *fds_r, size_t size)
{
	int count = sd_listen_fds(1);
	size_t taken = 0;

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

	if (!notify_socket)
		return;
	if (setenv(variables[0], notify_socket, 1) < 0)
		fatal("out of memory");
	result = sd_notify(1, text); /* 1: the variable goes again */
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
#endif
