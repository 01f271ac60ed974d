/* Why: what a child inherits by accident (a blocked signal, a descriptor, a capability) is a fault
 * that shows months later and elsewhere; here real programs tell what they found.
 * SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/config.h"
#include "supervisor/process.h"

#define PATIENCE_MS 10000

static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
static char *environment[] = { path, NULL };

/* What a child printed, and how it ended. */
struct outcome {
	char text[8192];
	struct process_end end;
};

static struct process_spec plain(char *const *argv)
{
	return (struct process_spec){
		.argv = argv,
		.envp = environment,
		.umask = CONFIG_UMASK_UNSET,
		.rlimit_nofile = CONFIG_RLIMIT_UNSET,
		.rlimit_core = CONFIG_RLIMIT_UNSET,
	};
}

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static void read_to_end(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n = 1;

	while (n > 0 && length < size - 1) {
		wait_readable(fd);
		n = read(fd, text + length, size - 1 - length);
		if (n > 0)
			length += (size_t)n;
	}
	text[length] = '\0';
}

static void reap(struct process *process, bool kill_group, struct process_end *end_r)
{
	wait_readable(process->pidfd);
	assert_true(process_reap(process, "prog", kill_group, end_r));
	assert_int_equal(process->pid, 0);
	assert_int_equal(process->pidfd, -1);
	assert_int_equal(process->report, -1);
}

static void run(struct process_spec spec, struct outcome *outcome_r)
{
	struct process process;
	struct error e = { "" };
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	spec.output = spec.errors = out[1];
	if (!process_start(&spec, &process, &e))
		fail_msg("%s", e.text);
	fd_close(&out[1]);
	read_to_end(out[0], outcome_r->text, sizeof outcome_r->text);
	fd_close(&out[0]);
	reap(&process, true, &outcome_r->end);
}

static void run_shell(struct process_spec spec, const char *script, struct outcome *outcome_r)
{
	char shell[] = "/bin/sh", option[] = "-c", text[1024];
	char *argv[] = { shell, option, text, NULL };

	snprintf(text, sizeof text, "%s", script);
	spec.argv = argv;
	run(spec, outcome_r);
}

/* "SigBlk:\t0000" -> its value, a number of base 16. */
static unsigned long long field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	if (!at)
		fail_msg("no %s in: %s", name, status);
	return strtoull(at + strlen(name), NULL, 16);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Worry: how a child ended is told wrongly, or costs a descriptor each time. */
static void test_ends(void **state)
{
	char name[] = "true";
	char *argv[] = { name, NULL };
	struct outcome o;
	unsigned before;

	(void)state;
	run(plain(argv), &o); /* found in PATH */
	assert_string_equal(o.end.how, "exited with code 0");
	assert_false(o.end.start_failed || o.end.by_signal);
	before = open_descriptors();
	run_shell(plain(NULL), "exit 7", &o);
	assert_string_equal(o.end.how, "exited with code 7");
	assert_int_equal(o.end.code, 7);
	run_shell(plain(NULL), "kill -SEGV $$", &o);
	assert_true(o.end.by_signal);
	assert_int_equal(o.end.code, SIGSEGV);
	assert_int_equal(strncmp(o.end.how, "killed by SIGSEGV", 17), 0);
	assert_int_equal(open_descriptors(), before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
}

/* Worry: a program that cannot start looks like one that failed: nobody learns what to mend. */
static void test_start_failures(void **state)
{
	char missing[] = "limpet-no-such-program", file[] = "/etc/passwd", sh[] = "/bin/sh";
	char *argv_missing[] = { missing, NULL }, *argv_file[] = { file, NULL },
	     *argv_sh[] = { sh, NULL };
	struct process_spec spec;
	struct outcome o;

	(void)state;
	run(plain(argv_missing), &o);
	assert_true(o.end.start_failed);
	assert_string_equal(o.end.how, "could not start prog: No such file or directory");
	run(plain(argv_file), &o);
	assert_true(o.end.start_failed);
	assert_string_equal(o.end.how, "could not start prog: Permission denied");
	spec = plain(argv_sh);
	spec.directory = "/no/such/directory";
	run(spec, &o);
	assert_true(o.end.start_failed);
	assert_string_equal(o.end.how,
			    "could not start prog: directory: No such file or directory");
}

/* Worry: a file of the same name without the x bit early in PATH hides the program, or hides the
 * reason. */
static void test_path_is_searched_on(void **state)
{
	char directory[] = "/tmp/limpet-test-XXXXXX", name[] = "true", variable[128], file[64];
	char *argv[] = { name, NULL }, *envp[] = { variable, NULL };
	struct process_spec spec = plain(argv);
	struct outcome o;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(file, sizeof file, "%s/true", directory);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	fd_close(&fd);
	spec.envp = envp;
	snprintf(variable, sizeof variable, "PATH=/etc/passwd:%s:/usr/bin:/bin", directory);
	run(spec, &o);
	assert_string_equal(o.end.how, "exited with code 0");
	snprintf(variable, sizeof variable, "PATH=%s:/nowhere", directory);
	run(spec, &o);
	assert_string_equal(o.end.how, "could not start prog: Permission denied");
	unlink(file);
	rmdir(directory);
}

/* Worry: a worker inherits our ignored SIGPIPE or our blocked signals, and never ends. */
static void test_signals_are_default(void **state)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN },
			       normal = { .sa_handler = SIG_DFL };
	struct outcome o;
	sigset_t some, before, after;

	(void)state;
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &before);
	run_shell(plain(NULL), "exec cat /proc/self/status", &o);
	assert_int_equal(field(o.text, "SigBlk:"), 0);
	/* 32 and 33 are the C library's own: its posix_spawn (in make, say) leaves them ignored,
	 * and sigaction does not touch them. */
	assert_int_equal(field(o.text, "SigIgn:") & ~(3ULL << 31), 0);
	assert_int_equal(field(o.text, "SigPnd:"), 0);
	sigprocmask(SIG_SETMASK, NULL, &after); /* ours is as it was */
	assert_true(sigismember(&after, SIGTERM) && !sigismember(&after, SIGINT));
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGPIPE, &normal, NULL);
	sigaction(SIGHUP, &normal, NULL);
}

/* Worry: a worker gets the wrong descriptor as its link, or one that is none of its business. */
static void test_descriptors(void **state)
{
	struct process_spec spec = plain(NULL);
	struct outcome o;
	int stray = open("/etc/passwd", O_RDONLY); /* not close-on-exec */
	int far = fcntl(stray, F_DUPFD, 500);
	int pair[2];
	char expected[256];
	struct stat status[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	spec.fds[0] = pair[1];
	spec.fds[1] = pair[0];
	spec.fd_count = 2;
	assert_int_equal(fstat(pair[1], &status[0]), 0);
	assert_int_equal(fstat(pair[0], &status[1]), 0);
	/* The shell itself lists, so that the list has no descriptor of its own. */
	run_shell(
		spec,
		"for f in /proc/$$/fd/*; do printf '%s ' \"${f##*/}\"; done; readlink /proc/$$/fd/0"
		" /proc/$$/fd/3 /proc/$$/fd/4",
		&o);
	snprintf(expected, sizeof expected, "/dev/null\nsocket:[%lu]\nsocket:[%lu]\n",
		 (unsigned long)status[0].st_ino, (unsigned long)status[1].st_ino);
	assert_non_null(strstr(o.text, expected));
	assert_int_equal(strncmp(o.text, "0 1 2 3 4 ", 10), 0);
	for (const char *at = o.text + 10; *at != '/';
	     at++) /* at most the one that lists the directory */
		assert_non_null(strchr("0123456789 ", *at));
	assert_null(strstr(o.text, "500"));
	fd_close(&stray);
	fd_close(&far);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

/* Worry: umask, nice, limits and directory of the configuration do not reach the worker. */
static void test_attributes(void **state)
{
	static const char expected[] = "0027\n5\n77\n0\n/usr\n";
	struct process_spec spec = plain(NULL);
	struct outcome o;
	long group;
	char *rest;

	(void)state;
	spec.umask = 027;
	spec.nice = 5;
	spec.rlimit_nofile = 77;
	spec.rlimit_core = 0;
	spec.directory = "/usr";
	run_shell(spec,
		  "umask; nice; ulimit -n; ulimit -c; pwd; cut -d' ' -f5 /proc/$$/stat; echo $$",
		  &o);
	assert_int_equal(strncmp(o.text, expected, strlen(expected)), 0);
	/* The leader of a process group of its own. */
	group = strtol(o.text + strlen(expected), &rest, 10);
	assert_true(group > 1);
	assert_int_equal(group, strtol(rest, NULL, 10));
}

/* A worker whose child would outlive it: prints the child's pid, then waits. Everybody holds the
 * pipe. */
static void start_family(struct process *process_r, int *out_r)
{
	char shell[] = "/bin/sh", option[] = "-c", script[] = "sleep 1000 & echo $!; wait";
	char *argv[] = { shell, option, script, NULL };
	struct process_spec spec = plain(argv);
	struct error e;
	char line[32];
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	spec.output = spec.errors = out[1];
	assert_true(process_start(&spec, process_r, &e));
	fd_close(&out[1]);
	wait_readable(out[0]);
	assert_true(read(out[0], line, sizeof line) > 0);
	*out_r = out[0];
}

/* Worry: a grandchild survives, holds the port, and the next generation cannot start. */
static void test_the_whole_group_dies(void **state)
{
	struct process process;
	struct process_end end;
	char rest[64];
	int out;

	(void)state;
	start_family(&process, &out);
	assert_false(process_reap(&process, "prog", true, &end)); /* lives */
	assert_true(process.pid > 1);
	process_signal(&process, SIGTERM, true);
	reap(&process, false, &end);
	assert_true(end.by_signal);
	assert_int_equal(end.code, SIGTERM);
	read_to_end(out, rest, sizeof rest); /* ends only when nobody has the pipe */
	fd_close(&out);

	/* Only the leader dies: what it left is killed when it is reaped. */
	start_family(&process, &out);
	process_signal(&process, SIGKILL, false);
	reap(&process, true, &end);
	read_to_end(out, rest, sizeof rest);
	fd_close(&out);
}

/* Worry: kill_group = off kills a group nevertheless. */
static void test_the_group_is_spared(void **state)
{
	struct process process;
	struct process_end end;
	struct pollfd p = { .events = POLLIN };
	pid_t group;
	char rest[64];
	int out;

	(void)state;
	start_family(&process, &out);
	group = process.pid;
	process_signal(&process, SIGKILL, false);
	reap(&process, false, &end);
	p.fd = out;
	assert_int_equal(poll(&p, 1, 0), 0); /* somebody still has the pipe */
	assert_int_equal(kill(-group, SIGKILL), 0);
	read_to_end(out, rest, sizeof rest);
	fd_close(&out);
}

/* Worry: kill(-1) or kill(0) ends the machine or ourselves. */
static void test_never_signals_everybody(void **state)
{
	static const pid_t pids[] = { 0, 1, -1 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct process nobody = { .pid = pids[i], .pidfd = -1, .report = -1 };
		struct process_end end;

		process_signal(&nobody, SIGKILL, true);
		process_signal(&nobody, SIGKILL, false);
		assert_false(process_reap(&nobody, "prog", true, &end));
	}
}

/* Worry: a role keeps a way back to root: a group, a saved id, a capability. */
static void test_identity(void **state)
{
	struct process_spec spec = plain(NULL);
	struct error e = { "" };
	struct outcome o;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_true(process_identify("nobody", "", &spec.identity, &e));
	assert_true(spec.identity.change);
	run_shell(spec, "cat /proc/self/status; kill -0 1 || echo no way back", &o);
	assert_non_null(strstr(o.text, "Uid:\t65534\t65534\t65534\t65534\n"));
	assert_non_null(strstr(o.text, "Gid:\t65534\t65534\t65534\t65534\n"));
	assert_non_null(strstr(o.text, "Groups:\t65534"));
	assert_int_equal(field(o.text, "CapEff:"), 0);
	assert_int_equal(field(o.text, "CapPrm:"), 0);
	assert_non_null(strstr(o.text, "no way back"));
}

/* Worry: a directory that only root may enter is entered before root is given up. */
static void test_directory_is_entered_as_the_user(void **state)
{
	char directory[] = "/tmp/limpet-test-XXXXXX";
	struct process_spec spec = plain(NULL);
	struct error e;
	struct outcome o;

	(void)state;
	if (getuid() != 0)
		skip();
	assert_non_null(mkdtemp(directory)); /* 0700 */
	assert_true(process_identify("nobody", "", &spec.identity, &e));
	spec.directory = directory;
	run_shell(spec, "pwd", &o);
	assert_string_equal(o.end.how, "could not start prog: directory: Permission denied");
	rmdir(directory);
}

static void test_unknown_identity(void **state)
{
	struct process_identity identity;
	struct error e;

	(void)state;
	assert_false(process_identify("limpet-nobody-has-this-name", "", &identity, &e));
	assert_string_equal(e.text, "user \"limpet-nobody-has-this-name\" does not exist");
	assert_false(process_identify("root", "limpet-no-such-group", &identity, &e));
	assert_string_equal(e.text, "group \"limpet-no-such-group\" does not exist");
	assert_true(process_identify("root", "daemon", &identity, &e));
	assert_int_equal(identity.uid, 0);
	assert_int_equal(identity.gid, 1);
	assert_string_equal(identity.name, "root");
	assert_string_equal(identity.home, "/root");
}

/* Worry: a role of ours that faces the network may gain rights by a setuid program, or writes its
 * memory (with clients' addresses and the seed) to a core file. */
static void test_sealed(void **state)
{
	struct process_spec spec = plain(NULL);
	struct rlimit files;
	struct outcome o;
	char expected[64];

	(void)state;
	spec.sealed = true;
	run_shell(spec, "ulimit -Hc; ulimit -Sn; cat /proc/self/status", &o);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	snprintf(expected, sizeof expected, "0\n%llu\n", (unsigned long long)files.rlim_max);
	if (files.rlim_max != RLIM_INFINITY)
		assert_int_equal(strncmp(o.text, expected, strlen(expected)), 0);
	assert_int_equal(field(o.text, "NoNewPrivs:"), 1);
	run_shell(plain(NULL), "cat /proc/self/status", &o); /* workers are left as they are */
	assert_int_equal(field(o.text, "NoNewPrivs:"), 0);
}

/* Worry: LISTEN_PID is the supervisor's pid, and the program takes its socket for another's. */
static void test_pid_in_the_environment(void **state)
{
	char variable[] = "LISTEN_PID=00000000000", *envp[] = { path, variable, NULL };
	char script[] = "test $LISTEN_PID = $$";
	char shell[] = "/bin/sh", option[] = "-c", *argv[] = { shell, option, script, NULL };
	struct process_spec spec = plain(argv);
	struct outcome outcome;

	(void)state;
	spec.envp = envp;
	spec.pid_text = variable + strlen("LISTEN_PID=");
	run(spec, &outcome);
	assert_int_equal(outcome.end.code, 0);
	assert_string_equal(variable, "LISTEN_PID=00000000000"); /* the child's copy changed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_start_failures),
		cmocka_unit_test(test_path_is_searched_on),
		cmocka_unit_test(test_signals_are_default),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_the_whole_group_dies),
		cmocka_unit_test(test_the_group_is_spared),
		cmocka_unit_test(test_never_signals_everybody),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_directory_is_entered_as_the_user),
		cmocka_unit_test(test_unknown_identity),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_pid_in_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
