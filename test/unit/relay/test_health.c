/* Why: health decides who gets no clients; a mind changed too soon moves them for nothing, one
 * changed too late leaves them with a dead server. SPDX-License-Identifier: ISC */
#include "answerer.h"

#include <stdio.h>

#include "relay/health.h"
#include "wire/counter.h"

#define GOOD "HTTP/1.1 200 OK\r\n\r\n"
#define ILL  "HTTP/1.1 500 Internal Server Error\r\n\r\n"

#define SLOTS 2 /* of "web"; the first is a local one unless there are servers only */

struct scene {
	struct event_base *base;
	struct config config;
	struct pool_config pool;
	struct server server;
	struct upstreams *upstreams;
	struct health *health;
	struct answerer answerer;
	bool is_mute; /* the supervisor does not repeat our words */
	unsigned words, readies;
	struct message_health last;
	unsigned goal;
};

/* The supervisor sends it back to all relays. */
static void on_word(const struct message *message, void *arg)
{
	struct scene *scene = arg;

	assert_int_equal(message->type, MESSAGE_HEALTH);
	assert_int_equal(message->HEALTH.pool, 0);
	scene->last = message->HEALTH;
	scene->words += !message->HEALTH.ready;
	scene->readies += message->HEALTH.ready != 0;
	if (!scene->is_mute)
		upstream_health(scene->upstreams, &message->HEALTH);
}

static void on_opened(void *arg)
{
	(void)arg;
}

/* A pool "web" with `locals` of its SLOTS ours; more is set by the test before scene_run. */
static void scene_begin(struct scene *scene, size_t locals, const char *check, const char *answer)
{
	*scene = (struct scene){ .base = event_base_new() };
	scene->server = (struct server){ .host = (char *)(uintptr_t) "web.example",
					 .name = (char *)(uintptr_t) "web.example:8080",
					 .port = 8080,
					 .kind = SERVER_ADDRESS,
					 .weight = 1 };
	scene->pool = (struct pool_config){ .name = (char *)(uintptr_t) "web",
					    .locals = locals,
					    .slots = SLOTS,
					    .proxied = true,
					    .delivery = DELIVERY_PROXY,
					    .prefix4 = 32,
					    .prefix6 = 64,
					    .check = (char *)(uintptr_t)check,
					    .check_interval = 15,
					    .check_timeout = 2000,
					    .check_rise = 2,
					    .check_fall = 3,
					    .server = { &scene->server, 1 } };
	scene->config.pools = &scene->pool;
	scene->config.pool_count = 1;
	answerer_begin(&scene->answerer, scene->base, NULL, answer);
}

static void server_is(struct scene *scene, uint32_t slot, enum server_state state,
		      const struct address *address)
{
	const struct message_server server = {
		.slot = slot,
		.state = state,
		.weight = slot < scene->pool.locals ? 0 : 1000,
		.address = *address,
		.name = "web.example:8080",
	};

	upstream_server(scene->upstreams, &server);
	if (scene->health)
		health_slot_changed(scene->health, 0, slot);
}

static void route_is(struct scene *scene, uint32_t slot, enum slot_route route)
{
	const struct message_slot_state state = {
		.slot = slot,
		.generation = route != ROUTE_CLOSED, /* closed: no process */
		.route = route,
	};

	upstream_state(scene->upstreams, &state);
	if (scene->health)
		health_slot_changed(scene->health, 0, slot);
}

/* All slots at the answerer. */
static void scene_run(struct scene *scene)
{
	scene->upstreams = upstreams_new(&scene->config, 7, on_opened, NULL);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		server_is(scene, slot, SERVER_PRESENT, &scene->answerer.local);
	scene->health = health_new(scene->base, &scene->config, scene->upstreams, on_word, scene);
}

static void scene_end(struct scene *scene)
{
	health_free(&scene->health);
	assert_null(scene->health);
	upstreams_free(&scene->upstreams);
	answerer_end(&scene->answerer);
	event_base_free(scene->base);
}

static bool has_words(void *arg)
{
	const struct scene *scene = arg;

	return scene->words >= scene->goal;
}

static bool has_readies(void *arg)
{
	const struct scene *scene = arg;

	return scene->readies >= scene->goal;
}

static bool has_clients(void *arg)
{
	const struct scene *scene = arg;

	return scene->answerer.clients >= scene->goal;
}

static bool has_answers(void *arg)
{
	const struct scene *scene = arg;

	return scene->answerer.answers >= scene->goal;
}

static void until(struct scene *scene, bool (*condition)(void *), unsigned goal)
{
	scene->goal = goal;
	assert_true(loopback_until(scene->base, condition, scene));
}

static void leave_one(struct scene *scene)
{
	server_is(scene, 1, SERVER_ABSENT, &(struct address){ 0 });
}

/* Worry: a server that answers 500 keeps its clients; one that is well again does not get them
 * back; or either takes more or less than the rows of check_fall and check_rise. */
static void test_a_row_changes_the_mind(void **state)
{
	struct scene scene;
	uint64_t changes;

	(void)state;
	scene_begin(&scene, 0, "http GET /health", ILL);
	scene_run(&scene);
	leave_one(&scene);
	changes = counter_get(COUNTER_HEALTH_CHANGES);
	until(&scene, has_words, 1);
	assert_int_equal(scene.answerer.answers, 3);
	assert_false(scene.last.good || scene.last.ready);
	assert_string_equal(scene.last.why, "it answered 500");
	assert_int_equal(scene.last.slot, 0);
	until(&scene, has_clients, 6); /* nothing new is nothing to tell */
	assert_int_equal(scene.words, 1);
	scene.answerer.answer = GOOD;
	scene.answerer.answers = 0;
	until(&scene, has_words, 2);
	assert_true(scene.last.good && !scene.last.ready);
	assert_string_equal(scene.last.why, "");
	assert_int_equal(scene.answerer.answers, 2);
	assert_int_equal(counter_get(COUNTER_HEALTH_CHANGES), changes + 2);
	scene_end(&scene);
}

/* Worry: one lost answer among good ones adds up over a day. */
static void test_a_broken_row_begins_anew(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, 0, "http GET /health", ILL);
	scene_run(&scene);
	leave_one(&scene);
	for (unsigned i = 0; i < 4; i++) {
		scene.answerer.answer = i % 2 ? GOOD : ILL;
		scene.answerer.answers = 0;
		until(&scene, has_answers, 2);
	}
	assert_int_equal(scene.words, 0);
	scene_end(&scene);
}

/* Worry: what the old address did is held against the new one. */
static void test_a_change_begins_anew(void **state)
{
	struct scene scene;

	(void)state;
	scene_begin(&scene, 0, "http GET /health", ILL);
	scene_run(&scene);
	leave_one(&scene);
	until(&scene, has_answers, 2);
	health_slot_changed(scene.health, 0, 0);
	scene.answerer.answers = 0;
	until(&scene, has_words, 1);
	assert_int_equal(scene.answerer.answers, 3);
	scene_end(&scene);
}

/* The next client of a listener that is not on the loop. */
static int until_accepted(const struct scene *scene, int listener)
{
	const int64_t deadline_ms = clock_now_ms() + LOOPBACK_PATIENCE_MS;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0) {
		assert_true(clock_now_ms() < deadline_ms);
		event_base_loop(scene->base, EVLOOP_ONCE);
	}
	return fd;
}

/* Worry: slots that get no clients are asked for ever; or nobody asks those that do. */
static void test_who_is_looked_at(void **state)
{
	struct scene scene;
	struct address local;
	int other;

	(void)state;
	scene_begin(&scene, 1, "tcp", GOOD);
	other = loopback_listen("127.0.0.1:0", 64, &local);
	scene_run(&scene);
	server_is(&scene, 0, SERVER_PRESENT, &local); /* the local slot alone is there */
	route_is(&scene, 0, ROUTE_CLOSED);
	until(&scene, has_clients, 4); /* the server beside it is checked meanwhile */
	assert_int_equal(accept4(other, NULL, NULL, SOCK_NONBLOCK), -1);
	route_is(&scene, 0, ROUTE_OPEN);
	fd_close(&(int){ until_accepted(&scene, other) });
	server_is(&scene, 1, SERVER_LEAVING, &scene.answerer.local);
	loopback_settle(scene.base);
	scene.answerer.clients = 0;
	for (int i = 0; i < 4; i++)
		fd_close(&(int){ until_accepted(&scene, other) });
	assert_int_equal(scene.answerer.clients, 0);
	assert_int_equal(scene.words, 0);
	fd_close(&other);
	scene_end(&scene);
}

/* Worry: a worker that failed so often that it is closed to clients while it starts is never found
 * to be ready. */
static void test_closed_while_it_starts(void **state)
{
	const struct message_slot_state distrusted = { .generation = 3, .route = ROUTE_CLOSED };
	struct scene scene;

	(void)state;
	scene_begin(&scene, 1, "off", GOOD);
	scene_run(&scene);
	upstream_state(scene.upstreams, &distrusted);
	health_slot_changed(scene.health, 0, 0);
	until(&scene, has_readies, 1);
	scene_end(&scene);
}

/* Worry: a worker that listens by itself is never ready, or is before it listens. */
static void test_a_starting_worker_is_heard(void **state)
{
	struct scene scene;
	struct address path = { .length = sizeof path.local };
	int fd;

	(void)state;
	scene_begin(&scene, 1, "off", GOOD);
	scene_run(&scene);
	path.local.sun_family = AF_UNIX;
	snprintf(path.local.sun_path, sizeof path.local.sun_path, "/tmp/limpet-health-%d.sock",
		 (int)getpid());
	unlink(path.local.sun_path);
	server_is(&scene, 0, SERVER_PRESENT, &path);
	route_is(&scene, 0, ROUTE_WAIT);
	for (int i = 0; i < 6; i++)
		event_base_loop(scene.base, EVLOOP_ONCE);
	assert_int_equal(scene.words + scene.readies, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, &path.any, path.length), 0);
	for (int i = 0; i < 4; i++)
		event_base_loop(scene.base, EVLOOP_ONCE);
	assert_int_equal(scene.words + scene.readies, 0); /* bound is not listening */
	assert_int_equal(listen(fd, 16), 0);
	until(&scene, has_readies, 2); /* again: the word may have met its predecessor */
	assert_true(scene.last.good && scene.last.slot == 0);
	route_is(&scene, 0, ROUTE_OPEN);
	loopback_settle(scene.base);
	assert_int_equal(scene.words, 0);
	unlink(path.local.sun_path);
	fd_close(&fd);
	scene_end(&scene);
}

/* Worry: workers that say themselves when they are ready are overruled. */
static void test_only_those_who_wait_to_be_found_are(void **state)
{
	static const struct {
		int ready, delivery;
	} rows[] = { { READY_NOTIFY, DELIVERY_PROXY },
		     { READY_STARTED, DELIVERY_PROXY },
		     { READY_AUTO, DELIVERY_LISTEN } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene scene;

		scene_begin(&scene, 1, "off", GOOD);
		scene.pool.ready = rows[i].ready;
		scene.pool.delivery = rows[i].delivery;
		scene_run(&scene);
		leave_one(&scene);
		route_is(&scene, 0, ROUTE_WAIT);
		loopback_settle(scene.base);
		assert_int_equal(scene.answerer.clients, 0);
		scene_end(&scene);
	}
}

/* Worry: relay 0 dies while a server is ill, and nobody ever calls it well again. */
static void test_a_successor_takes_the_belief_over(void **state)
{
	struct scene scene;
	const struct message_health ill = { .slot = 0, .good = 0 };

	(void)state;
	scene_begin(&scene, 0, "http GET /health", GOOD);
	scene_run(&scene);
	leave_one(&scene);
	upstream_health(scene.upstreams, &ill);
	until(&scene, has_words, 1);
	assert_true(scene.last.good);
	assert_int_equal(scene.answerer.answers, 2);
	scene_end(&scene);
}

/* Worry: the supervisor forgets that a server is ill (its process ended, say) while it stays ill;
 * or our own word, which is still on its way to him and back, is taken for his. */
static void test_the_supervisors_word_counts(void **state)
{
	const struct message_health well = { .slot = 0, .good = 1 };
	struct scene scene;

	(void)state;
	scene_begin(&scene, 0, "http GET /health", ILL);
	scene.is_mute = true;
	scene_run(&scene);
	leave_one(&scene);
	until(&scene, has_words, 1);
	until(&scene, has_clients, 6);
	assert_int_equal(scene.words, 1);
	upstream_health(scene.upstreams, &scene.last);
	upstream_health(scene.upstreams, &well);
	until(&scene, has_words, 2);
	assert_false(scene.last.good);
	scene_end(&scene);
}

static bool has_request(void *arg)
{
	const struct scene *scene = arg;

	return scene->answerer.length > 4 &&
	       memcmp(scene->answerer.request + scene->answerer.length - 4, "\r\n\r\n", 4) == 0;
}

/* Worry: the request names the wrong host; a server that demands a PROXY header calls us ill. */
static void test_what_is_asked(void **state)
{
	static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
	static const struct {
		const char *check;
		int send_proxy;
		const char *start;
		size_t length;
		const char *host;
	} rows[] = {
		{ "http GET /up?x=1", SEND_PROXY_OFF, "GET /up?x=1 HTTP/1.1\r\n", 22,
		  "\r\nHost: web.example:8080\r\n" },
		{ "http HEAD / host=Other.example", SEND_PROXY_V1,
		  "PROXY UNKNOWN\r\nHEAD / HTTP/1.1\r\n", 32, "\r\nHost: Other.example\r\n" },
		{ "http GET /", SEND_PROXY_V2, local, 16, "\r\nConnection: close\r\n" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene scene;
		const char *text;

		(void)state;
		scene_begin(&scene, 0, rows[i].check, GOOD);
		scene.pool.send_proxy = rows[i].send_proxy;
		scene_run(&scene);
		leave_one(&scene);
		assert_true(loopback_until(scene.base, has_request, &scene));
		assert_memory_equal(scene.answerer.request, rows[i].start, rows[i].length);
		text = scene.answerer.request + (rows[i].send_proxy == SEND_PROXY_V2 ? 16 : 0);
		assert_non_null(strstr(text, rows[i].host));
		scene_end(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_row_changes_the_mind),
		cmocka_unit_test(test_a_broken_row_begins_anew),
		cmocka_unit_test(test_a_change_begins_anew),
		cmocka_unit_test(test_who_is_looked_at),
		cmocka_unit_test(test_closed_while_it_starts),
		cmocka_unit_test(test_a_starting_worker_is_heard),
		cmocka_unit_test(test_only_those_who_wait_to_be_found_are),
		cmocka_unit_test(test_a_successor_takes_the_belief_over),
		cmocka_unit_test(test_the_supervisors_word_counts),
		cmocka_unit_test(test_what_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
