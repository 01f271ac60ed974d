/* Why: the census counts what other processes hold, from news that can be lost. A count that is too
 * low breaks a limit; one that is too high stops a listener for ever.
 * SPDX-License-Identifier: ISC */
#include "loopback.h"

#include <linux/netlink.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "front/census.h"
#include "wire/counter.h"

/* The census under test calls this one: a kernel without NETLINK_SOCK_DIAG, when wanted. */
static bool refuse_netlink;

int socket(int family, int type, int protocol)
{
	if (family == AF_NETLINK && refuse_netlink) {
		errno = EPROTONOSUPPORT;
		return -1;
	}
	return (int)syscall(SYS_socket, family, type, protocol);
}

/* And this one: a kernel that keeps little news for those who do not read them. */
static bool small_buffers;

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	const int little = 4096;

	if (small_buffers && level == SOL_SOCKET && name == SO_RCVBUF) {
		value = &little;
		length = sizeof little;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, length);
}

struct scene {
	struct event_base *base;
	struct census *census;
	struct address local;
	int listener;
	unsigned falls;
	size_t goal;
};

static void on_fall(void *arg)
{
	struct scene *scene = arg;

	scene->falls++;
}

static void scene_begin(struct scene *scene, const char *where)
{
	*scene = (struct scene){ .base = event_base_new() };
	scene->listener = loopback_listen(where, 4096, &scene->local);
	scene->census = census_new(scene->base, &scene->local, on_fall, scene);
}

static void scene_end(struct scene *scene)
{
	census_free(&scene->census);
	assert_null(scene->census);
	assert_int_equal(counter_get(COUNTER_COUNTED), 0);
	fd_close(&scene->listener);
	event_base_free(scene->base);
}

static bool is_total(void *arg)
{
	const struct scene *scene = arg;

	return census_total(scene->census) == scene->goal;
}

static bool until_total(struct scene *scene, size_t goal)
{
	scene->goal = goal;
	return loopback_until(scene->base, is_total, scene);
}

/* Both ends of one more connection from 127.0.0.x. */
static void connect_from(struct scene *scene, unsigned x, int *theirs_r, int *ours_r,
			 struct peer *peer_r)
{
	struct address from = { .length = sizeof from - offsetof(struct address, any) };
	struct pollfd ready = { .fd = scene->listener, .events = POLLIN };

	*theirs_r = loopback_connect(address_port(&scene->local), x);
	assert_int_equal(poll(&ready, 1, LOOPBACK_PATIENCE_MS), 1);
	*ours_r = accept4(scene->listener, &from.any, &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(*ours_r >= 0);
	peer_set(peer_r, &from.any, from.length);
}

/* A process that holds a copy of every descriptor that we have now, until it is told to end. */
static pid_t fork_holder(void)
{
	const pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0)
		pause();
	return pid;
}

static void end_holder(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* Worry: a handed-over client is forgotten when we close our copy, or never forgotten. */
static void counts_what_another_process_holds(const char *where)
{
	struct scene scene;
	struct peer one, two;
	int theirs[3], ours[3];
	pid_t holder;

	scene_begin(&scene, where);
	assert_true(census_follows(scene.census));
	connect_from(&scene, 2, &theirs[0], &ours[0], &one);
	connect_from(&scene, 2, &theirs[1], &ours[1], &one);
	connect_from(&scene, 3, &theirs[2], &ours[2], &two);
	census_enter(scene.census, &one, ours[0]);
	census_enter(scene.census, &one, ours[1]);
	census_enter(scene.census, &one, ours[1]); /* the same once more: no news */
	census_enter(scene.census, &two, ours[2]);
	assert_int_equal(census_total(scene.census), 3);
	assert_int_equal(census_of(scene.census, &one), 2);
	assert_int_equal(census_of(scene.census, &two), 1);
	assert_int_equal(counter_get(COUNTER_COUNTED), 3);

	holder = fork_holder();
	for (int i = 0; i < 3; i++)
		fd_close(&ours[i]);
	loopback_settle(scene.base);
	assert_int_equal(census_total(scene.census), 3);
	assert_int_equal(scene.falls, 0);

	end_holder(holder);
	assert_true(until_total(&scene, 0));
	assert_true(scene.falls > 0);
	assert_int_equal(census_of(scene.census, &one), 0);
	for (int i = 0; i < 3; i++)
		fd_close(&theirs[i]);
	scene_end(&scene);
}

static void test_another_process_v4(void **state)
{
	(void)state;
	counts_what_another_process_holds("127.0.0.1:0");
}

/* Worry: on a dual-stack listener v4 clients are IPv6 sockets, and counted under another name. */
static void test_another_process_dual_stack(void **state)
{
	(void)state;
	counts_what_another_process_holds(":0");
}

/* Worry: a client that ends in our hands is subtracted twice, by us and by the kernel's news. */
static void test_leaving_counts_once(void **state)
{
	struct scene scene;
	struct peer peer;
	int theirs[2], ours[2];

	(void)state;
	scene_begin(&scene, "127.0.0.1:0");
	for (int i = 0; i < 2; i++) {
		connect_from(&scene, 2, &theirs[i], &ours[i], &peer);
		census_enter(scene.census, &peer, ours[i]);
	}
	census_leave(scene.census, &peer, ours[0]);
	assert_int_equal(census_total(scene.census), 1);
	loopback_abort(&ours[0]);
	assert_true(loopback_is_closed(theirs[0]));
	loopback_settle(scene.base);
	assert_int_equal(census_total(scene.census), 1);
	census_leave(scene.census, &peer, ours[1]);
	census_leave(scene.census, &peer, ours[1]);
	assert_int_equal(census_total(scene.census), 0);
	for (int i = 0; i < 2; i++) {
		fd_close(&theirs[i]);
		fd_close(&ours[i]);
	}
	scene_end(&scene);
}

/* Worry: after a restart of the acceptor the limit starts from 0 although workers hold clients.
 * And: clients that wait in the backlog are counted, so that at the limit nobody ever takes them
 * in. */
static void test_a_new_census_finds_the_old_clients(void **state)
{
	struct scene scene;
	struct peer peer, other;
	int theirs[10], ours[8], waiting[4], elsewhere;
	struct address neighbour;
	char where[32];

	(void)state;
	scene_begin(&scene, "127.0.0.1:0");
	for (int i = 0; i < 8; i++)
		connect_from(&scene, i < 6 ? 2 : 3, &theirs[i], &ours[i], i < 6 ? &peer : &other);
	for (int i = 0; i < 4; i++)
		waiting[i] = loopback_connect(address_port(&scene.local), 2);
	snprintf(where, sizeof where, "127.0.0.2:%u", address_port(&scene.local));
	elsewhere = loopback_listen(where, 16, &neighbour);
	theirs[8] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(theirs[8], &neighbour.any, neighbour.length), 0);
	theirs[9] = loopback_accept(elsewhere);

	assert_int_equal(census_total(scene.census), 0);
	census_free(&scene.census);
	scene.census = census_new(scene.base, &scene.local, on_fall, &scene);
	assert_int_equal(census_total(scene.census), 8);
	assert_int_equal(census_of(scene.census, &peer), 6);
	assert_int_equal(census_of(scene.census, &other), 2);
	census_enter(scene.census, &peer, ours[0]); /* known already */
	assert_int_equal(census_total(scene.census), 8);

	for (int i = 0; i < 8; i++) {
		fd_close(&theirs[i]);
		fd_close(&ours[i]);
	}
	assert_true(until_total(&scene, 0));
	for (int i = 0; i < 4; i++)
		fd_close(&waiting[i]);
	fd_close(&theirs[8]);
	fd_close(&theirs[9]);
	fd_close(&elsewhere);
	scene_end(&scene);
}

/* Worry: two addresses of one listener are counted apart, or only one of them after a restart. */
static void test_two_addresses_one_sum(void **state)
{
	struct scene scene, second;
	struct peer peer;
	int theirs[2], ours[2];

	(void)state;
	scene_begin(&scene, "127.0.0.1:0");
	scene_begin(&second, "127.0.0.1:0");
	connect_from(&scene, 2, &theirs[0], &ours[0], &peer);
	connect_from(&second, 2, &theirs[1], &ours[1], &peer);
	census_add(scene.census, &second.local);
	assert_int_equal(census_total(scene.census), 2);
	assert_int_equal(census_of(scene.census, &peer), 2);
	for (int i = 0; i < 2; i++) {
		fd_close(&theirs[i]);
		fd_close(&ours[i]);
	}
	assert_true(until_total(&scene, 0));
	scene_end(&second);
	scene_end(&scene);
}

#define CROWD 300

/* Worry: when very many end at once (a worker died), the kernel drops most of the news, and those
 * clients are counted for ever. */
static void test_lost_news_are_repaired(void **state)
{
	int theirs[CROWD], ours[CROWD];
	struct scene scene;
	struct peer peer;
	int kept, kept_ours;
	pid_t holder;

	(void)state;
	small_buffers = true;
	scene_begin(&scene, "127.0.0.1:0");
	small_buffers = false;
	connect_from(&scene, 9, &kept, &kept_ours, &peer);
	census_enter(scene.census, &peer, kept_ours);
	for (int i = 0; i < CROWD; i++) {
		connect_from(&scene, 2 + (unsigned)i % 5, &theirs[i], &ours[i], &peer);
		census_enter(scene.census, &peer, ours[i]);
	}
	assert_int_equal(census_total(scene.census), CROWD + 1);
	holder = fork_holder();
	for (int i = 0; i < CROWD; i++) {
		fd_close(&ours[i]);
		loopback_abort(&theirs[i]);
	}
	loopback_settle(scene.base);
	end_holder(holder); /* nobody reads the news while all of them end */
	assert_true(until_total(&scene, 1));
	assert_true(scene.falls > 0);
	fd_close(&kept);
	fd_close(&kept_ours);
	assert_true(until_total(&scene, 0));
	scene_end(&scene);
}

/* Worry: where the kernel refuses, clients are counted that nobody will ever take back. */
static void test_without_the_kernels_help(void **state)
{
	struct scene scene;
	struct peer peer;
	int theirs, ours, log[2];
	char line[1024] = "";

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, log), 0);
	log_to(log[1]);
	refuse_netlink = true;
	scene_begin(&scene, "127.0.0.1:0");
	refuse_netlink = false;
	log_to(2);
	assert_true(read(log[0], line, sizeof line - 1) > 0);
	assert_non_null(strstr(line, "count only clients that wait for a worker"));
	fd_close(&log[0]);
	fd_close(&log[1]);

	assert_false(census_follows(scene.census));
	connect_from(&scene, 2, &theirs, &ours, &peer);
	census_enter(scene.census, &peer, ours);
	assert_int_equal(census_total(scene.census), 1);
	assert_int_equal(census_of(scene.census, &peer), 1);
	census_leave(scene.census, &peer, ours);
	assert_int_equal(census_total(scene.census), 0);
	fd_close(&theirs);
	fd_close(&ours);
	scene_end(&scene);
}

/* Worry: a relay counts the clients of its neighbours, who share its port. */
static void test_our_own_only(void **state)
{
	struct census *census = census_new_own();
	struct address local;
	struct peer peer;
	int listener = loopback_listen("127.0.0.1:0", 8, &local), ours[2], theirs[2], unseen;

	(void)state;
	unseen = loopback_connect(address_port(&local), 1);
	census_add(census, &local);
	assert_false(census_follows(census));
	assert_int_equal(census_total(census), 0);
	memset(&peer, 0, sizeof peer);
	peer.v4.sin_family = AF_INET;
	for (int i = 0; i < 2; i++) {
		theirs[i] = loopback_connect(address_port(&local), 2);
		ours[i] = loopback_accept(listener);
		census_enter(census, &peer, ours[i]);
	}
	assert_int_equal(census_total(census), 2);
	assert_int_equal(census_of(census, &peer), 2);
	for (int i = 0; i < 2; i++) {
		census_leave(census, &peer, ours[i]);
		census_leave(census, &peer, ours[i]);
		assert_int_equal(census_total(census), 1 - i);
		fd_close(&ours[i]);
		fd_close(&theirs[i]);
	}
	census_free(&census);
	fd_close(&unseen);
	fd_close(&listener);
}

/* Worry: an IPv6 client walks around max_per_client with the 2^64 addresses that he owns. */
static void test_v6_clients_are_counted_by_network(void **state)
{
	struct scene scene;
	struct address text;
	struct peer peer, same_net, other_net;
	struct error e;
	int theirs, ours;

	(void)state;
	assert_true(address_parse("[2001:db8:1:2::1]:5", &text, &e));
	peer_set(&peer, &text.any, text.length);
	assert_true(address_parse("[2001:db8:1:2:ffff::9]:6", &text, &e));
	peer_set(&same_net, &text.any, text.length);
	assert_true(address_parse("[2001:db8:1:3::1]:5", &text, &e));
	peer_set(&other_net, &text.any, text.length);
	scene_begin(&scene, "127.0.0.1:0");
	connect_from(&scene, 2, &theirs, &ours, &(struct peer){ 0 });
	census_enter(scene.census, &peer, ours);
	assert_int_equal(census_of(scene.census, &same_net), 1);
	assert_int_equal(census_of(scene.census, &other_net), 0);
	fd_close(&theirs);
	fd_close(&ours);
	scene_end(&scene);
}

int main(void)
{
	const struct log_settings settings = { .level = LOG_WARNING, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_process_v4),
		cmocka_unit_test(test_another_process_dual_stack),
		cmocka_unit_test(test_leaving_counts_once),
		cmocka_unit_test(test_a_new_census_finds_the_old_clients),
		cmocka_unit_test(test_two_addresses_one_sum),
		cmocka_unit_test(test_lost_news_are_repaired),
		cmocka_unit_test(test_without_the_kernels_help),
		cmocka_unit_test(test_our_own_only),
		cmocka_unit_test(test_v6_clients_are_counted_by_network),
	};

	log_setup(&settings);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
