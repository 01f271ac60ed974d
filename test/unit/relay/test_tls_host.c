/* Why: one section may hold a thousand certificates; each client must see the one for the name that
 * he asked for, of the kind that he understands. SPDX-License-Identifier: ISC */
#include "tls_field.h"

static struct config *config;
static struct tls_store *store;

enum {
	LENIENT,
	STRICT,
	DIRECTORY
};

static int begin(void **state)
{
	static const struct recipe ec = { .name = "ec",
					  .others = "DNS:www.example.org,DNS:example.org" },
				   rsa = { .name = "rsa",
					   .others = "DNS:www.example.org",
					   .rsa_bits = 2048 },
				   star = { .name = "star", .others = "DNS:*.example.org" },
				   star_rsa = { .name = "star rsa",
						.others = "DNS:*.example.org,DNS:x.example.net",
						.rsa_bits = 2048 },
				   old = { .name = "old.example.com" }, /* no alternative names */
		mixed = { .name = "mixed.example.com", .others = "IP:127.0.0.1,DNS:y.example" };

	if (field_begin(state) < 0)
		return -1;
	write_new(&ec, "1.crt", "1.key");
	write_new(&rsa, "2.crt", "2.key");
	write_new(&star, "c-star.pem", NULL);
	write_new(&star_rsa, "d-star-rsa.pem", NULL);
	write_new(&old, "a-old.pem", NULL);
	write_new(&mixed, "b-mixed.pem", NULL);
	write_new(&mixed, ".hidden.pem", NULL);
	config = config_of("[tls:lenient]\ncertificate = 1.crt\nkey = 1.key\n"
			   "certificate = 2.crt\nkey = 2.key\ndirectory = .\n"
			   "[tls:strict]\ncertificate = 1.crt\nkey = 1.key\n"
			   "certificate = 2.crt\nkey = 2.key\ndirectory = .\nsni_strict = on\n"
			   "[tls:directory]\ndirectory = .\n");
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

/* The common name of what the client sees. `name` goes out as it is, also where it is no name. */
static void sees(size_t tls, const char *name, bool rsa_only, const char *expected)
{
	SSL_CTX *ctx = client_context();
	char seen[64] = "none";
	struct meeting m;

	if (rsa_only)
		SSL_CTX_set1_sigalgs_list(ctx, "RSA-PSS+SHA256:RSA+SHA256");
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX_up_ref(ctx);
		SSL_CTX_set_max_proto_version(ctx, version);
		meet(&m, store, tls, ctx);
		if (name)
			SSL_set_tlsext_host_name(m.client, name);
		if (shake_hands(&m))
			X509_NAME_get_text_by_NID(
				X509_get_subject_name(SSL_get0_peer_certificate(m.client)),
				NID_commonName, seen, sizeof seen);
		else if (!expected)
			assert_int_equal(m.alert, SSL_AD_UNRECOGNIZED_NAME);
		part(&m);
		assert_string_equal(seen, expected ? expected : "none");
	}
	SSL_CTX_free(ctx);
}

/* Worry: the wrong certificate for a name, or the wrong kind for a client. */
static void test_table(void **state)
{
	(void)state;
	sees(LENIENT, "www.example.org", false, "ec");
	sees(LENIENT, "WWW.Example.Org", false, "ec");
	sees(LENIENT, "www.example.org", true, "rsa");
	sees(LENIENT, "example.org", false, "ec");
	sees(LENIENT, "api.example.org", false, "star");
	sees(LENIENT, "api.example.org", true, "star rsa");
	sees(LENIENT, "x.example.net", false, "star rsa");
	sees(LENIENT, "old.example.com", false, "old.example.com");
	sees(LENIENT, "y.example", false, "mixed.example.com");
	/* The common name of a certificate with other names is none of its names. */
	sees(LENIENT, "mixed.example.com", false, "ec");
}

/* Worry: who names nobody that we know gets nothing; or, where that is wished for, something. */
static void test_no_match(void **state)
{
	static const char *const names[] = { NULL,  "nobody.example", "a.b.example.org", "10.0.0.1",
					     "a b", "\x1b[31m",       "example.org." };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		sees(LENIENT, names[i], false, "ec");
		sees(LENIENT, names[i], true, "rsa");
		sees(STRICT, names[i], false, NULL);
	}
	sees(STRICT, "api.example.org", false, "star");
	sees(DIRECTORY, NULL, false, "old.example.com"); /* the first by name */
}

/* Worry: the log does not say why a strict section refuses. */
static void test_strict_says_why(void **state)
{
	struct meeting m;

	(void)state;
	meet(&m, store, STRICT, NULL);
	assert_false(shake_hands(&m));
	assert_string_equal(tls_why(m.server),
			    "no certificate has the server name that the client asked for");
	part(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_no_match),
		cmocka_unit_test(test_strict_says_why),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
