/* Why: the door is where a flood, a full descriptor table or a strange errno would turn into a busy
 * loop or into lost clients. SPDX-License-Identifier: ISC */
#include "loopback.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "front/door.h"
#include "wire/counter.h"

/* The door under test calls this one: the kernel cannot be asked for most of its errors. */
static int inject_errno;
static unsigned inject_count, accept_calls;

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	accept_calls++;
	if (inject_count > 0) {
		inject_count--;
		errno = inject_errno;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, address, length, flags);
}

static const struct listen_config plain = {
	.name = (char *)(uintptr_t) "test", .backlog = 4096, .nodelay = true, .keepalive = 60000
};

/* A door whose handler keeps all clients in a queue. */
struct scene {
	struct event_base *base;
	struct door *door;
	struct door_listener *listener;
	struct address local;
	struct client_queue waiting;
	unsigned taken; /* clients that the handler got */
	unsigned goal;
};

static void on_client(struct client *client, void *arg)
{
	struct scene *scene = arg;

	TAILQ_INSERT_TAIL(&scene->waiting, client, link);
	scene->taken++;
}

static void scene_begin(struct scene *scene, const struct listen_config *config)
{
	int fd = loopback_listen("127.0.0.1:0", 4096, &scene->local);

	scene->base = event_base_new();
	scene->door = door_new(scene->base, on_client, scene);
	scene->taken = 0;
	TAILQ_INIT(&scene->waiting);
	scene->listener = door_add(scene->door, &fd, 1, 0, config, &scene->local);
	assert_int_equal(fd, -1);
	door_open(scene->door);
}

static void end_first(struct scene *scene, enum end_reason reason)
{
	struct client *client = TAILQ_FIRST(&scene->waiting);

	TAILQ_REMOVE(&scene->waiting, client, link);
	client_end(&client, reason);
}

static void scene_end(struct scene *scene)
{
	while (!TAILQ_EMPTY(&scene->waiting))
		end_first(scene, END_SHUTDOWN);
	assert_int_equal(client_count(), 0);
	assert_int_equal(scene->listener->open, 0);
	door_free(&scene->door);
	assert_null(scene->door);
	event_base_free(scene->base);
	assert_int_equal(counter_get(COUNTER_COUNTED), 0);
}

static bool has_taken(void *arg)
{
	const struct scene *scene = arg;

	return scene->taken >= scene->goal;
}

static bool until_taken(struct scene *scene, unsigned goal)
{
	scene->goal = goal;
	return loopback_until(scene->base, has_taken, scene);
}

static int connect_to(const struct scene *scene)
{
	return loopback_connect(address_port(&scene->local), 0);
}

#define CROWD 1000

/* Worry: a flood of clients keeps the process from hearing anything else. */
static void test_bursts_are_bounded(void **state)
{
	struct scene scene;
	static int clients[CROWD];

	(void)state;
	scene_begin(&scene, &plain);
	for (int i = 0; i < CROWD; i++)
		clients[i] = connect_to(&scene);
	for (unsigned taken = 0, turns = 0; taken < CROWD; taken = scene.taken, turns++) {
		event_base_loop(scene.base, EVLOOP_ONCE);
		assert_in_range(scene.taken - taken, 1, 64);
		assert_true(turns < CROWD / 16); /* it grows with the flood */
	}
	for (int i = 0; i < CROWD; i++)
		fd_close(&clients[i]);
	scene_end(&scene);
}

/* Worry: what a client's socket must have costs system calls, or is forgotten. */
static void test_sockets_inherit_their_options(void **state)
{
	static const struct {
		int level, name, value;
	} expected[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 61 }, { IPPROTO_TCP, TCP_KEEPINTVL, 10 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },   { IPPROTO_TCP, TCP_USER_TIMEOUT, 12345 },
	};
	struct listen_config config = plain;
	const struct client *client;
	struct scene scene;
	int ours;

	(void)state;
	config.keepalive = 60500;
	config.tcp_user_timeout = 12345;
	scene_begin(&scene, &config);
	ours = connect_to(&scene);
	assert_true(until_taken(&scene, 1));
	client = TAILQ_FIRST(&scene.waiting);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		int value = -1;
		socklen_t length = sizeof value;

		assert_int_equal(getsockopt(client->fd, expected[i].level, expected[i].name, &value,
					    &length),
				 0);
		assert_int_equal(value, expected[i].value);
	}
	assert_true(fcntl(client->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(client->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(client->peer.any.sa_family, AF_INET);
	assert_int_equal(ntohl(client->peer.v4.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_true(client->accepted_us > 0);
	fd_close(&ours);
	scene_end(&scene);
}

/* Sets the limit so that `spare` more descriptors can be opened; the gaps between those that are
 * open already count too. */
static void leave_descriptors(unsigned spare, struct rlimit *old)
{
	struct rlimit tight;
	int taken[16];

	assert_true(spare < 16);
	for (unsigned i = 0; i <= spare; i++)
		taken[i] = dup(2);
	getrlimit(RLIMIT_NOFILE, old);
	tight = *old;
	tight.rlim_cur = (rlim_t)taken[spare];
	for (unsigned i = 0; i <= spare; i++)
		fd_close(&taken[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
}

static unsigned loops_for(struct event_base *base, int64_t ms)
{
	const int64_t end_ms = clock_now_ms() + ms;
	const struct timeval tick = clock_timeval(ms);
	unsigned loops = 0;

	while (clock_now_ms() < end_ms && loops < 10000) {
		event_base_loopexit(base, &tick);
		event_base_loop(base, EVLOOP_ONCE);
		loops++;
	}
	return loops;
}

/* Worry: out of descriptors, the process spins at 100 % CPU, or never accepts again, or waits for a
 * timer although descriptors are free. */
static void test_out_of_descriptors(void **state)
{
	const uint64_t pauses = counter_get(COUNTER_ACCEPT_PAUSES);
	struct rlimit old;
	struct scene scene;
	int clients[20];
	unsigned calls;

	(void)state;
	scene_begin(&scene, &plain);
	for (int i = 0; i < 20; i++)
		clients[i] = connect_to(&scene);
	leave_descriptors(5, &old);
	assert_true(until_taken(&scene, 5));
	loopback_settle(scene.base);
	assert_int_equal(scene.taken, 5);
	assert_int_equal(counter_get(COUNTER_ACCEPT_PAUSES), pauses + 1);

	for (int i = 0; i < 3; i++)
		end_first(&scene, END_HANDED_OVER);
	event_base_loop(scene.base, EVLOOP_NONBLOCK); /* at once: no timer has run */
	assert_int_equal(scene.taken, 8);

	calls = accept_calls;
	assert_in_range(loops_for(scene.base, 1000), 1, 30);
	assert_in_range(accept_calls - calls, 1, 11); /* the timer's 100 ms */
	assert_int_equal(scene.taken, 8);

	setrlimit(RLIMIT_NOFILE, &old);
	assert_true(until_taken(&scene, 20)); /* nobody left: now the timer it is */
	for (int i = 0; i < 20; i++)
		fd_close(&clients[i]);
	scene_end(&scene);
}

/* Worry: an error of the network, of one client or of the machine ends the acceptor, or makes it
 * spin (accept(2) names them). */
static void test_strange_errors(void **state)
{
	static const int errors[] = { ECONNABORTED, EPROTO,  EPERM,        ENETDOWN,   ENOPROTOOPT,
				      EHOSTDOWN,    ENONET,  EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH,
				      ETIMEDOUT,    ENOSR,   EACCES,       EINTR,      EMFILE,
				      ENFILE,       ENOBUFS, ENOMEM };
	struct scene scene;

	(void)state;
	scene_begin(&scene, &plain);
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		const uint64_t before = counter_get(COUNTER_ACCEPT_ERRORS);
		const bool is_lasting = errors[i] == EMFILE || errors[i] == ENFILE ||
					errors[i] == ENOBUFS || errors[i] == ENOMEM;
		const unsigned counted = is_lasting || errors[i] == EINTR ? 0 : 3;
		int ours;

		inject_errno = errors[i];
		inject_count = is_lasting ? 1 : 3;
		ours = connect_to(&scene);
		assert_true(until_taken(&scene, scene.taken + 1));
		assert_int_equal(inject_count, 0);
		assert_int_equal(counter_get(COUNTER_ACCEPT_ERRORS) - before, counted);
		fd_close(&ours);
	}
	scene_end(&scene);
}

/* Worry: an error that nobody has foreseen and that does not go away makes us spin. */
static void test_an_endless_error_does_not_spin(void **state)
{
	struct scene scene;
	unsigned calls;
	int ours;

	(void)state;
	scene_begin(&scene, &plain);
	inject_errno = EACCES;
	inject_count = UINT32_MAX;
	ours = connect_to(&scene);
	calls = accept_calls;
	loops_for(scene.base, 500);
	assert_in_range(accept_calls - calls, 64, 6 * 64);
	inject_count = 0;
	assert_true(until_taken(&scene, 1));
	fd_close(&ours);
	scene_end(&scene);
}

/* Worry: a stop resets the clients that the kernel has queued. */
static void test_close_takes_all_that_wait(void **state)
{
	struct scene scene;
	int clients[500];

	(void)state;
	scene_begin(&scene, &plain);
	for (int i = 0; i < 500; i++)
		clients[i] = connect_to(&scene);
	door_close(scene.door);
	assert_int_equal(scene.taken, 500);
	assert_int_equal(scene.listener->fd, -1);
	assert_int_equal(loopback_connect(address_port(&scene.local), 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	for (int i = 0; i < 500; i++)
		fd_close(&clients[i]);
	scene_end(&scene); /* clients end after their listener was closed */
}

/* Worry: a denied client is left hanging, not counted, or reaches a worker. */
static void test_denied_clients_are_closed(void **state)
{
	const uint64_t denied = counter_get(COUNTER_ENDED_DENIED);
	struct listen_config config = plain;
	struct cidr block;
	struct scene scene;
	struct error e;
	int good, bad;

	(void)state;
	assert_true(cidr_parse("127.0.0.2/32", &block, &e));
	config.deny = (struct cidr_list){ &block, 1 };
	scene_begin(&scene, &config);
	bad = loopback_connect(address_port(&scene.local), 2);
	good = loopback_connect(address_port(&scene.local), 3);
	assert_true(until_taken(&scene, 1));
	assert_true(loopback_is_closed(bad));
	assert_int_equal(counter_get(COUNTER_ENDED_DENIED), denied + 1);
	assert_int_equal(scene.taken, 1);
	fd_close(&good);
	fd_close(&bad);
	scene_end(&scene);
}

/* Worry: at max_connections clients are closed instead of kept waiting, or the listener spins, or
 * never opens again; two addresses of one section have the limit twice. */
static void test_max_connections(void **state)
{
	const uint64_t pauses = counter_get(COUNTER_LIMIT_PAUSES);
	struct listen_config config = plain;
	struct address second;
	struct scene scene;
	int clients[8], fd;

	(void)state;
	config.max_connections = 5;
	scene_begin(&scene, &config);
	fd = loopback_listen("127.0.0.1:0", 16, &second);
	door_add(scene.door, &fd, 2, 0, &config, &second);
	for (int i = 0; i < 8; i++)
		clients[i] = loopback_connect(address_port(i % 2 ? &second : &scene.local), 0);
	assert_true(until_taken(&scene, 5));
	assert_in_range(loops_for(scene.base, 300), 1, 20);
	assert_int_equal(scene.taken, 5);
	assert_in_range(counter_get(COUNTER_LIMIT_PAUSES) - pauses, 1, 2);

	end_first(&scene, END_NO_WORKER);
	assert_true(until_taken(&scene, 6));
	loopback_settle(scene.base);
	assert_int_equal(scene.taken, 6);

	/* Handed over means: still there. Here nobody else has the socket, so the kernel ends it.
	 */
	end_first(&scene, END_HANDED_OVER);
	end_first(&scene, END_HANDED_OVER);
	assert_true(until_taken(&scene, 8));
	for (int i = 0; i < 8; i++)
		fd_close(&clients[i]);
	scene_end(&scene);
}

/* Worry: UNIX listeners, which no census sees, have no limit or never reopen. */
static void test_max_connections_of_a_unix_listener(void **state)
{
	struct listen_config config = plain;
	struct address local = { .local = { .sun_family = AF_UNIX } };
	struct sockaddr_un *name = &local.local;
	int clients[3], fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct scene scene;

	(void)state;
	snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "limpet-test-%d", (int)getpid());
	local.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   strlen(name->sun_path + 1));
	assert_int_equal(bind(fd, &local.any, local.length), 0);
	assert_int_equal(listen(fd, 16), 0);
	config.max_connections = 2;
	scene_begin(&scene, &config);
	door_add(scene.door, &fd, 2, 0, &config, &local);
	for (int i = 0; i < 3; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(clients[i], &local.any, local.length), 0);
	}
	assert_true(until_taken(&scene, 2));
	loopback_settle(scene.base);
	assert_int_equal(scene.taken, 2);
	assert_int_equal(TAILQ_FIRST(&scene.waiting)->peer.any.sa_family, AF_UNIX);
	end_first(&scene, END_HANDED_OVER);
	assert_true(until_taken(&scene, 3));
	for (int i = 0; i < 3; i++)
		fd_close(&clients[i]);
	scene_end(&scene);
}

/* Worry: max_per_client turns away the wrong ones, or counts the turned away as present. */
static void test_max_per_client(void **state)
{
	const uint64_t refused = counter_get(COUNTER_ENDED_CLIENT_LIMIT);
	struct listen_config config = plain;
	struct scene scene;
	int clients[5], again, other;

	(void)state;
	config.max_per_client = 3;
	scene_begin(&scene, &config);
	for (int i = 0; i < 5; i++)
		clients[i] = loopback_connect(address_port(&scene.local), 2);
	other = loopback_connect(address_port(&scene.local), 3);
	assert_true(until_taken(&scene, 4));
	assert_true(loopback_is_closed(clients[3]));
	assert_true(loopback_is_closed(clients[4]));
	assert_int_equal(counter_get(COUNTER_ENDED_CLIENT_LIMIT), refused + 2);

	end_first(&scene, END_NO_WORKER);
	again = loopback_connect(address_port(&scene.local), 2);
	assert_true(until_taken(&scene, 5));
	for (int i = 0; i < 5; i++)
		fd_close(&clients[i]);
	fd_close(&again);
	fd_close(&other);
	scene_end(&scene);
}

/* Worry: clients that vanish at any moment make a gauge drift, until the listener stops for ever.
 */
static void test_random_aborts_leave_nothing(void **state)
{
	const uint64_t accepted = counter_get(COUNTER_ACCEPTED);
	struct listen_config config = plain;
	struct scene scene;
	int clients[16];
	uint64_t ended = 0;

	(void)state;
	memset(clients, -1, sizeof clients);
	config.max_connections = 9;
	config.max_per_client = 4;
	srandom(4711);
	scene_begin(&scene, &config);
	for (int i = 0; i < 1000; i++) {
		int *one = &clients[random() % 16];

		if (*one >= 0 && random() % 2)
			loopback_abort(one);
		else
			fd_close(one);
		*one = loopback_connect(address_port(&scene.local), 1 + (unsigned)random() % 5);
		if (random() % 2)
			event_base_loop(scene.base, EVLOOP_NONBLOCK);
		if (!TAILQ_EMPTY(&scene.waiting) && random() % 4)
			end_first(&scene, (enum end_reason)(random() % END_REASONS_COUNT));
		assert_in_range(counter_get(COUNTER_COUNTED), 0, 9);
	}
	for (int i = 0; i < 16; i++)
		fd_close(&clients[i]);
	/* All that still wait come in sooner or later, however few at a time. */
	for (int quiet = 0; quiet < 50; quiet++) {
		const unsigned before = scene.taken;

		event_base_loop(scene.base, EVLOOP_NONBLOCK);
		while (!TAILQ_EMPTY(&scene.waiting))
			end_first(&scene, END_BAD_SOCKET);
		if (scene.taken != before)
			quiet = 0;
	}
	assert_int_equal(counter_get(COUNTER_ACCEPTED) - accepted, 1000);
	for (int reason = 0; reason < END_REASONS_COUNT; reason++)
		ended += counter_get((enum counter)(COUNTER_ENDED_HANDED_OVER + reason));
	assert_int_equal(ended, counter_get(COUNTER_ACCEPTED));
	scene_end(&scene);
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bursts_are_bounded),
		cmocka_unit_test(test_sockets_inherit_their_options),
		cmocka_unit_test(test_out_of_descriptors),
		cmocka_unit_test(test_strange_errors),
		cmocka_unit_test(test_an_endless_error_does_not_spin),
		cmocka_unit_test(test_close_takes_all_that_wait),
		cmocka_unit_test(test_denied_clients_are_closed),
		cmocka_unit_test(test_max_connections),
		cmocka_unit_test(test_max_connections_of_a_unix_listener),
		cmocka_unit_test(test_max_per_client),
		cmocka_unit_test(test_random_aborts_leave_nothing),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
