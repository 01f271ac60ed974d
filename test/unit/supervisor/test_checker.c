/* Why: a check that is the user's program can fail, hang, flood and leave children; whatever it
 * does, a slot is judged by rise and fall and nothing is left over. SPDX-License-Identifier: ISC */
#include "field.h"

#include "scratch.h"

#include "supervisor/checker.h"
#include "supervisor/servers.h"

/* Long enough for a program on a busy machine. */
#define SLOW "check_interval = 300ms\ncheck_timeout = 300ms\n"

/* `more` are further lines of a pool with one server, checked by this command. */
static void begin(const char *command, const char *more)
{
	struct message_server server = { .pool = 0, .slot = 0, .state = SERVER_PRESENT };
	char text[1024];
	const char *why;

	snprintf(text, sizeof text,
		 "[listen:web]\nbind = 127.0.0.1:0\n[pool:far]\nserver = 127.0.0.1:81 name=one\n"
		 "check = exec %s\n%s\n",
		 command, more);
	field_begin(text);
	field.s.state = RUNNING;
	field.s.servers = servers_new(&field.s);
	server.address = field.s.config->listens[0].bind.items[0];
	snprintf(server.name, sizeof server.name, "one");
	assert_true(servers_found(field.s.servers, &server, &why));
	field_drain(field.relays[0]);
	field.s.checker = checker_new(&field.s);
}

static void end(void)
{
	checker_free(&field.s.checker);
	servers_free(&field.s.servers);
	field_end();
}

static bool hears_health(void)
{
	for (int i = 0; i < 3000; i++) {
		if (field_hears(field.relays[0]) == MESSAGE_SLOT_HEALTH)
			return true;
		event_base_loop(field.s.base, EVLOOP_ONCE);
	}
	return false;
}

/* Worry: one unlucky check closes a server, or a bad one comes back by one lucky check. */
static void test_rise_and_fall(void **state)
{
	bool is_good = true;
	unsigned streak = 0;

	(void)state;
	assert_false(checker_count(&is_good, &streak, false, 2, 3));
	assert_false(checker_count(&is_good, &streak, false, 2, 3));
	assert_false(checker_count(&is_good, &streak, true, 2, 3)); /* from the beginning */
	assert_false(checker_count(&is_good, &streak, false, 2, 3));
	assert_false(checker_count(&is_good, &streak, false, 2, 3));
	assert_true(checker_count(&is_good, &streak, false, 2, 3));
	assert_false(is_good);
	assert_false(checker_count(&is_good, &streak, true, 2, 3));
	assert_true(checker_count(&is_good, &streak, true, 2, 3));
	assert_true(is_good);
}

/* Worry: the program does not learn which server it is asked about, or its answer is lost. */
static void test_it_decides(void **state)
{
	char command[300];

	scratch_begin(state);
	snprintf(command, sizeof command,
		 "/bin/sh -c 'test \"$LIMPET_POOL/$LIMPET_SLOT\" = far/0 && "
		 "test \"$LIMPET_ADDRESS\" = 127.0.0.1:0 && test -e %s/up'",
		 scratch);
	scratch_write(in_scratch("up"), "", 0644);
	begin(command, SLOW "check_fall = 2\ncheck_rise = 2");
	for (int i = 0; i < 4; i++)
		event_base_loop(field.s.base, EVLOOP_ONCE);
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_INVALID); /* good, as believed */
	unlink(in_scratch("up"));
	assert_true(hears_health());
	assert_false(field.heard.SLOT_HEALTH.good);
	assert_string_equal(field.heard.SLOT_HEALTH.why, "exited with code 1");
	scratch_write(in_scratch("up"), "", 0644);
	assert_true(hears_health());
	assert_true(field.heard.SLOT_HEALTH.good);
	end();
	scratch_end(state);
}

/* Worry: a check that hangs is waited for, or leaves its children behind. */
static void test_it_hangs(void **state)
{
	(void)state;
	begin("/bin/sh -c 'sleep 100 & sleep 100'",
	      "check_fall = 1\ncheck_interval = 50ms\ncheck_timeout = 30ms");
	assert_true(hears_health());
	assert_false(field.heard.SLOT_HEALTH.good);
	assert_string_equal(field.heard.SLOT_HEALTH.why, "it took longer than check_timeout");
	end();
}

/* Worry: a program that is not there says nothing about the server, and nobody is told. */
static void test_it_is_not_there(void **state)
{
	(void)state;
	begin("/nowhere/check", SLOW "check_fall = 1");
	assert_true(hears_health());
	assert_false(field.heard.SLOT_HEALTH.good);
	assert_non_null(strstr(field.heard.SLOT_HEALTH.why, "No such file"));
	assert_non_null(strstr(field.log, "its check failed"));
	end();
}

/* Worry: the server's successor at another address fails too, but the checker thinks that it has
 * said so already. */
static void test_its_successor_is_bad_too(void **state)
{
	struct message_server moved;
	const char *why;

	(void)state;
	begin("/bin/false", SLOW "check_fall = 1");
	assert_true(hears_health());
	assert_false(field.heard.SLOT_HEALTH.good);
	moved = *servers_at(field.s.servers, 0, 0);
	moved.address.v4.sin_port = 1;
	assert_true(servers_found(field.s.servers, &moved, &why));
	assert_true(hears_health());
	assert_true(field.heard.SLOT_HEALTH.good); /* it is new */
	assert_true(hears_health());
	assert_false(field.heard.SLOT_HEALTH.good);
	end();
}

/* Worry: a stop while a check runs leaves it running. */
static void test_stop_in_the_middle(void **state)
{
	(void)state;
	begin("/bin/sleep 100", SLOW);
	for (int i = 0; i < 3; i++)
		event_base_loop(field.s.base, EVLOOP_ONCE);
	end();
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rise_and_fall),
		cmocka_unit_test(test_it_decides),
		cmocka_unit_test(test_it_hangs),
		cmocka_unit_test(test_it_is_not_there),
		cmocka_unit_test(test_its_successor_is_bad_too),
		cmocka_unit_test(test_stop_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
