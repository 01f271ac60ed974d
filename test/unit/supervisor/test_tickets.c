/* Why: ticket keys that differ between two relays cost every second client a full handshake, keys
 * that live too long cost all recorded traffic (FAULTS 70). SPDX-License-Identifier: ISC */
#include "field.h"

#include "supervisor/tickets.h"

static const char with_tls[] = "[listen:web]\nbind = 127.0.0.1:0\ntls = site\n"
			       "[tls:site]\ncertificate = /etc/a.pem\nkey = /etc/a.key\n"
			       "[pool:app]\nserver = 127.0.0.1:9\n";
static const char plain[] = "[listen:web]\nbind = 127.0.0.1:0\n[pool:app]\nserver = 127.0.0.1:9\n";

static const struct ticket_key none;

/* Worry: two relays have different keys. */
static void test_relays_share_them(void **state)
{
	struct message first;

	(void)state;
	field_begin(with_tls);
	field.s.tickets = tickets_new(&field.s);
	assert_non_null(field.s.tickets);
	tickets_introduce(field.s.tickets, &field.s.relays[0]);
	tickets_introduce(field.s.tickets, &field.s.relays[1]);
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_TICKETS);
	first = field.heard;
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_TICKETS);
	assert_memory_equal(&first.TICKETS, &field.heard.TICKETS, sizeof first.TICKETS);
	assert_memory_not_equal(&first.TICKETS.keys[0], &none, sizeof none);
	assert_memory_equal(&first.TICKETS.keys[1], &none, sizeof none); /* no second key yet */
	tickets_free(&field.s.tickets);
	field_end();
}

/* Worry: a rotation forgets the key of tickets that are minutes old, or keeps one for ever. */
static void test_rotation(void **state)
{
	struct ticket_key first;

	(void)state;
	field_begin(with_tls);
	field.s.tickets = tickets_new(&field.s);
	tickets_introduce(field.s.tickets, &field.s.relays[0]);
	field_hears(field.relays[0]);
	first = field.heard.TICKETS.keys[0];
	for (int place = 1; place < TICKET_KEYS; place++) {
		tickets_rotate(field.s.tickets);
		assert_int_equal(field_hears(field.relays[0]), MESSAGE_TICKETS);
		assert_memory_equal(&field.heard.TICKETS.keys[place], &first, sizeof first);
		assert_memory_not_equal(&field.heard.TICKETS.keys[0], &first, sizeof first);
	}
	tickets_rotate(field.s.tickets);
	field_hears(field.relays[0]);
	for (int place = 0; place < TICKET_KEYS; place++)
		assert_memory_not_equal(&field.heard.TICKETS.keys[place], &first, sizeof first);
	/* The acceptor has no use for them: no TLS ends in a worker here. */
	assert_int_equal(field_hears(field.acceptor), MESSAGE_INVALID);
	tickets_free(&field.s.tickets);
	field_end();
}

/* Worry: keys lie in memory where nobody needs any. */
static void test_none_without_tls(void **state)
{
	(void)state;
	field_begin(plain);
	field.s.tickets = tickets_new(&field.s);
	assert_null(field.s.tickets);
	tickets_introduce(field.s.tickets, &field.s.relays[0]);
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_INVALID);
	tickets_free(&field.s.tickets);
	field_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relays_share_them),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_none_without_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
