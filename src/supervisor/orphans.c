/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/orphans.h"

#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/checker.h"
#include "supervisor/supervisor.h"

static bool is_ours(const struct supervisor *s, pid_t pid)
{
	if (pid == s->acceptor.child.process.pid || pid == s->warden.child.process.pid)
		return true;
	if (s->checker && checker_owns(s->checker, pid))
		return true;
	for (size_t i = 0; i < s->relay_count; i++) {
		if (pid == s->relays[i].child.process.pid)
			return true;
	}
	for (size_t i = 0; i < s->worker_count; i++) {
		if (pid == s->workers[i].child.process.pid)
			return true;
	}
	return false;
}

void orphans_reap(const struct supervisor *s)
{
	siginfo_t info;

	while (getpid() == 1) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
		    is_ours(s, info.si_pid))
			return;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}
