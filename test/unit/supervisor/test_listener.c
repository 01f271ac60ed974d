/* Why: a socket that cannot be opened must say what to do, and a path must survive crashes of ours
 * and never be somebody else's (FAULTS 19, 55, 99). SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "supervisor/listener.h"

static int error_number;
static struct error e;

static struct listener_spec spec_of(const char *text)
{
	struct listener_spec spec = { .type = SOCK_STREAM, .backlog = 16 };
	struct error wrong;

	assert_true(address_parse(text, &spec.local, &wrong));
	return spec;
}

static struct listener *open_plain(const struct listener_spec *spec)
{
	error_number = 0;
	e.text[0] = '\0';
	return listener_open(spec, true, NULL, 0, &error_number, &e);
}

static struct listener_spec spec_of_path(const char *name)
{
	char text[160];

	snprintf(text, sizeof text, "unix:%s/%s", scratch, name);
	return spec_of(text);
}

static bool answers(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = connect(fd, &address->any, address->length) == 0;

	fd_close(&fd);
	return connected;
}

/* Worry: port 0 is told to workers, or the socket blocks or leaks into children. */
static void test_tcp(void **state)
{
	const struct listener_spec spec = spec_of("127.0.0.1:0");
	struct listener *l = open_plain(&spec);
	char wanted[64];
	int fd;

	(void)state;
	assert_non_null(l);
	assert_true(address_port(&l->described.local) > 0);
	snprintf(wanted, sizeof wanted, "127.0.0.1:%u", address_port(&l->described.local));
	assert_string_equal(l->name, wanted);
	assert_true(fcntl(l->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(l->fd, F_GETFD) & FD_CLOEXEC);
	assert_true(answers(&l->described.local));
	fd = l->fd;
	listener_close(&l);
	assert_null(l);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* Worry: "address in use" and no word by whom. */
static void test_port_in_use(void **state)
{
	struct listener_spec spec = spec_of("127.0.0.1:0");
	struct listener *first = open_plain(&spec);
	char wanted[192];

	(void)state;
	assert_non_null(first);
	spec.local = first->described.local;
	assert_null(open_plain(&spec));
	assert_int_equal(error_number, EADDRINUSE);
	snprintf(wanted, sizeof wanted, "%s is in use by ", first->name);
	assert_memory_equal(e.text, wanted, strlen(wanted));
	snprintf(wanted, sizeof wanted, "(pid %d): stop it or take another port", (int)getpid());
	assert_non_null(strstr(e.text, wanted));
	listener_close(&first);
}

/* Worry: a foreign address gives a riddle. */
static void test_foreign_address(void **state)
{
	const struct listener_spec spec = spec_of("192.0.2.1:8080");

	(void)state;
	assert_null(open_plain(&spec));
	assert_int_equal(error_number, EADDRNOTAVAIL);
	assert_non_null(strstr(e.text, "192.0.2.1:8080 is not an address of this machine"));
}

/* Worry: an ordinary user with port 80 is not told his three ways out. */
static void test_low_port(void **state)
{
	const struct listener_spec spec = spec_of("127.0.0.1:80");
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
	int status, start = 0;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || !f || fscanf(f, "%d", &start) != 1 || start <= 80)
		skip();
	fclose(f);
	pid = fork();
	if (pid == 0) {
		if (setuid(65534) < 0 || open_plain(&spec) || error_number != EACCES)
			_exit(1);
		_exit(strstr(e.text, "CAP_NET_BIND_SERVICE") && strstr(e.text, "systemd socket") &&
				      strstr(e.text, "net.ipv4.ip_unprivileged_port_start=80")
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Worry: a crash leaves a dead path and the next start fails; while the dead one is replaced, the
 * path is never missing for long and nothing else is left in the directory. */
static void test_stale_path(void **state)
{
	const struct listener_spec spec = spec_of_path("s");
	struct listener *crashed = open_plain(&spec), *l;
	struct dirent *entry;
	int names = 0;
	DIR *dir;

	(void)state;
	assert_non_null(crashed);
	fd_close(&crashed->fd); /* the kernel does that for a dead process; the path stays */
	listener_close(&crashed);
	assert_false(answers(&spec.local));
	l = open_plain(&spec);
	assert_string_equal(e.text, "");
	assert_non_null(l);
	assert_true(answers(&spec.local));
	dir = opendir(scratch);
	while ((entry = readdir(dir)))
		names += entry->d_name[0] != '.';
	closedir(dir);
	assert_int_equal(names, 1);
	listener_close(&l);
	assert_int_equal(access(spec.local.local.sun_path, F_OK), -1);
}

/* Worry: an application's own rule, that a path which exists is taken, is broken by us. */
static void test_stale_path_is_kept(void **state)
{
	const struct listener_spec spec = spec_of_path("s");
	struct listener *crashed = open_plain(&spec);

	(void)state;
	fd_close(&crashed->fd);
	listener_close(&crashed);
	assert_null(listener_open(&spec, false, NULL, 0, &error_number, &e));
	assert_int_equal(error_number, EADDRINUSE);
	assert_non_null(strstr(e.text, "was left behind"));
}

/* Worry: a second instance steals the path of the first, or one removes what is now the other's. */
static void test_path_in_use(void **state)
{
	const struct listener_spec spec = spec_of_path("s");
	struct listener *first = open_plain(&spec), *second;
	char wanted[64];

	(void)state;
	assert_null(open_plain(&spec));
	assert_int_equal(error_number, EADDRINUSE);
	snprintf(wanted, sizeof wanted, "(pid %d): stop it or take another path", (int)getpid());
	assert_non_null(strstr(e.text, wanted));
	assert_int_equal(unlink(spec.local.local.sun_path), 0);
	second = open_plain(&spec);
	assert_non_null(second);
	listener_close(&first);
	assert_true(answers(&spec.local));
	listener_close(&second);
}

/* Worry: a file that is no socket is removed, or a missing directory gives a riddle. */
static void test_path_sentences(void **state)
{
	struct listener_spec spec = spec_of_path("file");
	char text[64];

	(void)state;
	scratch_write(spec.local.local.sun_path, "precious", 0600);
	assert_null(open_plain(&spec));
	assert_int_equal(error_number, EADDRINUSE);
	assert_non_null(strstr(e.text, "exists and is not a socket"));
	scratch_read(spec.local.local.sun_path, text, sizeof text);
	assert_string_equal(text, "precious");
	spec = spec_of_path("missing/s");
	assert_null(open_plain(&spec));
	assert_int_equal(error_number, ENOENT);
	assert_non_null(strstr(e.text, "its directory does not exist"));
}

/* Worry (FAULTS 99): a path has another mode than was asked for. */
static void test_path_mode(void **state)
{
	static const struct {
		unsigned asked;
		mode_t mask, expected;
	} rows[] = { { 0, 022, 0644 }, { 0, 077, 0600 }, { 0660, 077, 0660 }, { 0777, 022, 0777 } };
	struct listener_spec spec = spec_of_path("s");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		mode_t before = umask(rows[i].mask);
		struct listener *l;
		struct stat st;

		spec.mode = rows[i].asked;
		l = open_plain(&spec);
		assert_int_equal(umask(before), rows[i].mask);
		assert_non_null(l);
		assert_int_equal(stat(spec.local.local.sun_path, &st), 0);
		assert_int_equal(st.st_mode & 0777, rows[i].expected);
		listener_close(&l);
	}
}

/* Worry: a worker's user has root make or replace sockets where he himself could not. */
static void test_path_as_somebody(void **state)
{
	const struct process_identity nobody = {
		.change = true, .uid = 65534, .gid = 65534, .name = "nobody"
	};
	struct listener_spec spec = spec_of_path("s");
	struct listener *l;
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	spec.as = &nobody;
	assert_null(open_plain(&spec)); /* the directory is root's, 0755 */
	assert_int_equal(error_number, EACCES);
	assert_non_null(strstr(e.text, "writable for uid 65534"));
	assert_int_equal(chmod(scratch, 0777), 0);
	l = open_plain(&spec);
	assert_non_null(l);
	assert_int_equal(stat(spec.local.local.sun_path, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(chmod(scratch, 0755), 0);
	listener_close(&l); /* with his rights: he could not remove it now */
	assert_int_equal(access(spec.local.local.sun_path, F_OK), 0);
	scratch_write(in_scratch("ours"), "", 0600); /* and we have ours back */
}

/* Worry: a socket that the service manager opened is opened a second time, or another one is taken
 * for it. */
static void test_adoption(void **state)
{
	struct listener_spec spec = spec_of("127.0.0.1:0"), other = spec_of("127.0.0.1:0");
	struct listener *theirs = open_plain(&spec), *l;
	int fds[2] = { -1, dup(theirs->fd) };
	const int given = fds[1];

	(void)state;
	spec.local = theirs->described.local;
	other.type = SOCK_DGRAM;
	other.local = spec.local;
	l = listener_open(&other, true, fds, 2, &error_number, &e);
	assert_non_null(l);
	assert_false(l->inherited);
	listener_close(&l);
	l = listener_open(&spec, true, fds, 2, &error_number, &e);
	assert_non_null(l);
	assert_true(l->inherited);
	assert_int_equal(l->fd, given);
	assert_int_equal(fds[1], -1);
	listener_close(&l);
	listener_close(&theirs);
}

/* Worry: a path of the service manager is removed at our end: its unit could not start us again. */
static void test_adopted_path_stays(void **state)
{
	const struct listener_spec spec = spec_of_path("s");
	struct listener *theirs = open_plain(&spec), *l;
	int fd = dup(theirs->fd);

	(void)state;
	l = listener_open(&spec, true, &fd, 1, &error_number, &e);
	assert_non_null(l);
	assert_true(l->inherited);
	listener_close(&l);
	assert_true(answers(&spec.local));
	listener_close(&theirs);
}

/* Worry: ":port" takes IPv6 clients only, or "v6only" takes others. */
static void test_dual_stack(void **state)
{
	struct listener_spec spec = spec_of(":0");
	struct listener *l;
	struct address v4;
	struct error wrong;
	char text[64];

	(void)state;
	for (int v6only = 0; v6only < 2; v6only++) {
		spec.v6only = v6only;
		spec.dual_fallback = !v6only;
		l = open_plain(&spec);
		if (!l && v6only && error_number == EAFNOSUPPORT)
			skip();
		assert_non_null(l);
		snprintf(text, sizeof text, "127.0.0.1:%u", address_port(&l->described.local));
		assert_true(address_parse(text, &v4, &wrong));
		assert_int_equal(answers(&v4), !v6only);
		listener_close(&l);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp),
		TEST(test_port_in_use),
		TEST(test_foreign_address),
		TEST(test_low_port),
		TEST(test_stale_path),
		TEST(test_stale_path_is_kept),
		TEST(test_path_in_use),
		TEST(test_path_sentences),
		TEST(test_path_mode),
		TEST(test_path_as_somebody),
		TEST(test_adoption),
		TEST(test_adopted_path_stays),
		TEST(test_dual_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
