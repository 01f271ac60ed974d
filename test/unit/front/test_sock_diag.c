/* Why: the kernel's answers are taken apart byte by byte; what is misread here miscounts there.
 * SPDX-License-Identifier: ISC */
#include "loopback.h"

#include "front/sock_diag.h"

static int events_fd = -1, dump_fd = -1;

static int open_both(void **state)
{
	(void)state;
	events_fd = sock_diag_open_events();
	dump_fd = sock_diag_open_dump();
	assert_true(events_fd >= 0);
	assert_true(dump_fd >= 0);
	return 0;
}

static int close_both(void **state)
{
	(void)state;
	fd_close(&events_fd);
	fd_close(&dump_fd);
	return 0;
}

struct found {
	size_t count;
	struct sock_diag_row last;
};

static void on_row(const struct sock_diag_row *row, void *arg)
{
	struct found *found = arg;

	found->count++;
	found->last = *row;
}

static enum sock_diag_answer read_all(const struct address *local, uint32_t number,
				      struct found *found)
{
	enum sock_diag_answer answer = SOCK_DIAG_MORE;

	*found = (struct found){ 0 };
	while (answer == SOCK_DIAG_MORE)
		answer = sock_diag_read(dump_fd, local, number, on_row, found);
	return answer;
}

static struct found dump(const struct address *local)
{
	static uint32_t number = 100;
	struct found found;

	assert_int_equal(sock_diag_ask(dump_fd, local, ++number), 0);
	assert_int_equal(read_all(local, number, &found), SOCK_DIAG_END);
	return found;
}

/* Worry: cookie or address come out in a wrong byte order, for IPv4 or for IPv6. */
static void row_tells_who(const char *where)
{
	char text[ADDRESS_TEXT], expected[ADDRESS_TEXT];
	struct address local, from = { .length = sizeof from - offsetof(struct address, any) };
	int listener = loopback_listen(where, 16, &local);
	int theirs = socket(local.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct found found;
	struct peer peer;
	int ours;

	assert_int_equal(connect(theirs, &local.any, local.length), 0);
	assert_int_equal(dump(&local).count, 0); /* still in the backlog */
	ours = accept4(listener, &from.any, &from.length, SOCK_CLOEXEC);
	assert_true(ours >= 0);
	peer_set(&peer, &from.any, from.length);
	found = dump(&local);
	assert_int_equal(found.count, 1);
	assert_true(found.last.cookie == sock_diag_cookie(ours));
	assert_string_equal(peer_print(&found.last.peer, text), peer_print(&peer, expected));
	fd_close(&theirs);
	fd_close(&ours);
	fd_close(&listener);
}

static void test_row_v4(void **state)
{
	(void)state;
	row_tells_who("127.0.0.1:0");
}

static void test_row_v6(void **state)
{
	(void)state;
	row_tells_who("[::1]:0");
}

/* Worry: a dump that is longer than one read ends early, or shows a connection twice. */
static void test_many_rows(void **state)
{
	struct address local;
	int listener = loopback_listen("127.0.0.1:0", 1024, &local);
	int theirs[700], ours[700];

	(void)state;
	for (int i = 0; i < 700; i++) {
		theirs[i] = loopback_connect(address_port(&local), 0);
		ours[i] = loopback_accept(listener);
	}
	assert_int_equal(dump(&local).count, 700);
	for (int i = 0; i < 700; i++) {
		fd_close(&theirs[i]);
		fd_close(&ours[i]);
	}
	assert_int_equal(dump(&local).count, 0);
	fd_close(&listener);
}

/* Worry: rows of a question that was given up are taken for answers to the next one. */
static void test_old_answers_are_dropped(void **state)
{
	struct address local;
	int listener = loopback_listen("127.0.0.1:0", 16, &local);
	int theirs = loopback_connect(address_port(&local), 0);
	int ours = loopback_accept(listener);
	struct found found;

	(void)state;
	assert_int_equal(sock_diag_ask(dump_fd, &local, 1), 0);
	assert_int_equal(read_all(&local, 2, &found), SOCK_DIAG_LATER);
	assert_int_equal(found.count, 0);
	assert_int_equal(dump(&local).count, 1);
	fd_close(&theirs);
	fd_close(&ours);
	fd_close(&listener);
}

/* Worry: an error of the kernel looks like "no connections". */
static void test_errors_are_told(void **state)
{
	struct address nonsense = { .any.sa_family = AF_UNIX };
	struct found found;

	(void)state;
	nonsense.any.sa_family = 77;
	assert_int_equal(sock_diag_ask(dump_fd, &nonsense, 5), 0);
	errno = 0;
	assert_int_equal(read_all(&nonsense, 5, &found), SOCK_DIAG_FAILED);
	assert_true(errno != 0);
}

static bool read_cookie(uint64_t wanted)
{
	uint64_t cookies[SOCK_DIAG_EVENTS];
	struct pollfd ready = { .fd = events_fd, .events = POLLIN };
	int count = 0;

	while (poll(&ready, 1, LOOPBACK_PATIENCE_MS) == 1) {
		count = sock_diag_read_events(events_fd, cookies, SOCK_DIAG_EVENTS);
		for (int i = 0; i < count; i++)
			if (cookies[i] == wanted)
				return true;
	}
	return false;
}

/* Worry: the news name another socket than the one that ended. */
static void test_news_name_the_socket(void **state)
{
	struct address local;
	int listener = loopback_listen(":0", 16, &local);
	int theirs = loopback_connect(address_port(&local), 0);
	int ours = loopback_accept(listener);
	const uint64_t cookie = sock_diag_cookie(ours);

	(void)state;
	assert_true(cookie != 0);
	assert_true(cookie != sock_diag_cookie(theirs));
	fd_close(&theirs);
	fd_close(&ours);
	assert_true(read_cookie(cookie));
	assert_int_equal(sock_diag_cookie(ours), 0);
	fd_close(&listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_row_v4, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_row_v6, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_many_rows, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_old_answers_are_dropped, open_both,
						close_both),
		cmocka_unit_test_setup_teardown(test_errors_are_told, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_news_name_the_socket, open_both, close_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
