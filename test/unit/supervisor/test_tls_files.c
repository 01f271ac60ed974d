/* Why: a certificate that is renewed must reach every relay whole and without a person, a broken
 * one must change nothing, and what is told of it must be told once (FAULTS 79, 80).
 * SPDX-License-Identifier: ISC */
#include "field.h"

#include "scratch.h"

#include "supervisor/shutdown.h"
#include "supervisor/tls_files.h"

static char certificate[256], key[256];

static int begin(void **state)
{
	char text[1024];

	if (scratch_begin(state) < 0)
		return -1;
	snprintf(certificate, sizeof certificate, "%s", in_scratch("site.pem"));
	snprintf(key, sizeof key, "%s", in_scratch("site.key"));
	scratch_write(certificate, "certificate 1", 0644);
	scratch_write(key, "key 1", 0600);
	snprintf(text, sizeof text,
		 "[listen:web]\nbind = 127.0.0.1:0\ntls = site\n[pool:app]\nserver = 127.0.0.1:9\n"
		 "[tls:other]\ncertificate = /nowhere/a.pem\nkey = /nowhere/a.key\n"
		 "[tls:site]\nwatch_interval = 10ms\ncertificate = %s\nkey = %s\n",
		 certificate, key);
	field_begin(text);
	shutdown_catch_signals(&field.s);
	field.s.tls_files = tls_files_new(&field.s);
	return field.s.tls_files ? 0 : -1;
}

static int end(void **state)
{
	tls_files_free(&field.s.tls_files);
	shutdown_forget_signals(&field.s);
	field_end();
	return scratch_end(state);
}

/* The bytes of the file that came along. */
static void expect_file(int far, enum tls_file_kind kind, const char *bytes)
{
	char got[64] = "";

	assert_int_equal(field_hears(far), MESSAGE_TLS_FILE);
	assert_int_equal(field.heard.TLS_FILE.tls, 1);
	assert_int_equal(field.heard.TLS_FILE.kind, kind);
	assert_true(pread(field.heard_fd, got, sizeof got - 1, 0) > 0);
	assert_string_equal(got, bytes);
}

static void expect_load(int far, uint32_t serial)
{
	assert_int_equal(field_hears(far), MESSAGE_TLS_LOAD);
	assert_int_equal(field.heard.TLS_LOAD.tls, 1);
	assert_int_equal(field.heard.TLS_LOAD.serial, serial);
	assert_int_equal(field_hears(far), MESSAGE_INVALID);
}

static bool answer(int relay, uint32_t serial, bool good, const char *sentence)
{
	struct message_tls_loaded loaded = { .tls = 1, .serial = serial, .good = good };

	snprintf(loaded.text, sizeof loaded.text, "%s", sentence);
	return tls_files_loaded(field.s.tls_files, &field.s.relays[relay], &loaded);
}

static unsigned count_of(const char *words)
{
	unsigned count = 0;

	for (const char *at = field.log; (at = strstr(at, words)); at++)
		count++;
	return count;
}

/* Waits until the watch has looked at changed files. */
static void wait_for_load(int far)
{
	for (int i = 0; i < 1000; i++) {
		struct message_head head;

		event_base_loop(field.s.base, EVLOOP_ONCE);
		if (recv(far, &head, sizeof head, MSG_PEEK | MSG_DONTWAIT) > 0)
			return;
	}
	fail_msg("a change was not seen");
}

/* Worry: a relay gets files of a section that it has no use for, or half of what it needs. */
static void test_a_fresh_relay(void **state)
{
	(void)state;
	tls_files_introduce(field.s.tls_files, &field.s.relays[0]);
	expect_file(field.relays[0], TLS_FILE_CERTIFICATE, "certificate 1");
	expect_file(field.relays[0], TLS_FILE_KEY, "key 1");
	expect_load(field.relays[0], 1);
	assert_int_equal(field_hears(field.relays[1]), MESSAGE_INVALID);
	assert_int_equal(field_hears(field.acceptor), MESSAGE_INVALID);
}

/* Worry: certbot renews, and the relays serve the old certificate until it expires. */
static void test_changed_files(void **state)
{
	(void)state;
	field.s.state = RUNNING;
	answer(0, 1, true, "");
	rename(certificate, in_scratch("site.old"));
	scratch_write(certificate, "certificate 2", 0644);
	wait_for_load(field.relays[1]);
	for (int i = 0; i < FIELD_RELAYS; i++) {
		expect_file(field.relays[i], TLS_FILE_CERTIFICATE, "certificate 2");
		expect_file(field.relays[i], TLS_FILE_KEY, "key 1");
		expect_load(field.relays[i], 2);
	}
	assert_true(answer(0, 2, true, "it expires in 5 days"));
	assert_true(answer(1, 2, true, "it expires in 5 days"));
	assert_int_equal(count_of("use the new files"), 1);
	assert_int_equal(count_of("it expires in 5 days"), 1);
}

/* Worry: one file of a pair cannot be opened, and a relay waits for the rest for ever. */
static void test_unreadable_key(void **state)
{
	(void)state;
	field.s.state = RUNNING;
	answer(0, 1, true, "");
	assert_int_equal(chmod(key, 0644), 0);
	assert_true(tls_files_reload(field.s.tls_files));
	assert_int_equal(field_hears(field.relays[0]), MESSAGE_INVALID);
	assert_int_equal(count_of("open to others"), 1);
	assert_int_equal(count_of("going on with what was loaded before"), 1);
	assert_int_equal(field.s.exit_code, 0);
}

/* Worry: broken material at the start is served by nobody, and Limpet runs; the same later ends
 * what works. */
static void test_broken_material(void **state)
{
	(void)state;
	field.s.state = RUNNING;
	answer(0, 1, true, "");
	tls_files_reload(field.s.tls_files);
	assert_true(answer(0, 2, false, "site.pem: the key does not match"));
	assert_true(answer(1, 2, false, "site.pem: the key does not match"));
	assert_int_equal(count_of("the key does not match: going on"), 1);
	assert_int_equal(field.s.state, RUNNING);
}

static void test_broken_at_the_start(void **state)
{
	(void)state;
	field.s.state = STARTING;
	assert_true(answer(0, 1, false, "site.pem: the key does not match"));
	assert_int_equal(field.s.exit_code, 1);
	assert_true(field.s.state >= DRAINING);
	assert_int_equal(count_of("cannot start: tls:site: site.pem"), 1);
}

/* Worry: a relay's lie is an index into our memory. */
static void test_lies(void **state)
{
	struct message_tls_loaded lie = { .tls = 2, .serial = 1, .good = 1 };

	(void)state;
	assert_false(tls_files_loaded(field.s.tls_files, &field.s.relays[0], &lie));
	lie.tls = 0; /* a section that no relay uses */
	assert_false(tls_files_loaded(field.s.tls_files, &field.s.relays[0], &lie));
	lie.tls = 1;
	memset(lie.text, 'x', sizeof lie.text);
	assert_false(tls_files_loaded(field.s.tls_files, &field.s.relays[0], &lie));
	assert_false(tls_files_loaded(NULL, &field.s.relays[0], &lie));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_fresh_relay, begin, end),
		cmocka_unit_test_setup_teardown(test_changed_files, begin, end),
		cmocka_unit_test_setup_teardown(test_unreadable_key, begin, end),
		cmocka_unit_test_setup_teardown(test_broken_material, begin, end),
		cmocka_unit_test_setup_teardown(test_broken_at_the_start, begin, end),
		cmocka_unit_test_setup_teardown(test_lies, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
