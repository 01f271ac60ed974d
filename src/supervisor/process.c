/* Why: see the header. Between fork and exec only async-signal-safe calls are made: everything that
 * needs memory is prepared before. SPDX-License-Identifier: ISC */
#include "supervisor/process.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/config.h"

#define GROUPS_MAX     256
#define CANDIDATES_MAX 64

/* What the child reports when a step before exec, or exec itself, fails. */
struct report {
	int error;
	char step[32];
};

/* All that the child needs, made before the fork. */
struct plan {
	const struct process_spec *spec;
	char *paths[CANDIDATES_MAX]; /* of the program, in PATH order; NULL-terminated */
	gid_t groups[GROUPS_MAX];
	int group_count;
	int null; /* /dev/null */
	int report;
};

/* What we were started with. */
static struct rlimit files_at_start = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
static bool files_were_raised;

void process_raise_limit(void)
{
	struct rlimit most;

	if (files_were_raised || getrlimit(RLIMIT_NOFILE, &files_at_start) < 0)
		return;
	most = files_at_start;
	most.rlim_cur = most.rlim_max;
	files_were_raised = setrlimit(RLIMIT_NOFILE, &most) == 0;
}

bool process_identify(const char *user, const char *group, struct process_identity *identity_r,
		      struct error *e)
{
	struct passwd *pw = getpwnam(user);
	struct group *gr = group[0] ? getgrnam(group) : NULL;

	*identity_r = (struct process_identity){ .change = true };
	if (!pw)
		return error_set(e, "user \"%s\" does not exist", user);
	if (group[0] && !gr)
		return error_set(e, "group \"%s\" does not exist", group);
	identity_r->uid = pw->pw_uid;
	identity_r->gid = gr ? gr->gr_gid : pw->pw_gid;
	snprintf(identity_r->name, sizeof identity_r->name, "%s", pw->pw_name);
	snprintf(identity_r->home, sizeof identity_r->home, "%s", pw->pw_dir);
	return true;
}

static void __attribute__((noreturn)) die(const struct plan *plan, const char *step)
{
	struct report report = { .error = errno };

	memcpy(report.step, step, strnlen(step, sizeof report.step - 1));
	if (write(plan->report, &report, sizeof report) < 0)
		_exit(126);
	_exit(127);
}

static void reset_signals(void)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };

	for (int signal = 1; signal < NSIG; signal++)
		sigaction(signal, &normal, NULL); /* EINVAL for those of the C library */
}

static void place_standard(const struct plan *plan)
{
	const struct process_spec *spec = plan->spec;

	if (dup2(plan->null, 0) < 0 || dup2(spec->output, 1) < 0 || dup2(spec->errors, 2) < 0)
		die(plan, "standard descriptors");
}

static void set_limit(const struct plan *plan, int which, int64_t value, const char *step)
{
	struct rlimit limit;

	if (value == CONFIG_RLIMIT_UNSET)
		return;
	limit.rlim_cur = limit.rlim_max =
		value == CONFIG_RLIMIT_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;
	if (setrlimit((__rlimit_resource_t)which, &limit) < 0)
		die(plan, step);
}

static void set_limits(const struct plan *plan)
{
	const struct process_spec *spec = plan->spec;
	struct rlimit files;

	if (files_were_raised)
		setrlimit(RLIMIT_NOFILE, &files_at_start);
	set_limit(plan, RLIMIT_NOFILE, spec->rlimit_nofile, "rlimit_nofile");
	set_limit(plan, RLIMIT_CORE, spec->rlimit_core, "rlimit_core");
	if (spec->nice != 0 && setpriority(PRIO_PROCESS, 0, spec->nice) < 0)
		die(plan, "nice");
	if (spec->umask != CONFIG_UMASK_UNSET)
		umask((mode_t)spec->umask);
	if (spec->sealed) {
		set_limit(plan, RLIMIT_CORE, 0, "core limit");
		if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
			files.rlim_cur = files.rlim_max;
			setrlimit(RLIMIT_NOFILE, &files);
		}
	}
}

/* What no exec of a role could ever give back. A role that keeps our identity has to signal
 * processes of other users and nothing more. Where we may not (an ordinary user, a container
 * without CAP_SETPCAP), no_new_privs must do. */
static void drop_bounding_set(const struct plan *plan)
{
	const bool keeps_kill = !plan->spec->identity.change;

	for (unsigned long capability = 0; plan->spec->sealed; capability++) {
		if (keeps_kill && capability == CAP_KILL)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return; /* EINVAL: that was the last one */
	}
}

/* Groups, group, user; then the proof that there is no way back. */
static void drop_identity(const struct plan *plan)
{
	const struct process_identity *who = &plan->spec->identity;

	drop_bounding_set(plan);
	if (!who->change)
		return;
	if (setgroups((size_t)plan->group_count, plan->groups) < 0)
		die(plan, "setgroups");
	if (setresgid(who->gid, who->gid, who->gid) < 0)
		die(plan, "setresgid");
	if (setresuid(who->uid, who->uid, who->uid) < 0)
		die(plan, "setresuid");
	if (who->uid != 0 &&
	    (setresuid(0, 0, 0) == 0 || getuid() != who->uid || geteuid() != who->uid)) {
		errno = EPERM;
		die(plan, "dropping privileges");
	}
}

static void seal(const struct plan *plan)
{
	if (plan->spec->sealed && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(plan, "no_new_privs");
}

/* The environment is the child's own copy by now. */
static void write_pid(char *text)
{
	char digits[PROCESS_PID_TEXT];
	size_t count = 0;

	for (unsigned pid = (unsigned)getpid(); pid > 0; pid /= 10)
		digits[count++] = (char)('0' + pid % 10);
	for (size_t i = 0; i < count; i++)
		text[i] = digits[count - 1 - i];
	text[count] = '\0';
}

/* Tries each place of PATH as execvp(3) does; the first error that is not "not here" counts. */
static void exec_program(const struct plan *plan)
{
	int error = ENOENT;

	for (size_t i = 0; plan->paths[i]; i++) {
		execve(plan->paths[i], plan->spec->argv, plan->spec->envp);
		if (errno != ENOENT && errno != ENOTDIR)
			error = errno;
		if (error != ENOENT && error != EACCES)
			break;
	}
	errno = error;
	die(plan, "exec");
}

static void __attribute__((noreturn)) become(const struct plan *plan)
{
	const struct process_spec *spec = plan->spec;
	int fds[PROCESS_FDS_MAX + 1];
	sigset_t none;

	reset_signals();
	setpgid(0, 0);
	place_standard(plan);
	memcpy(fds, spec->fds, sizeof spec->fds);
	if (fd_arrange(fds, spec->fd_count) < 0)
		die(plan, "descriptors");
	set_limits(plan);
	drop_identity(plan);
	if (spec->directory && chdir(spec->directory) < 0)
		die(plan, "directory");
	seal(plan);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (spec->pid_text)
		write_pid(spec->pid_text);
	exec_program(plan);
	_exit(127);
}

static const char *variable(char *const *envp, const char *name)
{
	size_t length = strlen(name);

	for (; *envp; envp++) {
		if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
			return *envp + length + 1;
	}
	return NULL;
}

static char *join(const char *directory, size_t length, const char *name)
{
	char *path;

	if (asprintf(&path, "%.*s%s%s", (int)length, directory, length ? "/" : "", name) < 0)
		fatal("out of memory");
	return path;
}

static void find_program(struct plan *plan)
{
	const char *name = plan->spec->path ? plan->spec->path : plan->spec->argv[0];
	const char *path = variable(plan->spec->envp, "PATH");
	size_t n = 0;

	if (strchr(name, '/')) {
		plan->paths[0] = join("", 0, name);
		return;
	}
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (n < CANDIDATES_MAX - 1) {
		size_t length = strcspn(path, ":");

		plan->paths[n++] = join(path, length, name);
		if (!path[length])
			break;
		path += length + 1;
	}
}

static bool find_groups(struct plan *plan, struct error *e)
{
	const struct process_identity *who = &plan->spec->identity;

	if (!who->change)
		return true;
	plan->group_count = GROUPS_MAX;
	if (getgrouplist(who->name, who->gid, plan->groups, &plan->group_count) < 0)
		return error_set(e, "user %s is in more than %d groups", who->name, GROUPS_MAX);
	return true;
}

static bool plan_begin(struct plan *plan, const struct process_spec *spec, int reports[2],
		       struct error *e)
{
	*plan = (struct plan){ .spec = spec, .null = -1, .report = -1 };
	if (!find_groups(plan, e))
		return false;
	plan->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (plan->null < 0)
		return error_set(e, "/dev/null: %s", strerror(errno));
	if (pipe2(reports, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_set(e, "pipe: %s", strerror(errno));
	/* Above the places that fd_arrange fills. */
	plan->report = fcntl(reports[1], F_DUPFD_CLOEXEC, 3 + PROCESS_FDS_MAX);
	if (plan->report < 0)
		return error_set(e, "descriptors: %s", strerror(errno));
	find_program(plan);
	return true;
}

static void plan_end(struct plan *plan)
{
	for (size_t i = 0; plan->paths[i]; i++)
		free(plan->paths[i]);
	fd_close(&plan->null);
	fd_close(&plan->report);
}

/* Signals are blocked around the fork: a handler of ours must not run in the child. */
static pid_t fork_blocked(const struct plan *plan)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(plan);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool process_start(const struct process_spec *spec, struct process *process_r, struct error *e)
{
	int reports[2] = { -1, -1 };
	struct plan plan;
	bool good = plan_begin(&plan, spec, reports, e);
	pid_t pid = -1;

	*process_r = (struct process){ .pidfd = -1, .report = -1 };
	if (good && (pid = fork_blocked(&plan)) < 0)
		good = error_set(e, "fork: %s", strerror(errno));
	plan_end(&plan);
	fd_close(&reports[1]);
	if (!good) {
		fd_close(&reports[0]);
		return false;
	}
	setpgid(pid,
		pid); /* here too: whoever is first; then a signal to the group cannot miss it */
	process_r->pid = pid;
	process_r->report = reports[0];
	process_r->pidfd = open_pidfd(pid);
	if (process_r->pidfd < 0)
		fatal("pidfd_open: %s", strerror(errno));
	return true;
}

void process_signal(const struct process *process, int signal, bool group)
{
	if (process->pid <= 1)
		return;
	/* Not reaped yet: the number is still this process's. */
	if (group && kill(-process->pid, signal) == 0)
		return;
	syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0);
}

/* What the child wrote before exec failed, if it did. */
static bool read_report(struct process *process, const char *program, struct process_end *end_r)
{
	struct report report;
	ssize_t n = read(process->report, &report, sizeof report);

	if (n != (ssize_t)sizeof report)
		return false;
	report.step[sizeof report.step - 1] = '\0';
	if (strcmp(report.step, "exec") == 0)
		snprintf(end_r->how, sizeof end_r->how, "could not start %s: %s", program,
			 strerror(report.error));
	else
		snprintf(end_r->how, sizeof end_r->how, "could not start %s: %s: %s", program,
			 report.step, strerror(report.error));
	return true;
}

static void describe(const siginfo_t *info, struct process_end *end_r)
{
	const char *name;

	end_r->by_signal = info->si_code != CLD_EXITED;
	end_r->code = info->si_status;
	if (!end_r->by_signal) {
		snprintf(end_r->how, sizeof end_r->how, "exited with code %d", end_r->code);
		return;
	}
	name = sigabbrev_np(end_r->code);
	snprintf(end_r->how, sizeof end_r->how, "killed by SIG%s%s", name ? name : "?",
		 info->si_code == CLD_DUMPED ? " (core dumped)" : "");
}

bool process_reap(struct process *process, const char *program, bool kill_group,
		  struct process_end *end_r)
{
	siginfo_t info = { .si_pid = 0 };

	*end_r = (struct process_end){ .code = 0 };
	if (process->pid <= 1 ||
	    waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0)
		return false;
	if (kill_group)
		kill(-process->pid, SIGKILL); /* while the dead leader still holds the number */
	waitid(P_PID, (id_t)process->pid, &info, WEXITED);
	describe(&info, end_r);
	end_r->start_failed = read_report(process, program, end_r);
	fd_close(&process->report);
	fd_close(&process->pidfd);
	process->pid = 0;
	return true;
}
