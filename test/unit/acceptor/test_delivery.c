/* Why: no client may be with two workers, none may be lost by a worker's death, and none may wait
 * for ever: this is the promise of the program, and here it is tried to be broken.
 * SPDX-License-Identifier: ISC */
#include "field.h"

/* Worry: the same client is sometimes with another worker. */
static void test_pinned(void **state)
{
	unsigned seen[4] = { 0 };

	(void)state;
	field_begin(4, "");
	for (size_t slot = 0; slot < 4; slot++)
		field_open(slot);
	for (unsigned address = 1; address <= 60; address++) {
		size_t home = field_choice(address, 0);

		for (uint16_t i = 1; i <= 3; i++) {
			int own = field_client(address, (uint16_t)(address * 10 + i));

			assert_int_equal(field_serve(home), address * 10 + i);
			assert_true(field_is_closed(
				own)); /* our copy is closed with the acknowledgement */
			fd_close(&own);
		}
		seen[home]++;
	}
	for (size_t slot = 0; slot < 4; slot++)
		assert_true(seen[slot] > 0);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 180);
	assert_int_equal(field_counted(COUNTER_REROUTED), 0);
	assert_int_equal(field_counted(COUNTER_LATE_ACKS), 0);
	field_over();
}

/* Worry: the clients of a dying worker go to another one while it may still serve them. */
static void test_orphans_move_after_the_end_only(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own = field_client(address, 7);
	fd_close(&field.far[0]); /* its link is closed, but it was not reaped */
	field_turn();
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(delivery_unfinished(field.delivery), 1);
	field_slot_end(0, ROUTE_CLOSED);
	assert_int_equal(field_serve(1), 7);
	assert_int_equal(field_counted(COUNTER_RESENT), 1);
	assert_int_equal(field_counted(COUNTER_REROUTED), 1);
	fd_close(&own);
	field_over();
}

/* Worry: a client is served twice because the acknowledgement of a dead worker lay unread in the
 * link. */
static void test_late_acknowledgements_count(void **state)
{
	struct limpet_client first;
	unsigned address;
	int own[3];

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	for (uint16_t i = 0; i < 3; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_int_equal(field_receive(0, &first), 1);
	assert_int_equal(limpet_worker_accept(field.far[0], first.id), 0);
	fd_close(&first.fd);
	/* It dies with two records unread: the kernel says ECONNRESET before it gives out the
	 * answer. */
	field_slot_end(0, ROUTE_CLOSED);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	assert_int_equal(field_serve(1), 2);
	assert_int_equal(field_serve(1), 3);
	assert_int_equal(field_serve(1), 0);
	for (int i = 0; i < 3; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: the same, and a new client came meanwhile: sending to the dead link must not cost its last
 * words. */
static void test_late_acknowledgements_count_after_a_broken_send(void **state)
{
	struct limpet_client first;
	unsigned address;
	int own[3];

	(void)state;
	field_begin(2, "on_down = failover");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	own[1] = field_client(address, 2);
	assert_int_equal(field_receive(0, &first), 1);
	assert_int_equal(limpet_worker_accept(field.far[0], first.id), 0);
	fd_close(&first.fd);
	fd_close(&field.far[0]);
	own[2] = field_client(address, 3);
	field_slot_end(0, ROUTE_CLOSED);
	field_turn();
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	for (uint16_t seen = 0, i = 0; i < 2; i++) {
		uint16_t port = field_serve(1);

		assert_true((port == 2 || port == 3) && port != seen);
		seen = port;
	}
	assert_int_equal(field_serve(1), 0);
	for (int i = 0; i < 3; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: on_down = hold moves clients, or forgets them, or mixes their order. */
static void test_hold(void **state)
{
	unsigned address;
	int own[4];

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	own[1] = field_client(address, 2);
	field_slot_end(0, ROUTE_WAIT);
	own[2] = field_client(address, 3); /* between two generations */
	field_slot_begin(0);
	own[3] = field_client(address, 4); /* it starts */
	field_turn();
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(field_serve(0), 0);
	assert_int_equal(counter_get(COUNTER_HELD), 4);
	field_state(0, ROUTE_OPEN, false);
	for (uint16_t i = 1; i <= 4; i++)
		assert_int_equal(field_serve(0), i);
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	assert_int_equal(field_counted(COUNTER_REROUTED), 0);
	for (int i = 0; i < 4; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: clients wait for a slot that will not come back. */
static void test_hold_ends_when_the_slot_is_given_up(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	field_slot_end(0, ROUTE_WAIT);
	own = field_client(address, 1);
	assert_int_equal(field_serve(1), 0);
	field_state(0, ROUTE_CLOSED, false);
	assert_int_equal(field_serve(1), 1);
	fd_close(&own);
	field_over();
}

/* Worry: on_down = failover waits, or clients do not return to their slot. */
static void test_failover(void **state)
{
	unsigned address;
	int own;

	(void)state;
	field_begin(3, "on_down = failover\nqueue_timeout = 1h");
	for (size_t slot = 0; slot < 3; slot++)
		field_open(slot);
	address = field_address_of(0, 0);
	field_slot_end(0, ROUTE_WAIT);
	own = field_client(address, 1);
	assert_int_equal(field_serve(field_choice(address, 1)), 1);
	fd_close(&own);
	field_slot_begin(0);
	own = field_client(address, 2);
	assert_int_equal(field_serve(field_choice(address, 1)), 2);
	fd_close(&own);
	field_state(0, ROUTE_OPEN, false);
	own = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	fd_close(&own);
	/* With nobody at all he waits for whoever comes first. */
	for (size_t slot = 0; slot < 3; slot++)
		field_slot_end(slot, ROUTE_WAIT);
	own = field_client(address, 4);
	field_open(2);
	assert_int_equal(field_serve(2), 4);
	fd_close(&own);
	field_over();
}

/* Worry: the 257th unacknowledged client overwrites the first, is lost, or overtakes. */
static void test_full_window_waits(void **state)
{
	static int own[400];
	unsigned address;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h\nstall_timeout = 0");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	for (uint16_t i = 0; i < 400; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_true(field_seat(0)->in_flight <= SEAT_WINDOW);
	assert_int_equal(field_seat(0)->in_flight + field_seat(0)->waiting_count, 400);
	for (uint16_t i = 1; i <= 400; i++)
		assert_int_equal(field_serve(0), i);
	assert_int_equal(field_serve(1), 0);
	assert_int_equal(delivery_unfinished(field.delivery), 0);
	for (int i = 0; i < 400; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a queue grows without end. */
static void test_max_queue(void **state)
{
	static int own[300];
	unsigned address, held;
	size_t next;
	uint16_t i;

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 1h\nmax_queue = 10");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	field_state(0, ROUTE_WAIT, false);
	for (i = 0; i < 12; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	assert_int_equal(field_seat(0)->waiting_count, 10);
	assert_int_equal(field_serve(next), 11);
	assert_int_equal(field_serve(next), 12);
	/* And when the next one is full too, he is held by the pool, and at last turned away. */
	field_state(next, ROUTE_WAIT, false);
	for (; i < 42; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	held = delivery_unfinished(field.delivery);
	assert_int_equal(held, 30);
	assert_int_equal(field_counted(COUNTER_ENDED_QUEUE_FULL), 10);
	while (i > 0)
		fd_close(&own[--i]);
	field_over();
	assert_int_equal(counter_get(COUNTER_ENDED_SHUTDOWN) > 0, 1);
}

/* Worry: a worker that refuses is asked again at once, for ever, or its client is lost. */
static void test_refusal(void **state)
{
	struct limpet_client client;
	unsigned address;
	size_t next;
	int own[2];

	(void)state;
	field_begin(2, "queue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	own[0] = field_client(address, 1);
	assert_int_equal(field_receive(0, &client), 1);
	fd_close(&client.fd);
	assert_int_equal(limpet_worker_refuse(field.far[0], client.id, LIMPET_BUSY), 0);
	field_turn();
	assert_int_equal(field_counted(COUNTER_REFUSED), 1);
	assert_int_equal(field_serve(next), 1);
	assert_true(field_seat(0)->refusing_until_ms > field_seat(0)->progress_ms);
	own[1] = field_client(address, 2);
	if (clock_now_ms() < field_seat(0)->refusing_until_ms) {
		assert_int_equal(field_serve(next), 2);
		field_until(clock_now_ms() >= field_seat(0)->refusing_until_ms);
	} else {
		assert_int_equal(field_serve(0), 2); /* this machine is slow: the pause was over */
	}
	fd_close(&own[1]);
	own[1] = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: everybody refuses (or lost the descriptor), and the client is thrown from one to the other
 * until the processor is hot; or is given up although a worker recovers. */
static void test_everybody_refuses(void **state)
{
	struct limpet_client client;
	int own;

	(void)state;
	field_begin(2, "queue_timeout = 1h");
	field_open(0);
	field_open(1);
	own = field_client(1, 1);
	for (unsigned rank = 0; rank < 2; rank++) {
		size_t slot = field_choice(1, rank);

		assert_int_equal(field_receive(slot, &client), 1);
		fd_close(&client.fd);
		assert_int_equal(
			limpet_worker_refuse(field.far[slot], client.id, LIMPET_NOT_ARRIVED), 0);
		field_turn();
	}
	assert_int_equal(field_counted(COUNTER_NACKS), 2);
	assert_int_equal(delivery_unfinished(field.delivery), 1);
	field_until(field_serve(0) == 1 || field_serve(1) == 1);
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	fd_close(&own);
	field_over();
}

/* Worry: a stopped worker (SIGSTOP) holds its clients though failover was asked for, or never gets
 * any again. */
static void test_stall(void **state)
{
	unsigned address;
	size_t next;
	int own[4];

	(void)state;
	field_begin(2, "on_down = failover\nstall_timeout = 30ms\nqueue_timeout = 1h");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	next = field_choice(address, 1);
	own[0] = field_client(address, 1);
	field_until(field_seat(0)->stalled);
	assert_int_equal(field_counted(COUNTER_STALLS), 1);
	own[1] = field_client(address, 2);
	assert_int_equal(field_serve(next), 2);
	assert_int_equal(field_serve(0), 1); /* it was always his: he was not sent twice */
	assert_false(field_seat(0)->stalled);
	own[2] = field_client(address, 3);
	assert_int_equal(field_serve(0), 3);
	own[3] = -1;
	for (int i = 0; i < 4; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: with hold the stopped worker's clients wait beyond queue_timeout. */
static void test_stall_with_hold(void **state)
{
	unsigned address;
	int own[2];

	(void)state;
	field_begin(2, "on_down = hold\nstall_timeout = 10ms\nqueue_timeout = 150ms");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	field_until(field_seat(0)->stalled);
	own[1] = field_client(address,
			      2); /* waits, or is sent; never elsewhere before the deadline */
	field_until(field_serve(field_choice(address, 1)) == 2 || field_seat(0)->in_flight == 2);
	if (field_seat(0)->in_flight == 2)
		assert_int_equal(field_serve(0), 1);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: clients of a pool without workers wait for ever. */
static void test_queue_timeout(void **state)
{
	int own[2];

	(void)state;
	field_begin(2, "on_down = hold\nqueue_timeout = 20ms");
	own[0] = field_client(1, 1); /* nobody is expected */
	field_state(0, ROUTE_WAIT, false);
	own[1] = field_client(field_address_of(0, 1),
			      2); /* for one that is expected and does not come */
	field_until(client_count() == 0);
	assert_int_equal(field_counted(COUNTER_ENDED_NO_WORKER), 2);
	assert_true(field_is_closed(own[0]) && field_is_closed(own[1]));
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

/* Worry: the queue of a worker whose window is full and that says nothing is never left. */
static void test_queue_timeout_behind_a_full_window(void **state)
{
	static int own[300];
	unsigned address;
	uint16_t i;

	(void)state;
	field_begin(1, "on_down = hold\nqueue_timeout = 40ms\nstall_timeout = 0");
	field_open(0);
	address = field_address_of(0, 0);
	for (i = 0; i < 300; i++)
		own[i] = field_client(address, (uint16_t)(i + 1));
	field_until(field_seat(0)->waiting_count == 0 && field_counted(COUNTER_HELD) == 0);
	assert_int_equal(field_counted(COUNTER_ENDED_NO_WORKER), 300 - field_seat(0)->in_flight);
	assert_true(field_seat(0)->in_flight > 0);
	for (i = 0; i < 300; i++)
		fd_close(&own[i]);
	field_over();
}

/* Worry: a drained worker gets clients, or loses its voice. */
static void test_drain(void **state)
{
	struct limpet_client client;
	unsigned address;
	int own[2];

	(void)state;
	field_begin(2, "");
	field_open(0);
	field_open(1);
	address = field_address_of(0, 0);
	own[0] = field_client(address, 1);
	field_state(0, ROUTE_CLOSED, true);
	assert_int_equal(field_seat(0)->state, SEAT_LEAVING);
	own[1] = field_client(address, 2);
	assert_int_equal(field_serve(field_choice(address, 1)), 2);
	assert_int_equal(field_serve(0), 1); /* what was on its way arrives, and is acknowledged */
	assert_int_equal(limpet_worker_receive(field.far[0], &client), 0); /* then the end */
	assert_int_equal(delivery_unfinished(field.delivery), 0);
	field_state(0, ROUTE_OPEN, false); /* no way back for this generation */
	assert_int_equal(field_seat(0)->state, SEAT_LEAVING);
	fd_close(&own[0]);
	fd_close(&own[1]);
	field_over();
}

static void on_idle(void *arg)
{
	*(bool *)arg = true;
}

/* Worry: the stop does not wait for clients in our hands, or waits for ever. */
static void test_stop(void **state)
{
	bool is_idle = false;
	int own;

	(void)state;
	field_begin(1, "");
	field_open(0);
	own = field_client(1, 1);
	delivery_stop(field.delivery, on_idle, &is_idle);
	field_turn();
	assert_false(is_idle);
	assert_int_equal(field_serve(0), 1);
	field_until(is_idle);
	assert_int_equal(delivery_links(field.delivery), 1);
	delivery_drain_all(field.delivery);
	fd_close(&field.far[0]);
	field_turn();
	assert_int_equal(delivery_links(field.delivery), 0);
	fd_close(&own);
	field_over();
}

/* Worry: a refusal that is found only while everything is torn down puts a client into a queue that
 * nobody looks at any more. */
static void test_refusal_at_the_end(void **state)
{
	struct limpet_client client;
	unsigned address;
	int own;

	(void)state;
	field_begin(3, "queue_timeout = 1h");
	for (size_t slot = 0; slot < 3; slot++)
		field_open(slot);
	address = field_address_of(2, 0);
	own = field_client(address, 1);
	assert_int_equal(field_receive(2, &client), 1);
	fd_close(&client.fd);
	assert_int_equal(limpet_worker_refuse(field.far[2], client.id, LIMPET_BUSY), 0);
	field_over(); /* nothing was read before */
	assert_int_equal(field_counted(COUNTER_ENDED_SHUTDOWN), 1);
	fd_close(&own);
}

/* Worry: words about another generation, or about no slot, are obeyed. */
static void test_old_words(void **state)
{
	struct message_slot_state state_word = { .route = ROUTE_CLOSED, .generation = 7 };
	struct message_slot_end end_word = { .generation = 7, .route = ROUTE_CLOSED };

	(void)state;
	field_begin(2, "");
	field_open(0);
	delivery_slot_state(field.delivery, &state_word);
	delivery_slot_end(field.delivery, &end_word);
	assert_int_equal(field_seat(0)->state, SEAT_UP);
	state_word.slot = 2;
	end_word.pool = 9;
	delivery_slot_state(field.delivery, &state_word);
	delivery_slot_end(field.delivery, &end_word);
	assert_null(delivery_seat(field.delivery, 0, 2));
	assert_null(delivery_seat(field.delivery, 1, 0));
	field_over();
}

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
		cmocka_unit_test(test_pinned),
		cmocka_unit_test(test_orphans_move_after_the_end_only),
		cmocka_unit_test(test_late_acknowledgements_count),
		cmocka_unit_test(test_late_acknowledgements_count_after_a_broken_send),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_hold_ends_when_the_slot_is_given_up),
		cmocka_unit_test(test_failover),
		cmocka_unit_test(test_full_window_waits),
		cmocka_unit_test(test_max_queue),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_everybody_refuses),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_stall_with_hold),
		cmocka_unit_test(test_queue_timeout),
		cmocka_unit_test(test_queue_timeout_behind_a_full_window),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_refusal_at_the_end),
		cmocka_unit_test(test_old_words),
		cmocka_unit_test(test_ten_thousand_steps),
	};

	field_all_descriptors();
	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
