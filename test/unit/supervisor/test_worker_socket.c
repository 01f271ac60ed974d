/* Why: a worker that is reached by its address must be reached by the relays, by nobody whom the
 * path was not meant for, and its clients must find the socket while it is away.
 * SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "supervisor/listener.h"
#include "supervisor/worker.h"
#include "supervisor/worker_socket.h"

static struct config *config;
static struct worker worker;

static void begin(const char *options)
{
	struct error e = { "" };
	char text[1024];
	int length = snprintf(text, sizeof text,
			      "[listen:web]\nbind = 127.0.0.1:0\n[pool:web]\ncommand = /bin/true\n"
			      "instances = 4\n%s\n",
			      options);

	config = config_parse("test", text, (size_t)length, &e);
	if (!config)
		fail_msg("%s", e.text);
	worker = (struct worker){ .pool = &config->pools[0], .index = 3 };
	snprintf(worker.child.name, sizeof worker.child.name, "web/3");
}

static void end(void)
{
	worker_socket_close(&worker);
	config_free(&config);
}

static bool open_it(struct error *e)
{
	struct process_identity relays = { .change = geteuid() == 0, .uid = 65534, .gid = 65534 };

	return worker_socket_open(&worker, scratch, &relays, e);
}

static int connect_to(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, &address->any, address->length) < 0)
		fd_close(&fd);
	return fd;
}

/* Worry: relays and worker do not mean the same place. */
static void test_addresses(void **state)
{
	struct error e = { "" };
	char options[160];

	(void)state;
	begin("delivery = proxy\nport = 4000");
	assert_true(open_it(&e));
	assert_int_equal(ntohs(worker.address.v4.sin_port), 4003);
	assert_int_equal(ntohl(worker.address.v4.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_null(worker.own);
	end();
	snprintf(options, sizeof options, "socket = %s/%%n-%%i.sock", scratch);
	begin(options);
	assert_true(open_it(&e));
	assert_string_equal(worker.address.local.sun_path, in_scratch("web-3.sock"));
	end();
	begin("delivery = fd");
	assert_true(open_it(&e));
	assert_int_equal(worker.address.length, 0);
	end();
}

/* Worry: the relays (another user) may not connect, or everybody may; a blocking program gets a
 * socket that does not block. */
static void test_own_path(void **state)
{
	struct error e = { "" };
	struct stat st;
	int fd;

	(void)state;
	begin("delivery = listen");
	if (!open_it(&e))
		fail_msg("%s", e.text);
	assert_int_equal(stat(in_scratch("web-3.sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	assert_false(fcntl(worker.own->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(worker.own->fd, F_GETFD) & FD_CLOEXEC);
	fd = connect_to(&worker.address); /* nobody accepts: the backlog has it */
	assert_true(fd >= 0);
	fd_close(&fd);
	end();
	assert_int_equal(stat(in_scratch("web-3.sock"), &st), -1);
}

/* Worry: a path that the user named is made with root's rights in a directory of somebody else. */
static void test_given_path(void **state)
{
	struct error e = { "" };
	char options[160];
	struct stat st;

	(void)state;
	snprintf(options, sizeof options, "delivery = listen\nsocket = %s/%%n-%%i.sock%s", scratch,
		 geteuid() == 0 ? "\nuser = daemon" : "");
	begin(options);
	if (geteuid() == 0) {
		assert_false(open_it(&e)); /* the directory is root's, and the user is not */
		assert_non_null(strstr(e.text, "no permission"));
		assert_int_equal(chown(scratch, 1, 1), 0);
	}
	if (!open_it(&e))
		fail_msg("%s", e.text);
	assert_int_equal(stat(in_scratch("web-3.sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, geteuid() == 0 ? 0660 : 0600);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 1 : geteuid());
	assert_int_equal(st.st_gid, geteuid() == 0 ? 65534 : getegid());
	end();
}

/* Worry: the path of a dead worker refuses the next one; the path of a living one is taken away. */
static void test_sweep(void **state)
{
	const struct process_identity us = { .change = false };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error e = { "" };
	char options[160];
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(options, sizeof options, "delivery = proxy\nsocket = %s/%%i", scratch);
	begin(options);
	assert_true(open_it(&e));
	snprintf(address.sun_path, sizeof address.sun_path, "%s", in_scratch("3"));
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	worker_socket_sweep(&worker, &us);
	assert_int_equal(stat(in_scratch("3"), &st), 0);
	fd_close(&fd);
	worker_socket_sweep(&worker, &us);
	assert_int_equal(stat(in_scratch("3"), &st), -1);
	scratch_write(in_scratch("3"), "a file of somebody", 0644);
	worker_socket_sweep(&worker, &us);
	assert_int_equal(stat(in_scratch("3"), &st), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_own_path, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_given_path, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_sweep, scratch_begin, scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
