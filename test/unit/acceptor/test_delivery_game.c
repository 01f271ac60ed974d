/* Why: no test thinks of every order of deaths, refusals, late answers and deadlines; a random game
 * of them does, and knows of each client who has him. SPDX-License-Identifier: ISC */
#include "field.h"

/* The random game: what is known of each client by his port, and of each worker. */
#define GAME_STEPS   10000
#define GAME_CLIENTS 4000

static struct {
	struct {
		int own;
		int owner; /* slot that has him, -1: none known */
		uint64_t generation;
		bool acknowledged;
	} clients[GAME_CLIENTS + 1];
	struct {
		struct limpet_client clients[GAME_CLIENTS];
		size_t count;
	} workers[FIELD_SLOTS];
	unsigned came, acknowledged;
} game;

static void game_receive(size_t slot)
{
	struct limpet_client client;
	uint16_t port = field.far[slot] < 0 ? 0 : field_receive(slot, &client);

	if (port == 0)
		return;
	assert_false(game.clients[port].acknowledged); /* served already */
	assert_int_equal(game.clients[port].owner,
			 -1); /* with a worker that lives or was not reaped */
	game.clients[port].owner = (int)slot;
	game.clients[port].generation = field.generation[slot];
	game.workers[slot].clients[game.workers[slot].count++] = client;
}

/* The worker answers one of those that it has. */
static void game_answer(size_t slot, bool acknowledge)
{
	size_t count = game.workers[slot].count, i = count ? (size_t)random() % count : 0;
	struct limpet_client *client = &game.workers[slot].clients[i];
	struct sockaddr_in peer;
	uint16_t port;

	if (count == 0 || field.far[slot] < 0)
		return;
	memcpy(&peer, &client->peer, sizeof peer);
	port = ntohs(peer.sin_port);
	fd_close(&client->fd);
	if (acknowledge) {
		assert_int_equal(limpet_worker_accept(field.far[slot], client->id), 0);
		game.clients[port].acknowledged = true;
		game.acknowledged++;
	} else {
		game.clients[port].owner = -1;
		assert_int_equal(limpet_worker_refuse(field.far[slot], client->id, LIMPET_BUSY), 0);
	}
	*client = game.workers[slot].clients[--game.workers[slot].count];
}

/* The process dies; what it had is with nobody only when it was reaped. */
static void game_die(size_t slot)
{
	while (game.workers[slot].count > 0)
		fd_close(&game.workers[slot].clients[--game.workers[slot].count].fd);
	fd_close(&field.far[slot]);
}

static void game_reap(size_t slot)
{
	game_die(slot);
	for (size_t i = 1; i <= game.came; i++) {
		if (game.clients[i].owner == (int)slot)
			game.clients[i].owner = -1;
	}
	field_slot_end(slot, random() % 3 ? ROUTE_WAIT : ROUTE_CLOSED);
}

static void game_step(void)
{
	static const enum slot_route routes[] = { ROUTE_OPEN, ROUTE_OPEN, ROUTE_WAIT,
						  ROUTE_CLOSED };
	size_t slot = (size_t)random() % FIELD_SLOTS;
	bool is_empty = field_seat(slot)->state == SEAT_EMPTY;
	long move = random() % 100;

	if (move < 30 && game.came < GAME_CLIENTS) {
		game.came++;
		game.clients[game.came].owner = -1;
		game.clients[game.came].own =
			field_client((unsigned)random() % 50 + 1, (uint16_t)game.came);
	} else if (move < 60) {
		game_receive(slot);
	} else if (move < 80) {
		game_answer(slot, true);
	} else if (move < 84) {
		game_answer(slot, false);
	} else if (move < 86) {
		game_die(slot);
	} else if (move < 89 && !is_empty) {
		game_reap(slot);
	} else if (move < 93 && is_empty) {
		field_open(slot);
	} else if (move < 95 && !is_empty) {
		field_state(slot, routes[random() % 4], random() % 20 == 0);
	} else {
		event_base_loop(field.base, EVLOOP_NONBLOCK);
	}
}

/* New workers for every slot, and everybody is served. */
static void game_finish(void)
{
	for (size_t slot = 0; slot < FIELD_SLOTS; slot++) {
		if (field_seat(slot)->state != SEAT_EMPTY)
			game_reap(slot);
		field_open(slot);
	}
	const int64_t deadline = clock_now_ms() + FIELD_PATIENCE_MS;
	while (delivery_unfinished(field.delivery) > 0 && clock_now_ms() < deadline) {
		for (size_t slot = 0; slot < FIELD_SLOTS; slot++) {
			game_receive(slot);
			game_answer(slot, true);
		}
		event_base_loop(field.base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(delivery_unfinished(field.delivery), 0);
}

/* Worry: in some order of deaths, refusals and late answers a client is served twice, or not at
 * all. */
static void play(const char *options, unsigned seed)
{
	uint64_t ended = 0;

	memset(&game, 0, sizeof game);
	srandom(seed);
	field_begin(FIELD_SLOTS, options);
	for (int i = 0; i < GAME_STEPS; i++)
		game_step();
	game_finish();
	for (int reason = 0; reason < END_REASONS_COUNT; reason++)
		ended += field_counted((enum counter)(COUNTER_ENDED_HANDED_OVER + reason));
	assert_int_equal(ended, game.came);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), game.acknowledged);
	assert_true(game.acknowledged > game.came / 8);
	assert_true(field_counted(COUNTER_RESENT) > 0 && field_counted(COUNTER_REFUSED) > 0);
	assert_int_equal(field_counted(COUNTER_LATE_ACKS), 0);
	assert_int_equal(field_counted(COUNTER_BAD_RECORDS), 0);
	field_over();
	for (unsigned i = 1; i <= game.came; i++) {
		assert_true(field_is_closed(game.clients[i].own));
		fd_close(&game.clients[i].own);
	}
}

static void test_ten_thousand_steps(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 3; seed++) {
		play("on_down = hold\nqueue_timeout = 1h\nmax_queue = 1000\nstall_timeout = 0",
		     seed);
		play("on_down = hold\nqueue_timeout = 5ms\nmax_queue = 4\nstall_timeout = 3ms",
		     seed);
		play("on_down = failover\nqueue_timeout = 50ms\nmax_queue = 20\nstall_timeout = "
		     "5ms",
		     seed);
	}
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_thousand_steps),
	};

	field_all_descriptors();
	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
