/* Why: a session that is resumed where it should not be lets a client in without the proofs that
 * are asked for there; one that is not resumed costs a full handshake.
 * SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <sys/time.h>
#include <time.h>

#include "relay/tls_ticket.h"

/* The clock of this program and of the libraries in it. */
static time_t clock_shift;

time_t time(time_t *out)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	if (out)
		*out = now.tv_sec + clock_shift;
	return now.tv_sec + clock_shift;
}

static struct identity authority;
static struct config *config;

enum {
	PLAIN,   /* certificate a */
	SIMILAR, /* the same files, another section */
	TWO,     /* certificates for a and b */
	SHOWN,   /* the same, clients must show a certificate */
};

static int begin(void **state)
{
	const struct recipe ca = { .name = "ca", .is_authority = true },
			    a = { .name = "a", .others = "DNS:a.example,DNS:c.example" },
			    b = { .name = "b", .others = "DNS:b.example" },
			    client = { .name = "client", .by = &authority };
	struct identity made;

	if (field_begin(state) < 0)
		return -1;
	write_new(&a, "a.crt", "a.key");
	write_new(&b, "b.crt", "b.key");
	identity_make(&authority, &ca);
	identity_write(&authority, NULL, "ca.crt", "ca.key");
	identity_make(&made, &client);
	identity_write(&made, NULL, "client.pem", NULL);
	identity_free(&made);
	config = config_of("[tls:plain]\ncertificate = a.crt\nkey = a.key\n"
			   "[tls:similar]\ncertificate = a.crt\nkey = a.key\n"
			   "[tls:two]\ncertificate = a.crt\nkey = a.key\n"
			   "certificate = b.crt\nkey = b.key\n"
			   "[tls:shown]\ncertificate = a.crt\nkey = a.key\n"
			   "client_ca = ca.crt\nverify = require\n");
	return 0;
}

static int end(void **state)
{
	identity_free(&authority);
	config_free(&config);
	return field_end(state);
}

static int reset_clock(void **state)
{
	(void)state;
	clock_shift = 0;
	return 0;
}

static struct tls_store *store_with(struct message_tickets tickets)
{
	struct tls_store *store = tls_store_new(config);

	tls_store_tickets(store, &tickets);
	load_well(store, config);
	return store;
}

static SSL_CTX *client_of(int version)
{
	SSL_CTX *ctx = client_context();

	SSL_CTX_set_max_proto_version(ctx, version);
	if (SSL_CTX_use_certificate_file(ctx, "client.pem", SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, "client.pem", SSL_FILETYPE_PEM) != 1)
		fail_msg("no certificate of the client");
	return ctx;
}

/* One connection with the session (NULL: none), which is replaced by what the server gives. */
static bool visit(struct tls_store *store, size_t tls, int version, const char *name,
		  SSL_SESSION **session)
{
	struct passport passport;
	struct meeting m;
	bool reused;

	meet(&m, store, tls, client_of(version));
	if (name)
		SSL_set_tlsext_host_name(m.client, name);
	if (*session)
		assert_true(SSL_set_session(m.client, *session));
	if (!shake_hands(&m))
		fail_msg("handshake: %s", tls_why(m.server));
	reused = tls_resumed(m.server);
	assert_int_equal(reused, SSL_session_reused(m.client));
	tls_tell(m.server, &passport);
	assert_string_equal(passport.server_name, name ? name : "");
	assert_int_equal(passport.is_verified, tls == SHOWN);
	assert_string_equal(passport.client_name, tls == SHOWN ? "client" : "");
	SSL_SESSION_free(*session);
	/* A copy: OpenSSL spoils that of a connection which ends without a farewell. */
	*session = SSL_SESSION_dup(SSL_get0_session(m.client));
	part(&m);
	return reused;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* Worry: a relay, or its successor after a crash, does not know what another one gave. */
static void test_across_relays(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tls_store *one = store_with(tickets_of('1', 0, 0)),
				 *other = store_with(tickets_of('1', 0, 0));
		SSL_SESSION *session = NULL;

		assert_false(visit(one, PLAIN, versions[i], "a.example", &session));
		assert_true(visit(one, PLAIN, versions[i], "a.example", &session));
		assert_true(visit(other, PLAIN, versions[i], "a.example", &session));
		load_well(other, config); /* the same files again */
		assert_true(visit(other, PLAIN, versions[i], "a.example", &session));
		SSL_SESSION_free(session);
		tls_store_free(&one);
		tls_store_free(&other);
	}
}

/* Worry: a client that proved nothing at one door walks through another one with its ticket. */
static void test_no_crossing(void **state)
{
	struct tls_store *store = store_with(tickets_of('1', 0, 0));

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		static const struct {
			size_t from, to;
			const char *first, *second;
		} rows[] = {
			{ PLAIN, SHOWN, "a.example", "a.example" },
			{ SHOWN, PLAIN, "a.example", "a.example" },
			{ PLAIN, SIMILAR, "a.example", "a.example" },
			{ PLAIN, TWO, "a.example", "a.example" },
			{ TWO, TWO, "a.example", "b.example" },
			{ TWO, TWO, "b.example", "a.example" },
			{ PLAIN, PLAIN, "a.example", "c.example" }, /* same certificate */
			{ PLAIN, PLAIN, NULL, "a.example" },
			{ PLAIN, PLAIN, "a.example", NULL },
		};

		for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
			SSL_SESSION *session = NULL;

			visit(store, rows[k].from, versions[i], rows[k].first, &session);
			assert_true(
				visit(store, rows[k].from, versions[i], rows[k].first, &session));
			assert_false(
				visit(store, rows[k].to, versions[i], rows[k].second, &session));
			SSL_SESSION_free(session);
		}
	}
	tls_store_free(&store);
}

/* Worry: a certificate, or the authorities of clients, are replaced and old sessions go on. */
static void test_new_material(void **state)
{
	const struct recipe recipe = { .name = "a", .others = "DNS:a.example" },
			    ca = { .name = "second ca", .is_authority = true };
	struct tls_store *store = store_with(tickets_of('1', 0, 0));
	SSL_SESSION *session = NULL, *shown = NULL;
	struct identity second;
	FILE *both = fopen("ca.crt", "a");

	(void)state;
	visit(store, PLAIN, TLS1_3_VERSION, "a.example", &session);
	visit(store, SHOWN, TLS1_3_VERSION, "a.example", &shown);
	identity_make(&second, &ca);
	PEM_write_X509(both, second.certificate);
	fclose(both);
	load_well(store, config);
	assert_true(visit(store, PLAIN, TLS1_3_VERSION, "a.example", &session));
	assert_false(visit(store, SHOWN, TLS1_3_VERSION, "a.example", &shown));
	write_new(&recipe, "a.crt", "a.key");
	load_well(store, config);
	assert_false(visit(store, PLAIN, TLS1_3_VERSION, "a.example", &session));
	SSL_SESSION_free(session);
	SSL_SESSION_free(shown);
	identity_free(&second);
	tls_store_free(&store);
}

/* Worry: rotation throws away what clients hold, or keeps an old key for ever. */
static void test_rotation(void **state)
{
	struct message_tickets second = tickets_of('2', '1', 0), third = tickets_of('3', '2', '1'),
			       fourth = tickets_of('4', '3', '2');

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tls_store *store = store_with(tickets_of('1', 0, 0));
		SSL_SESSION *first = NULL, *kept = NULL, *renewed = NULL;

		visit(store, PLAIN, versions[i], "a.example", &first);
		kept = SSL_SESSION_dup(first);
		renewed = SSL_SESSION_dup(first);
		tls_store_tickets(store, &second);
		assert_true(visit(store, PLAIN, versions[i], "a.example", &renewed));
		tls_store_tickets(store, &third);
		assert_true(visit(store, PLAIN, versions[i], "a.example", &first));
		tls_store_tickets(store, &fourth);
		assert_false(visit(store, PLAIN, versions[i], "a.example", &kept));
		assert_true(visit(store, PLAIN, versions[i], "a.example", &renewed));
		SSL_SESSION_free(first);
		SSL_SESSION_free(kept);
		SSL_SESSION_free(renewed);
		tls_store_free(&store);
	}
}

/* Worry: without keys (or with keys of zeroes) tickets are sealed with something that all know. */
static void test_no_keys(void **state)
{
	struct tls_store *store = store_with(tickets_of(0, 0, 0));

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		SSL_SESSION *session = NULL;

		assert_false(visit(store, PLAIN, versions[i], "a.example", &session));
		assert_false(SSL_SESSION_has_ticket(session));
		assert_false(visit(store, PLAIN, versions[i], "a.example", &session));
		SSL_SESSION_free(session);
	}
	tls_store_free(&store);
}

/* Worry: who comes back every hour is never asked again who he is. */
static void test_renewal_ends(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tls_store *store = store_with(tickets_of('1', 0, 0));
		SSL_SESSION *session = NULL;
		int full = 0;

		visit(store, PLAIN, versions[i], "a.example", &session);
		for (int hour = 1; hour <= 72; hour++) {
			clock_shift = (time_t)hour * 3600;
			/* The client's own clock must not spare us the question. */
			SSL_SESSION_set_time(session, (long)time(NULL));
			SSL_SESSION_set_timeout(session, 7L * DAY);
			if (!visit(store, PLAIN, versions[i], "a.example", &session))
				full++;
		}
		assert_int_equal(full, 72 / (TLS_TICKET_LIFETIME / 3600));
		SSL_SESSION_free(session);
		tls_store_free(&store);
		clock_shift = 0;
	}
}

/* Worry: a client is told to keep a ticket for longer than we take it. */
static void test_lifetime_told(void **state)
{
	struct tls_store *store = store_with(tickets_of('1', 0, 0));
	SSL_SESSION *session = NULL;

	(void)state;
	visit(store, PLAIN, TLS1_3_VERSION, "a.example", &session);
	assert_int_equal(SSL_SESSION_get_ticket_lifetime_hint(session), TLS_TICKET_LIFETIME);
	clock_shift = 3 * 3600;
	assert_true(visit(store, PLAIN, TLS1_3_VERSION, "a.example", &session));
	assert_in_range(SSL_SESSION_get_ticket_lifetime_hint(session),
			TLS_TICKET_LIFETIME - 3 * 3600 - 5, TLS_TICKET_LIFETIME - 3 * 3600);
	SSL_SESSION_free(session);
	tls_store_free(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_across_relays),
		cmocka_unit_test(test_no_crossing),
		cmocka_unit_test(test_new_material),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_no_keys),
		cmocka_unit_test_teardown(test_renewal_ends, reset_clock),
		cmocka_unit_test_teardown(test_lifetime_told, reset_clock),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
