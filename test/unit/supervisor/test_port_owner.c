/* Why: a wrong name after "in use by" sends a person to stop the wrong program.
 * SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "supervisor/port_owner.h"

static struct address address_of(const char *text)
{
	struct address address;
	struct error e;

	assert_true(address_parse(text, &address, &e));
	return address;
}

/* Listens; *address gets the real port. */
static int listen_at(struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &address->any, address->length) < 0 || listen(fd, 5) < 0) {
		fd_close(&fd);
		return -1;
	}
	getsockname(fd, &address->any, &address->length);
	return fd;
}

static struct address with_port_of(const char *host, const struct address *of)
{
	char text[64];

	snprintf(text, sizeof text, "%s:%u", host, address_port(of));
	return address_of(text);
}

static bool owned_by_us(const struct address *address)
{
	char out[128] = "", wanted[64];

	snprintf(wanted, sizeof wanted, "(pid %d)", (int)getpid());
	return port_owner(address, out, sizeof out) && strstr(out, wanted);
}

/* Worry: only the exact address is found, although 0.0.0.0, [::] and one address collide with each
 * other. */
static void test_collisions(void **state)
{
	static const struct {
		const char *listens, *asked;
		bool found;
	} rows[] = {
		{ "127.0.0.1:0", "127.0.0.1", true },  { "127.0.0.1:0", "0.0.0.0", true },
		{ "127.0.0.1:0", "[::]", true },       { "127.0.0.1:0", "127.0.0.2", false },
		{ "0.0.0.0:0", "127.0.0.9", true },    { "[::]:0", "127.0.0.1", true },
		{ "[::1]:0", "[::1]", true },          { "[::1]:0", "127.0.0.1", false },
		{ "[::1]:0", "[2001:db8::1]", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct address listens = address_of(rows[i].listens), asked;
		int fd = listen_at(&listens);

		if (fd < 0 && listens.any.sa_family == AF_INET6)
			continue; /* no IPv6 here */
		assert_true(fd >= 0);
		asked = with_port_of(rows[i].asked, &listens);
		assert_int_equal(owned_by_us(&asked), rows[i].found);
		fd_close(&fd);
		assert_false(owned_by_us(&asked));
	}
}

/* Worry: a client's connection from or to that port is taken for the owner. */
static void test_connections_do_not_count(void **state)
{
	struct address listens = address_of("127.0.0.1:0"), near = address_of("127.0.0.1:0");
	int server = listen_at(&listens);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(connect(client, &listens.any, listens.length), 0);
	getsockname(client, &near.any, &near.length);
	assert_false(owned_by_us(&near));
	fd_close(&client);
	fd_close(&server);
}

/* Worry: the owner is another process, and its name is odd. */
static void test_name(void **state)
{
	struct address listens = address_of("127.0.0.1:0");
	char out[128] = "", wanted[64];
	int fd = listen_at(&listens);
	int ready[2], stay[2];
	char byte = 'r';
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stay), 0);
	pid = fork();
	if (pid == 0) {
		close(stay[1]);
		prctl(PR_SET_NAME, "od\x1b (x)\n");
		_exit(write(ready[1], &byte, 1) == 1 && read(stay[0], &byte, 1) == 0 ? 0 : 1);
	}
	fd_close(&fd); /* the child has it now */
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(port_owner(&listens, out, sizeof out));
	snprintf(wanted, sizeof wanted, "od? ?x? (pid %d)", (int)pid);
	assert_memory_equal(out, "od? ?x?", 7);
	assert_non_null(strstr(out, strstr(wanted, "(pid")));
	close(stay[1]);
	waitpid(pid, NULL, 0);
	close(stay[0]);
	close(ready[0]);
	close(ready[1]);
}

/* Worry: paths are not found, or one is taken for another that begins alike. */
static void test_paths(void **state)
{
	char text[128];
	struct address listens, other;
	int fd;

	(void)state;
	snprintf(text, sizeof text, "unix:%s/a b", scratch);
	listens = address_of(text);
	snprintf(text, sizeof text, "unix:%s/a", scratch);
	other = address_of(text);
	fd = listen_at(&listens);
	assert_true(owned_by_us(&listens));
	assert_false(owned_by_us(&other));
	fd_close(&fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_collisions),
		TEST(test_connections_do_not_count),
		TEST(test_name),
		TEST(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
