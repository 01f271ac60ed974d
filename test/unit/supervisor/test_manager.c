/* Why: what systemd hears from us must be true and well-formed, and our children must not be able
 * to say it. SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <config.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "supervisor/manager.h"

static int service_manager; /* the socket on which systemd would listen */

static int begin(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (scratch_begin(state) < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", scratch);
	service_manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	return bind(service_manager, (struct sockaddr *)&address, sizeof address);
}

static int end(void **state)
{
	fd_close(&service_manager);
	return scratch_end(state);
}

static const char *heard(void)
{
	static char text[2048];
	ssize_t n = read(service_manager, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* Worry: a child finds NOTIFY_SOCKET or WATCHDOG_USEC and speaks in our name. */
static void test_environment(void **state)
{
	static const char *const names[] = { "NOTIFY_SOCKET",  "LISTEN_PID",   "LISTEN_FDS",
					     "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC" };

	(void)state;
	for (size_t i = 1; i < sizeof names / sizeof *names; i++)
		setenv(names[i], "1", 1);
	manager_forget_environment();
	manager_ready("fine");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_null(getenv(names[i]));
}

/* Worry: a watchdog that was meant for somebody else, or for nobody, makes us chatter. */
static void test_watchdog(void **state)
{
	char pid[16];

	(void)state;
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	manager_forget_environment();
	assert_int_equal(manager_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "soon", 1);
	manager_forget_environment();
	assert_int_equal(manager_watchdog_ms(), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	manager_forget_environment();
	assert_int_equal(manager_watchdog_ms(), 3000);
}

#ifdef HAVE_SYSTEMD
/* Worry: systemd waits for READY for ever, or a status breaks out of its line. */
static void test_words(void **state)
{
	char wanted[128];

	(void)state;
	manager_forget_environment();
	manager_ready("4 of 4 workers\nREADY=0");
	snprintf(wanted, sizeof wanted, "READY=1\nMAINPID=%d\nSTATUS=4 of 4 workers READY=0",
		 (int)getpid());
	assert_string_equal(heard(), wanted);
	manager_status("3 of 4 workers");
	assert_string_equal(heard(), "STATUS=3 of 4 workers");
	manager_stopping();
	assert_string_equal(heard(), "STOPPING=1");
	manager_alive();
	assert_string_equal(heard(), "WATCHDOG=1");
}

/* Puts two sockets where systemd puts them, in a child that execs nothing: LISTEN_PID must be our
 * own pid. */
static int adopt_in_child(void)
{
	char number[16];
	int fds[4] = { -1, -1, -1, -1 }, all[2];

	for (int i = 0; i < 2; i++)
		if (dup2(service_manager, 3 + i) < 0 || fcntl(3 + i, F_SETFL, 0) < 0)
			return 1;
	snprintf(number, sizeof number, "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDS", "2", 1);
	if (manager_sockets(fds, 4) != 2 || fds[0] != 3 || fds[1] != 4 || getenv("LISTEN_FDS"))
		return 2;
	for (int i = 0; i < 2; i++)
		if (!(fcntl(fds[i], F_GETFL) & O_NONBLOCK) ||
		    !(fcntl(fds[i], F_GETFD) & FD_CLOEXEC))
			return 3;
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDS", "2", 1);
	if (manager_sockets(all, 1) != 1 || fcntl(4, F_GETFD) != -1)
		return 4;
	setenv("LISTEN_PID", "1", 1); /* somebody else's */
	setenv("LISTEN_FDS", "1", 1);
	return manager_sockets(fds, 4) == 0 && fcntl(3, F_GETFD) != -1 ? 0 : 5;
}

/* Worry: an inherited socket blocks or leaks into workers, one too many overruns the array, or
 * those of another process are taken. */
static void test_sockets(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(adopt_in_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}
#else
/* Worry: without libsystemd something is said or taken all the same. */
static void test_silence(void **state)
{
	int fds[4];

	(void)state;
	setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(manager_sockets(fds, 4), 0);
	manager_forget_environment();
	manager_ready("fine");
	manager_stopping();
	assert_string_equal(heard(), "");
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_environment),
		TEST(test_watchdog),
#ifdef HAVE_SYSTEMD
		TEST(test_words),
		TEST(test_sockets),
#else
		TEST(test_silence),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
