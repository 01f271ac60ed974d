/* Why: what relay 0 found out must reach every relay and its own successor, and a relay that was
 * taken over by an attacker must not be able to write where it likes (its words are numbers of
 * pools and slots). SPDX-License-Identifier: ISC */
#include "field.h"

#include <arpa/inet.h>

#include "supervisor/servers.h"

static const char text[] = "[listen:web]\nbind = 127.0.0.1:0\npool = far\n"
			   "[pool:far]\nserver = a.example:80\nserver = dns:b.example:80\n"
			   "[listen:near]\nbind = 127.0.0.1:0\npool = near\n"
			   "[pool:near]\ncommand = /bin/true\ndelivery = fd\ninstances = 2\n";

static void begin(void)
{
	field_begin(text);
	field.s.servers = servers_new(&field.s);
}

static void end(void)
{
	servers_free(&field.s.servers);
	field_end();
}

static struct message_server found(uint32_t slot, enum server_state state, const char *address)
{
	struct message_server server = { .pool = 0, .slot = slot, .state = state, .weight = 1000 };

	if (!address)
		return server;
	server.address.length = sizeof server.address.v4;
	server.address.v4.sin_family = AF_INET;
	server.address.v4.sin_port = htons(80);
	inet_pton(AF_INET, address, &server.address.v4.sin_addr);
	snprintf(server.name, sizeof server.name, "%s:80", address);
	return server;
}

static bool say(const struct message_server *server)
{
	const char *why = NULL;
	bool lawful = servers_found(field.s.servers, server, &why);

	assert_int_equal(lawful, why == NULL);
	return lawful;
}

/* Worry: relays disagree about where a server is, so that one client has two servers. */
static void test_all_relays_hear(void **state)
{
	struct message_server server = found(1, SERVER_PRESENT, "10.0.0.1");

	(void)state;
	begin();
	assert_true(say(&server));
	for (int i = 0; i < FIELD_RELAYS; i++) {
		assert_int_equal(field_hears(field.relays[i]), MESSAGE_SERVER);
		assert_memory_equal(&field.heard.SERVER, &server, sizeof server);
		assert_int_equal(field_hears(field.relays[i]), MESSAGE_INVALID);
	}
	assert_int_equal(field_hears(field.acceptor), MESSAGE_INVALID);
	end();
}

/* Worry: a relay that was started again knows no server, and asks the name server while clients
 * wait; or it believes that a bad one is good. */
static void test_successors_are_told(void **state)
{
	struct message_server first = found(0, SERVER_PRESENT, "10.0.0.1"),
			      gone = found(3, SERVER_LEAVING, "10.0.0.3");
	struct message_health bad = { .pool = 0, .slot = 3, .why = "it answers 500" };
	const char *why;

	(void)state;
	begin();
	assert_true(say(&first) && say(&gone));
	assert_true(servers_heard(field.s.servers, &bad, &why));
	field_drain(field.relays[1]);
	servers_introduce(field.s.servers, &field.s.relays[1]);
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_SERVER);
	assert_int_equal(field.heard.SERVER.slot, 0);
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_SERVER);
	assert_int_equal(field.heard.SERVER.state, SERVER_LEAVING);
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_SLOT_HEALTH);
	assert_string_equal(field.heard.SLOT_HEALTH.why, "it answers 500");
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_INVALID);
	assert_non_null(servers_at(field.s.servers, 0, 3));
	assert_null(servers_at(field.s.servers, 0, 7));
	end();
}

/* Worry: a server that moved to another machine inherits the bad name of the old one. */
static void test_a_new_address_is_good(void **state)
{
	struct message_server here = found(1, SERVER_PRESENT, "10.0.0.1"),
			      there = found(1, SERVER_PRESENT, "10.0.0.2");
	struct message_health bad = { .pool = 0, .slot = 1, .why = "it is silent" };
	const char *why;

	(void)state;
	begin();
	assert_true(say(&here));
	assert_true(servers_heard(field.s.servers, &bad, &why));
	field_drain(field.relays[0]);
	assert_true(say(&here)); /* the same again: nothing new about its health */
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_SERVER);
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_INVALID);
	assert_true(say(&there));
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_SERVER);
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_SLOT_HEALTH);
	assert_true(field.heard.SLOT_HEALTH.good);
	end();
}

/* Worry: a number out of range is an index into our memory, a text without end is read beyond. */
static void test_lies(void **state)
{
	struct message_server good = found(1, SERVER_PRESENT, "10.0.0.1"), lie;
	struct message_health health = { .pool = 0, .slot = 0, .good = 1 };
	const char *why;

	(void)state;
	begin();
	assert_true(say(&good));
	lie = good, lie.pool = 2, assert_false(say(&lie));
	lie = good, lie.pool = UINT32_MAX, assert_false(say(&lie));
	lie = good, lie.pool = 1, assert_false(say(&lie)); /* not proxied */
	lie = good, lie.slot = 65, assert_false(say(&lie));
	lie = good, lie.slot = UINT32_MAX, assert_false(say(&lie));
	lie = good, lie.state = 3, assert_false(say(&lie));
	lie = good, lie.weight = 2000000, assert_false(say(&lie));
	lie = good, lie.address.length = 3, assert_false(say(&lie));
	lie = good, lie.address.length = 0, assert_false(say(&lie));
	lie = good, lie.address.any.sa_family = AF_NETLINK, assert_false(say(&lie));
	lie = good, lie.address.any.sa_family = AF_UNIX, lie.address.length = 4096;
	assert_false(say(&lie));
	lie = good, memset(lie.name, 'x', sizeof lie.name), assert_false(say(&lie));
	health.slot = 65, assert_false(servers_heard(field.s.servers, &health, &why));
	health.slot = 0, health.pool = 1;
	assert_false(servers_heard(field.s.servers, &health, &why));
	health.pool = 0, memset(health.why, 'x', sizeof health.why);
	assert_false(servers_heard(field.s.servers, &health, &why));
	assert_non_null(why);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_relays_hear),
		cmocka_unit_test(test_successors_are_told),
		cmocka_unit_test(test_a_new_address_is_good),
		cmocka_unit_test(test_lies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
