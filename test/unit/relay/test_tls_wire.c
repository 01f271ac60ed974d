/* Why: below TLS lies a socket, which may break, or bring more than anybody should read.
 * SPDX-License-Identifier: ISC */
#include "tls_field.h"

static struct config *config;
static struct tls_store *store;

static int begin(void **state)
{
	const struct recipe recipe = { .name = "a.example" };

	if (field_begin(state) < 0)
		return -1;
	write_new(&recipe, "a.crt", "a.key");
	config = config_of("[tls:a]\ncertificate = a.crt\nkey = a.key\n");
	store = tls_store_new(config);
	load_well(store, config);
	return 0;
}

static int end(void **state)
{
	tls_store_free(&store);
	config_free(&config);
	return field_end(state);
}

/* Worry: a reset looks like an end. */
static void test_reset(void **state)
{
	char out[16];
	enum tls_result result;
	struct meeting m;

	(void)state;
	meet(&m, store, 0, NULL);
	assert_true(shake_hands(&m));
	assert_int_equal(tls_write(m.server, "unread", 6, &result), 6);
	SSL_free(m.client);
	m.client = NULL;
	fd_close(&m.client_fd); /* with bytes unread: the kernel resets */
	assert_int_equal(tls_read(m.server, out, sizeof out, &result), 0);
	assert_int_equal(result, TLS_BROKEN);
	assert_string_equal(tls_why(m.server), strerror(ECONNRESET));
	assert_int_equal(tls_write(m.server, "x", 1, &result), 0);
	assert_int_equal(result, TLS_BROKEN);
	part(&m);
}

/* Worry: the whole process dies of SIGPIPE when a client has left. */
static void test_no_signal(void **state)
{
	enum tls_result result = TLS_DONE;
	struct meeting m;

	(void)state;
	meet(&m, store, 0, NULL);
	assert_true(shake_hands(&m));
	fd_close(&m.client_fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tls_write(m.server, "x", 1, &result), 0);
		assert_int_equal(result, TLS_BROKEN);
	}
	assert_string_equal(tls_why(m.server), strerror(EPIPE));
	part(&m);
}

/* Worry: somebody who has proved nothing yet makes us read for ever. */
static void test_flood(void **state)
{
	/* A hello of 128 KiB, said to come in records of 1 KiB. */
	unsigned char record[5 + 1024] = { 22, 3, 1, 4, 0, 1, 1, 0xff, 0xf0, 3, 3 };
	enum tls_result result = TLS_WANT_READ;
	size_t sent = 0;
	struct meeting m;

	(void)state;
	meet(&m, store, 0, NULL);
	while (result == TLS_WANT_READ && sent < 200u << 10) {
		ssize_t n = write(m.client_fd, record, sizeof record);

		sent += n > 0 ? (size_t)n : 0;
		memset(record + 5, 0, 6);
		result = tls_handshake(m.server);
	}
	assert_int_equal(result, TLS_BROKEN);
	assert_in_range(sent, 60u << 10, 70u << 10);
	assert_non_null(strstr(tls_why(m.server), "more than 65536 bytes"));
	part(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_no_signal),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
