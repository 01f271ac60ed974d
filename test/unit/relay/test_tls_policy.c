/* Why: what is asked of clients must be asked of every one, whatever the version and whatever name
 * he asked for. SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <time.h>

static struct identity authority, middle, revoked_one;
static struct config *config;
static struct tls_store *store;

enum {
	OPTIONAL,
	REQUIRED,
	LISTED
};

static void add_crl(FILE *out, const struct identity *by, const X509 *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *now = ASN1_TIME_set(NULL, time(NULL) - 60), *next = NULL;

	next = ASN1_TIME_set(NULL, time(NULL) + DAY);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->certificate));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	if (revoked) {
		X509_REVOKED_set_serialNumber(
			entry, (ASN1_INTEGER *)(uintptr_t)X509_get0_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(entry, now);
		X509_CRL_add0_revoked(crl, entry);
	} else {
		X509_REVOKED_free(entry);
	}
	assert_true(X509_CRL_sign(crl, by->key, EVP_sha256()));
	PEM_write_X509_CRL(out, crl);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
}

static void make_client(const struct recipe *recipe, const char *path,
			const struct identity *behind)
{
	struct identity made;

	identity_make(&made, recipe);
	identity_write(&made, behind, path, NULL);
	identity_free(&made);
}

static int begin(void **state)
{
	const struct recipe server = { .name = "a", .others = "DNS:a.example" },
			    other = { .name = "b", .others = "DNS:b.example" },
			    ca = { .name = "ca", .is_authority = true },
			    sub = { .name = "sub", .is_authority = true, .by = &authority },
			    good = { .name = "good client", .by = &middle },
			    gone = { .name = "gone", .by = &middle },
			    late = { .name = "late", .by = &middle, .from = -9, .until = -5 },
			    self = { .name = "self" };
	FILE *crls;

	if (field_begin(state) < 0)
		return -1;
	write_new(&server, "a.crt", "a.key");
	write_new(&other, "b.crt", "b.key");
	identity_make(&authority, &ca);
	identity_make(&middle, &sub);
	identity_make(&revoked_one, &gone);
	identity_write(&authority, NULL, "ca.crt", "ca.key");
	make_client(&good, "good.pem", &middle);
	identity_write(&revoked_one, &middle, "gone.pem", NULL);
	make_client(&late, "late.pem", &middle);
	make_client(&self, "self.pem", NULL);
	crls = fopen("crls.pem", "w");
	add_crl(crls, &authority, NULL);
	add_crl(crls, &middle, revoked_one.certificate);
	fclose(crls);
#define PAIRS                                                                                      \
	"certificate = a.crt\nkey = a.key\ncertificate = b.crt\nkey = b.key\nclient_ca = ca.crt\n"
	config = config_of("[tls:optional]\n" PAIRS "verify = optional\n"
			   "[tls:required]\n" PAIRS "verify = require\n"
			   "[tls:listed]\n" PAIRS "verify = require\ncrl = crls.pem\n");
	store = tls_store_new(config);
	load_well(store, config);
	return 0;
}

static int end(void **state)
{
	tls_store_free(&store);
	config_free(&config);
	identity_free(&authority);
	identity_free(&middle);
	identity_free(&revoked_one);
	return field_end(state);
}

static SSL_CTX *client_with(const char *pem, int version)
{
	SSL_CTX *ctx = client_context();

	SSL_CTX_set_max_proto_version(ctx, version);
	if (!pem)
		return ctx;
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, pem), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, pem, SSL_FILETYPE_PEM), 1);
	return ctx;
}

/* why: NULL: let in; verified: as somebody. */
static void enters(size_t tls, const char *pem, const char *why, bool verified)
{
	static const char *const names[] = { NULL, "a.example", "b.example" };

	for (int i = 0; i < 6; i++) {
		struct passport passport = { .is_tls = false };
		struct meeting m;
		bool good;

		meet(&m, store, tls, client_with(pem, i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION));
		if (names[i / 2])
			SSL_set_tlsext_host_name(m.client, names[i / 2]);
		good = shake_hands(&m);
		if (good != !why)
			fail_msg("%s: %s", pem ? pem : "none", tls_why(m.server));
		tls_tell(m.server, &passport);
		if (good)
			assert_int_equal(passport.is_verified, verified);
		if (verified)
			assert_string_equal(passport.client_name, "good client");
		if (why)
			assert_string_equal(tls_why(m.server), why);
		part(&m);
	}
}

/* Worry: somebody gets in who should not, or is called verified without proof. */
static void test_clients(void **state)
{
	(void)state;
	enters(OPTIONAL, NULL, NULL, false);
	enters(OPTIONAL, "good.pem", NULL, true);
	enters(OPTIONAL, "self.pem", "client's certificate: self-signed certificate", false);
	enters(REQUIRED, NULL, "client showed no certificate", false);
	enters(REQUIRED, "good.pem", NULL, true);
	enters(REQUIRED, "self.pem", "client's certificate: self-signed certificate", false);
	enters(REQUIRED, "late.pem", "client's certificate: certificate has expired", false);
	enters(LISTED, "good.pem", NULL, true);
	enters(LISTED, "gone.pem", "client's certificate: certificate revoked", false);
}

/* Worry: a weak cipher, a static key exchange or compression is agreed on with who offers it. */
static void test_ciphers(void **state)
{
	static const char *const refused[] = {
		"AES128-SHA", "AES256-GCM-SHA384",         "kDHE",
		"aNULL",      "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"
	};

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		SSL_CTX *ctx = client_with(NULL, TLS1_2_VERSION);
		struct meeting m;

		SSL_CTX_set_security_level(ctx, 0);
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, refused[i]), 1);
		meet(&m, store, OPTIONAL, ctx);
		assert_false(shake_hands(&m));
		assert_string_equal(tls_why(m.server), "no shared cipher");
		part(&m);
	}
}

/* Worry: a group that is not in the policy, or early data. */
static void test_groups(void **state)
{
	SSL_CTX *ctx = client_context();
	struct meeting m;

	(void)state;
	SSL_CTX_set1_groups_list(ctx, "P-521:X448");
	SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
	meet(&m, store, OPTIONAL, ctx);
	assert_false(shake_hands(&m));
	part(&m);
	meet(&m, store, OPTIONAL, NULL);
	assert_true(shake_hands(&m));
	assert_int_equal(SSL_SESSION_get_max_early_data(SSL_get0_session(m.client)), 0);
	assert_null(SSL_get_current_compression(m.client));
	part(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
