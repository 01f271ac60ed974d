/* Why: who starts Limpet must hear at once, with file and line, what a relay would hear too late.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/config_check.h"
#include "relay/tls_store.h"
#include "wire/tls_path.h"

struct check {
	struct tls_store *store;
	struct tls_fault fault;
};

static bool on_path(const struct tls_path *path, void *arg, struct error *e)
{
	struct check *check = arg;
	int fd;

	if (!tls_path_open(path, &fd, e)) {
		check->fault.option = path->option;
		check->fault.item = path->item;
		return false;
	}
	tls_store_file(check->store, &path->file, &fd);
	return true;
}

static bool check_section(struct check *check, const struct tls_config *tls)
{
	char warning[sizeof((struct message_tls_loaded *)0)->text];

	check->fault = (struct tls_fault){ .option = "directory" };
	if (!tls_path_each(tls, on_path, check, &check->fault.error) ||
	    !tls_store_build(check->store, tls->index, &check->fault, warning, sizeof warning))
		return false;
	if (*warning)
		log_warning("[tls:%s]: %s", tls->name, warning);
	return true;
}

bool tls_check(const struct config *config, struct error *e)
{
	struct check check = { .store = tls_store_new(config) };
	bool good = true;
	size_t at = 0;

	while (at < config->tls_count && (good = check_section(&check, &config->tlss[at])))
		at++;
	tls_store_free(&check.store);
	if (good)
		return true;
	error_set(e, "%s", check.fault.error.text);
	return config_blame(config, SECTION_TLS, at, check.fault.option, check.fault.item, e);
}

/* Warnings are left to the relay that will load the same. */
static void __attribute__((noreturn)) check_in_child(const struct config *config, int answer)
{
	static const struct log_settings quiet = { .level = LOG_ERROR, .role = "check" };
	struct error e = { .text = "" };

	prctl(PR_SET_DUMPABLE, 0); /* there are keys in here: no core */
	log_setup(&quiet);
	if (tls_check(config, &e))
		_exit(0);
	_exit(write(answer, e.text, strlen(e.text)) > 0 ? 1 : 2);
}

static size_t read_answer(int answer, struct error *e)
{
	size_t length = 0;
	ssize_t n;

	while (length < sizeof e->text - 1) {
		n = read(answer, e->text + length, sizeof e->text - 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	e->text[length] = '\0';
	return length;
}

bool tls_check_apart(const struct config *config, struct error *e)
{
	int ends[2], status = 0;
	bool answered;
	pid_t pid;

	if (config->tls_count == 0)
		return true;
	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return error_set(e, "certificates cannot be checked: %s", strerror(errno));
	if (pid == 0)
		check_in_child(config, ends[1]);
	fd_close(&ends[1]);
	answered = read_answer(ends[0], e) > 0;
	fd_close(&ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return true;
	return answered ? false
			: error_set(e, "the check of certificates ended with status %#x", status);
}
