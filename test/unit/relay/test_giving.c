/* Why: a decrypted client reaches the acceptor as one end of a pair, with all that is known of him,
 * or waits while there is no acceptor. TLS itself is not needed for that: any client of a pool that
 * gets sockets goes this way. SPDX-License-Identifier: ISC */
#include "relay_field.h"

#include "wire/gift.h"

static void begin(struct field *f, int *link_r, bool linked)
{
	int pair[2];

	field_begin(f,
		    "[listen:b]\nbind = 127.0.0.1:8\npool = sockets\n[pool:sockets]\ncommand = "
		    "/bin/true\ndelivery = fd\nqueue_timeout = 200ms\n",
		    7);
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	*link_r = pair[0];
	if (linked)
		streams_gifts(f->streams, &pair[1]);
	fd_close(&pair[1]);
	f->listener.id = 77;
	f->listener.pool = 1;
}

/* Worry: the worker's end does not lead to the client, or the client is somebody else. */
static void test_given(void **state)
{
	const uint64_t given = counter_get(COUNTER_GIFTS);
	struct traffic up, down;
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	struct gift gift;
	struct field f;
	int link, client, worker;

	(void)state;
	begin(&f, &link, true);
	client = field_client(&f, 6);
	assert_int_equal(getsockname(client, (struct sockaddr *)&from, &length), 0);
	assert_int_equal(gift_receive(link, &gift, &worker), 1);
	assert_int_equal(gift.listener, 77);
	assert_int_equal(gift.pool, 1);
	assert_int_equal(gift.passport.from.v4.sin_addr.s_addr, from.sin_addr.s_addr);
	assert_int_equal(gift.passport.from.v4.sin_port, from.sin_port);
	assert_int_equal(ntohs(gift.passport.to.v4.sin_port), address_port(&f.door_at));
	assert_int_equal(counter_get(COUNTER_GIFTS), given + 1);
	up = (struct traffic){ .from = client, .to = worker, .size = 300000 };
	down = (struct traffic){ .from = worker, .to = client, .size = 3000000 };
	assert_true(loopback_until(f.base, traffic_has_come, &up));
	assert_true(loopback_until(f.base, traffic_has_come, &down));
	fd_close(&worker);
	assert_true(loopback_until(f.base, traffic_is_over, &down));
	assert_int_equal(down.error, 0);
	fd_close(&client);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	fd_close(&link);
	field_end(&f);
}

static bool has_come(void *arg)
{
	int *link = arg;
	struct gift gift;
	int worker = -1;
	const int n = gift_receive(*link, &gift, &worker);

	fd_close(&worker);
	return n == 1;
}

/* Worry: while the acceptor is being started again clients are lost, or wait for ever. */
static void test_no_acceptor(void **state)
{
	const uint64_t late = counter_get(COUNTER_ENDED_NO_WORKER);
	struct field f;
	int link, client, pair[2];

	(void)state;
	begin(&f, &link, true);
	fd_close(&link); /* it died */
	client = field_client(&f, 6);
	assert_int_equal(f.last->state, STREAM_GIVING);
	assert_int_equal(counter_get(COUNTER_HELD), 1);
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	streams_gifts(f.streams, &pair[1]);
	assert_true(loopback_until(f.base, has_come, &pair[0]));
	assert_int_equal(counter_get(COUNTER_HELD), 0);
	fd_close(&client);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	fd_close(&pair[0]);

	client = field_client(&f, 6);
	assert_true(loopback_until(f.base, field_is_empty, &f));
	assert_int_equal(counter_get(COUNTER_ENDED_NO_WORKER), late + 1);
	assert_true(loopback_is_closed(client));
	fd_close(&client);
	field_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_no_acceptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
