/* Why: the pump believes what tls_read and tls_write say; a wrong word loses data, spins or lets a
 * cut-off stream pass for a whole one. SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <malloc.h>

#define LARGE (300u << 10)

static struct config *config;
static struct tls_store *store;

static int begin(void **state)
{
	const struct recipe recipe = { .name = "a.example", .others = "DNS:a.example" };
	const struct message_tickets tickets = tickets_of('1', 0, 0);

	if (field_begin(state) < 0)
		return -1;
	write_new(&recipe, "a.crt", "a.key");
	config = config_of("[tls:a]\ncertificate = a.crt\nkey = a.key\nalpn = h2 http/1.1\n"
			   "[tls:modern]\ncertificate = a.crt\nkey = a.key\npolicy = modern\n");
	store = tls_store_new(config);
	tls_store_tickets(store, &tickets);
	load_well(store, config);
	return 0;
}

static int end(void **state)
{
	tls_store_free(&store);
	config_free(&config);
	return field_end(state);
}

static void meet_well(struct meeting *m, SSL_CTX *ctx)
{
	meet(m, store, 0, ctx);
	assert_true(shake_hands(m));
}

static SSL_CTX *client_of(int version)
{
	SSL_CTX *ctx = client_context();

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	return ctx;
}

/* Worry: an old version is still spoken, or one that should be is not. */
static void test_versions(void **state)
{
	static const struct {
		size_t tls;
		int version;
		bool good;
	} rows[] = {
		{ 0, TLS1_VERSION, false },   { 0, TLS1_1_VERSION, false },
		{ 0, TLS1_2_VERSION, true },  { 0, TLS1_3_VERSION, true },
		{ 1, TLS1_2_VERSION, false }, { 1, TLS1_3_VERSION, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		SSL_CTX *ctx = client_of(rows[i].version);
		struct meeting m;

		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_cipher_list(ctx, "ALL");
		meet(&m, store, rows[i].tls, ctx);
		assert_int_equal(shake_hands(&m), rows[i].good);
		if (!rows[i].good)
			assert_string_equal(
				tls_why(m.server),
				"client speaks only versions of TLS that are not allowed here");
		if (!rows[i].good)
			assert_int_equal(m.alert, SSL_AD_PROTOCOL_VERSION);
		part(&m);
	}
}

/* Worry: the worker hears something else of the client than what was agreed. */
static void test_passport(void **state)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	struct passport passport = { .is_tls = false };
	SSL_CTX *ctx = client_of(TLS1_2_VERSION);
	struct meeting m;

	(void)state;
	SSL_CTX_set_alpn_protos(ctx, protocols, sizeof protocols - 1);
	meet(&m, store, 0, ctx);
	SSL_set_tlsext_host_name(m.client, "A.Example");
	assert_true(shake_hands(&m));
	tls_tell(m.server, &passport);
	assert_true(passport.is_tls);
	assert_false(passport.is_verified);
	assert_string_equal(passport.tls_version, "TLSv1.2");
	assert_string_equal(passport.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
	assert_string_equal(passport.alpn, "http/1.1");
	assert_string_equal(passport.server_name, "a.example");
	assert_string_equal(passport.client_name, "");
	assert_false(tls_resumed(m.server));
	part(&m);
}

/* Worry: a client that shares no protocol gets one that it did not offer, or an empty list is read
 * beyond its end. */
static void test_alpn(void **state)
{
	static const unsigned char foreign[] = "\x03"
					       "foo";
	struct passport passport;
	SSL_CTX *ctx = client_context();
	struct meeting m;

	(void)state;
	SSL_CTX_set_alpn_protos(ctx, foreign, sizeof foreign - 1);
	meet(&m, store, 0, ctx);
	assert_false(shake_hands(&m));
	assert_int_equal(m.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
	assert_string_equal(tls_why(m.server), "client shares no protocol of alpn");
	part(&m);
	meet_well(&m, NULL); /* asks for none */
	tls_tell(m.server, &passport);
	assert_string_equal(passport.alpn, "");
	part(&m);
}

static size_t read_exactly(struct tls *tls, char *out, size_t size)
{
	enum tls_result result;

	return tls_read(tls, out, size, &result);
}

/* Worry: a client that sends records of one byte each makes us lose some, or stall with data
 * inside. */
static void test_tiny_records(void **state)
{
	char out[64], got[64] = "";
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	for (int i = 0; i < 50; i++)
		assert_int_equal(SSL_write(m.client, &"0123456789"[i % 10], 1), 1);
	for (size_t i = 0; i < 50; i += 7) /* less room than there are bytes */
		assert_int_equal(read_exactly(m.server, got + i, i + 7 < 50 ? 7 : 50 - i),
				 i + 7 < 50 ? 7 : 50 - i);
	assert_memory_equal(got, "01234567890123456789012345678901234567890123456789", 50);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
	assert_int_equal(result, TLS_WANT_READ);
	assert_false(tls_pending(m.server));
	part(&m);
}

/* Worry: data that OpenSSL has read with the handshake, or ahead, is waited for in vain. */
static void test_pending(void **state)
{
	char out[8];
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	assert_int_equal(SSL_write(m.client, "abcdefghijkl", 12), 12);
	assert_int_equal(tls_read(m.server, out, 5, &result), 5);
	assert_true(tls_pending(m.server));
	assert_int_equal(tls_read(m.server, out, 8, &result), 7);
	assert_false(tls_pending(m.server));
	part(&m);
}

/* Worry: half a record keeps a caller busy that reads for as long as something is pending. */
static void test_half_a_record(void **state)
{
	BIO *memory = BIO_new(BIO_s_mem()), *socket;
	char out[64], *bytes;
	enum tls_result result;
	struct meeting m;
	long length;

	(void)state;
	meet_well(&m, NULL);
	socket = SSL_get_wbio(m.client);
	BIO_up_ref(socket);
	SSL_set0_wbio(m.client, memory);
	assert_int_equal(SSL_write(m.client, "hello", 5), 5);
	length = BIO_get_mem_data(memory, &bytes);
	assert_int_equal(write(m.client_fd, bytes, 9), 9);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
	assert_int_equal(result, TLS_WANT_READ);
	assert_false(tls_pending(m.server));
	assert_int_equal(write(m.client_fd, bytes + 9, (size_t)length - 9), length - 9);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 5);
	SSL_set0_wbio(m.client, socket);
	part(&m);
}

/* Worry: a stream that somebody cut passes for a whole one; or a whole one for cut. */
static void test_ends(void **state)
{
	char out[16];
	enum tls_result result;
	struct meeting m;

	(void)state;
	for (int notify = 0; notify < 2; notify++) {
		meet_well(&m, NULL);
		assert_int_equal(SSL_write(m.client, "bye", 3), 3);
		if (notify)
			SSL_shutdown(m.client);
		shutdown(m.client_fd, SHUT_WR);
		assert_int_equal(tls_read(m.server, out, sizeof out, &result), 3);
		assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
		assert_int_equal(result, notify ? TLS_EOF : TLS_TRUNCATED);
		/* The other direction goes on. */
		assert_int_equal(tls_write(m.server, "answer", 6, &result), 6);
		assert_int_equal(SSL_read(m.client, out, sizeof out), 6);
		assert_int_equal(tls_shutdown(m.server), TLS_DONE);
		assert_int_equal(tls_shutdown(m.server), TLS_DONE);
		assert_int_equal(SSL_read(m.client, out, sizeof out), 0);
		assert_int_equal(SSL_get_error(m.client, 0), SSL_ERROR_ZERO_RETURN);
		part(&m);
	}
}

/* Worry: close_notify without a FIN was read together with data, and no event will ever tell. */
static void test_end_without_event(void **state)
{
	char out[16];
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	assert_int_equal(SSL_write(m.client, "bye", 3), 3);
	SSL_shutdown(m.client);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 3);
	assert_true(tls_pending(m.server));
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
	assert_int_equal(result, TLS_EOF);
	assert_false(tls_pending(m.server));
	part(&m);
}

/* Worry: our half-close stops reading too. */
static void test_half_close(void **state)
{
	char out[16];
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	assert_int_equal(tls_shutdown(m.server), TLS_DONE);
	assert_int_equal(SSL_read(m.client, out, sizeof out), 0);
	assert_int_equal(SSL_write(m.client, "still here", 10), 10);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 10);
	part(&m);
}

/* Moves `size` bytes through a pair that holds less, the server's buffer moving between calls. */
static void pump_out(struct meeting *m, const char *bytes, size_t size)
{
	char *got = malloc(size), *moved = NULL;
	size_t sent = 0, received = 0;
	bool blocked = false;

	assert_non_null(got);
	for (int i = 0; i < 100000 && received < size; i++) {
		enum tls_result result = TLS_DONE;
		int n;

		free(moved);
		moved = malloc(size - sent + 1);
		assert_non_null(moved);
		memcpy(moved, bytes + sent, size - sent);
		if (sent < size)
			sent += tls_write(m->server, moved, size - sent, &result);
		assert_int_equal(result, sent < size ? TLS_WANT_WRITE : TLS_DONE);
		blocked = blocked || sent < size;
		n = SSL_read(m->client, got + received, 10000);
		received += n > 0 ? (size_t)n : 0;
	}
	assert_true(blocked);
	assert_int_equal(received, size);
	assert_memory_equal(got, bytes, size);
	free(moved);
	free(got);
}

static char *large_text(void)
{
	char *bytes = malloc(LARGE);

	assert_non_null(bytes);
	for (size_t i = 0; i < LARGE; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	return bytes;
}

/* Worry: a slow reader, or a buffer that moved, garbles what is sent. */
static void test_blocked_write(void **state)
{
	char *bytes = large_text();
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	pump_out(&m, bytes, LARGE);
	part(&m);
	free(bytes);
}

/* Worry: KeyUpdate, which makes a read write, meets a write that is blocked. */
static void test_key_updates(void **state)
{
	char *bytes = large_text(), out[64];
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet_well(&m, NULL);
	for (int i = 0; i < 20; i++) {
		assert_true(SSL_key_update(m.client, SSL_KEY_UPDATE_REQUESTED));
		assert_int_equal(SSL_write(m.client, "k", 1), 1);
		assert_int_equal(tls_read(m.server, out, sizeof out, &result), 1);
		assert_int_equal(tls_write(m.server, "v", 1, &result), 1);
		assert_int_equal(SSL_read(m.client, out, sizeof out), 1);
	}
	assert_in_range(tls_write(m.server, bytes, LARGE, &result), 1, LARGE - 1);
	assert_int_equal(result, TLS_WANT_WRITE);
	assert_true(SSL_key_update(m.client, SSL_KEY_UPDATE_REQUESTED));
	assert_int_equal(SSL_write(m.client, "again", 5), 5);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 5);
	part(&m);
	meet_well(&m, NULL);
	SSL_key_update(m.client, SSL_KEY_UPDATE_REQUESTED);
	assert_int_equal(SSL_write(m.client, "k", 1), 1);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 1);
	pump_out(&m, bytes, LARGE);
	part(&m);
	free(bytes);
}

/* Worry: one client makes us do handshake after handshake. */
static void test_no_renegotiation(void **state)
{
	char out[16];
	enum tls_result result = TLS_WANT_READ;
	struct meeting m;

	(void)state;
	meet_well(&m, client_of(TLS1_2_VERSION));
	assert_true(SSL_renegotiate(m.client));
	SSL_do_handshake(m.client);
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
	SSL_do_handshake(m.client);
	assert_int_equal(m.alert, SSL_AD_NO_RENEGOTIATION);
	part(&m);
}

static void say_plainly(struct meeting *m, const void *bytes, size_t length)
{
	meet(m, store, 0, NULL);
	assert_int_equal(write(m->client_fd, bytes, length), length);
	m->result = tls_handshake(m->server);
}

/* Worry: the log does not say why clients fail. */
static void test_reasons(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			  noise[] = "\x01\x02\x03\x04\x05";
	struct meeting m;

	(void)state;
	say_plainly(&m, http, sizeof http - 1);
	assert_int_equal(m.result, TLS_BROKEN);
	assert_string_equal(tls_why(m.server), "plain HTTP, not TLS");
	part(&m);
	say_plainly(&m, noise, sizeof noise);
	assert_int_equal(m.result, TLS_BROKEN);
	assert_string_equal(tls_why(m.server), "this is not TLS (wrong version number)");
	part(&m);
	meet(&m, store, 0, NULL);
	fd_close(&m.client_fd);
	assert_int_equal(tls_handshake(m.server), TLS_BROKEN);
	assert_string_equal(tls_why(m.server), "client left");
	part(&m);
	meet(&m, store, 0, NULL);
	SSL_set_verify(m.client, SSL_VERIFY_PEER, NULL); /* and it knows no authority */
	assert_false(shake_hands(&m));
	assert_string_equal(tls_why(m.server), "client: unknown CA");
	part(&m);
}

/* Worry: handshakes leak (AddressSanitizer looks), or an idle connection costs more than it may. */
static void test_many(void **state)
{
	enum {
		MANY = 300
	};
	static struct meeting meetings[MANY];
	struct meeting m;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		meet(&m, store, 0, client_of(i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION));
		if (i % 10)
			assert_true(shake_hands(&m));
		part(&m);
	}
	for (int version = 0; version < 2; version++) {
		size_t before = mallinfo2().uordblks, each;

		for (int i = 0; i < MANY; i++) {
			meet_well(&meetings[i],
				  client_of(version ? TLS1_3_VERSION : TLS1_2_VERSION));
			SSL_free(meetings[i].client);
			SSL_CTX_free(meetings[i].client_ctx);
			meetings[i].client = NULL;
			meetings[i].client_ctx = NULL;
		}
		each = (mallinfo2().uordblks - before) / MANY;
		if (before > 0) { /* AddressSanitizer's allocator tells nothing */
			assert_in_range(each, 1024, 16 << 10);
			print_message("%zu bytes for each idle connection\n", each);
		}
		for (int i = 0; i < MANY; i++)
			part(&meetings[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),    cmocka_unit_test(test_passport),
		cmocka_unit_test(test_alpn),        cmocka_unit_test(test_tiny_records),
		cmocka_unit_test(test_pending),     cmocka_unit_test(test_half_a_record),
		cmocka_unit_test(test_ends),        cmocka_unit_test(test_end_without_event),
		cmocka_unit_test(test_half_close),  cmocka_unit_test(test_blocked_write),
		cmocka_unit_test(test_key_updates), cmocka_unit_test(test_no_renegotiation),
		cmocka_unit_test(test_reasons),     cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
