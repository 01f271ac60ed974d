/* Why: decrypted clients must reach the workers as any others do, and a relay that breaks the rules
 * must cost nobody but itself. SPDX-License-Identifier: ISC */
#include "field.h"

#include "acceptor/gifts.h"
#include "wire/gift.h"

#define LISTENER 41

static struct gifts *gifts;
static int relay[2]; /* the relays' ends of their links */

static void link_relay(uint32_t number)
{
	int pair[2];

	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	gifts_link(gifts, number, &pair[0]);
	assert_int_equal(pair[0], -1);
	fd_close(&relay[number]);
	relay[number] = pair[1];
}

static void begin(void)
{
	struct message_listener what = { .id = LISTENER, .use = LISTENER_KNOWN };

	field_begin(1, "");
	field_open(0);
	gifts = gifts_new(field.base, field.config, delivery_take, field.delivery);
	what.local = field.config->listens[0].bind.items[0];
	gifts_listener(gifts, &what, &field.config->listens[0]);
	relay[0] = relay[1] = -1;
	link_relay(0);
	link_relay(1);
}

static void over(void)
{
	assert_int_equal(client_count(), 0); /* they name the listeners of the gifts */
	gifts_free(&gifts);
	assert_null(gifts);
	fd_close(&relay[0]);
	fd_close(&relay[1]);
	field_over();
}

static struct gift gift_from(uint16_t port)
{
	struct gift gift = { .listener = LISTENER };

	gift.passport.from = field_peer(5, port);
	gift.passport.to = field_peer(9, 443);
	gift.passport.is_tls = true;
	snprintf(gift.passport.tls_version, sizeof gift.passport.tls_version, "TLSv1.3");
	snprintf(gift.passport.alpn, sizeof gift.passport.alpn, "http/1.1");
	snprintf(gift.passport.server_name, sizeof gift.passport.server_name, "www.example.org");
	return gift;
}

/* Returns the relay's end of the pair. */
static int give(uint32_t number, const struct gift *gift)
{
	int pair[2];

	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(gift_send(relay[number], gift, pair[0]), GIFT_DONE);
	fd_close(&pair[0]);
	return pair[1];
}

/* Worry: the worker sees the relay's address, hears nothing of the TLS, or gets no client at all.
 */
static void test_a_gift_reaches_the_worker(void **state)
{
	const struct gift gift = gift_from(4242);
	struct limpet_client client;
	struct sockaddr_in local;
	char byte;
	int own;

	(void)state;
	begin();
	own = give(0, &gift);
	field_turn();
	assert_int_equal(field_receive(0, &client), 4242);
	assert_true(client.is_tls && !client.is_verified);
	assert_string_equal(client.tls_version, "TLSv1.3");
	assert_string_equal(client.alpn, "http/1.1");
	assert_string_equal(client.server_name, "www.example.org");
	memcpy(&local, &client.local, sizeof local);
	assert_int_equal(ntohs(local.sin_port), 443);
	assert_int_equal(limpet_worker_accept(field.far[0], client.id), 0);
	field_turn();
	assert_int_equal(send(client.fd, "y", 1, 0), 1);
	assert_int_equal(recv(own, &byte, 1, 0), 1);
	fd_close(&client.fd);
	assert_true(field_is_closed(own)); /* no copy is left with us */
	assert_int_equal(field_counted(COUNTER_ENDED_HANDED_OVER), 1);
	assert_int_equal(field_counted(COUNTER_ACCEPTED), 0); /* not a second time */
	fd_close(&own);
	over();
}

/* Worry: one relay's flood starves the workers' answers and the other relays. */
static void test_a_flood_is_cut_into_turns(void **state)
{
	static int own[150];
	const struct gift gift = gift_from(7);

	(void)state;
	begin();
	for (int i = 0; i < 150; i++)
		own[i] = give(0, &gift);
	event_base_loop(field.base, EVLOOP_ONCE);
	assert_in_range(client_count(), 1, 64);
	for (int i = 0; i < 150; i++)
		assert_int_equal(field_serve(0), 7);
	for (int i = 0; i < 150; i++)
		fd_close(&own[i]);
	over();
}

/* Worry: nonsense of one relay is believed, or ends the service of the others. */
static void test_a_faulty_relay_costs_itself(void **state)
{
	static const struct {
		uint32_t listener, pool;
	} wrong[] = { { LISTENER + 1, 0 }, { LISTENER, 1 }, { LISTENER, UINT32_MAX } };
	struct gift gift;
	int own;

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		gift = gift_from(1);
		gift.listener = wrong[i].listener;
		gift.pool = wrong[i].pool;
		own = give(0, &gift);
		field_turn();
		assert_true(field_is_closed(own));
		fd_close(&own);
		assert_int_equal(gifts_links(gifts), 1);
		link_relay(0);
	}
	assert_int_equal(send(relay[0], "x", 1, 0), 1);
	field_turn();
	assert_int_equal(gifts_links(gifts), 1);
	assert_int_equal(client_count(), 0);
	gift = gift_from(6);
	own = give(1, &gift);
	field_turn();
	assert_int_equal(field_serve(0), 6);
	fd_close(&own);
	over();
}

/* Worry: a client for a pool that workers do not share is given to nobody, for ever. */
static void test_a_proxied_pool_gets_none(void **state)
{
	const struct gift gift = gift_from(1);
	int own;

	(void)state;
	begin();
	field.config->pools[0].proxied = true;
	own = give(0, &gift);
	field_turn();
	assert_true(field_is_closed(own));
	assert_int_equal(gifts_links(gifts), 1);
	fd_close(&own);
	over();
}

/* Worry: a relay's death leaves a descriptor or a busy loop behind, or its successor is not heard.
 */
static void test_a_relay_comes_again(void **state)
{
	const struct gift gift = gift_from(8);
	int own;

	(void)state;
	begin();
	fd_close(&relay[0]);
	field_turn();
	assert_int_equal(gifts_links(gifts), 1);
	link_relay(0);
	link_relay(1); /* the old one still open */
	assert_int_equal(gifts_links(gifts), 2);
	for (uint32_t number = 0; number < 2; number++) {
		own = give(number, &gift);
		field_turn();
		assert_int_equal(field_serve(0), 8);
		fd_close(&own);
	}
	over();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_gift_reaches_the_worker),
		cmocka_unit_test(test_a_flood_is_cut_into_turns),
		cmocka_unit_test(test_a_faulty_relay_costs_itself),
		cmocka_unit_test(test_a_proxied_pool_gets_none),
		cmocka_unit_test(test_a_relay_comes_again),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
