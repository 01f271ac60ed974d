/* Why: a client that asks for a staple believes it, and leaves where it is wrong.
 * SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <openssl/ocsp.h>
#include <sys/time.h>
#include <time.h>

#include "base/log.h"

/* The clock of this program. */
static time_t clock_shift;

time_t time(time_t *out)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	if (out)
		*out = now.tv_sec + clock_shift;
	return now.tv_sec + clock_shift;
}

static struct identity authority, other_authority, server, second;
static struct config *config;
static struct tls_store *store;
static unsigned warnings;

static void count_warning(const char *line, size_t length, void *arg)
{
	(void)arg;
	if (memmem(line, length, "OCSP", 4))
		warnings++;
}

static int begin(void **state)
{
	const struct recipe ca = { .name = "ca", .is_authority = true },
			    a = { .name = "a", .others = "DNS:a.example", .by = &authority },
			    b = { .name = "b",
				  .others = "DNS:a.example",
				  .by = &authority,
				  .rsa_bits = 2048 };

	if (field_begin(state) < 0)
		return -1;
	identity_make(&authority, &ca);
	identity_make(&other_authority, &ca);
	identity_make(&server, &a);
	identity_make(&second, &b);
	identity_write(&server, &authority, "a.crt", "a.key");
	identity_write(&second, &authority, "b.crt", "b.key");
	config = config_of("[tls:a]\ncertificate = a.crt\nkey = a.key\n"
			   "certificate = b.crt\nkey = b.key\nocsp_staple = staple.der\n");
	store = tls_store_new(config);
	log_to_writer(count_warning, NULL);
	return 0;
}

static int end(void **state)
{
	tls_store_free(&store);
	config_free(&config);
	identity_free(&authority);
	identity_free(&other_authority);
	identity_free(&server);
	identity_free(&second);
	return field_end(state);
}

static void write_staple(const struct identity *of, const struct identity *by, int status,
			 long from, long until)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, of->certificate, authority.certificate);
	ASN1_TIME *first = ASN1_TIME_adj(NULL, time(NULL), 0, from),
		  *last = until ? ASN1_TIME_adj(NULL, time(NULL), 0, until) : NULL,
		  *revoked = ASN1_TIME_adj(NULL, time(NULL), 0, from);
	OCSP_RESPONSE *response;
	FILE *out = fopen("staple.der", "w");
	unsigned char *der = NULL;
	int length;

	assert_non_null(OCSP_basic_add1_status(basic, id, status, 0,
					       status == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL,
					       first, last));
	assert_true(OCSP_basic_sign(basic, by->certificate, by->key, EVP_sha256(), NULL, 0));
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	length = i2d_OCSP_RESPONSE(response, &der);
	assert_true(length > 0);
	assert_int_equal(fwrite(der, 1, (size_t)length, out), length);
	fclose(out);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(first);
	ASN1_TIME_free(last);
	ASN1_TIME_free(revoked);
}

/* Does a client that asks get one? */
static bool is_stapled(bool rsa_only, bool asks)
{
	const unsigned char *staple = NULL;
	SSL_CTX *ctx = client_context();
	struct meeting m;
	long length;

	if (rsa_only)
		SSL_CTX_set1_sigalgs_list(ctx, "RSA-PSS+SHA256");
	if (asks)
		SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
	meet(&m, store, 0, ctx);
	assert_true(shake_hands(&m));
	length = SSL_get_tlsext_status_ocsp_resp(m.client, &staple);
	part(&m);
	return length > 0;
}

/* Worry: the staple does not come, or comes with another certificate, or unasked. */
static void test_sent(void **state)
{
	(void)state;
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	load_well(store, config);
	assert_true(is_stapled(false, true));
	assert_false(is_stapled(false, false));
	assert_false(is_stapled(true, true));
}

/* Worry: a staple that ran out is sent on, or its end fills the log. */
static void test_runs_out(void **state)
{
	(void)state;
	warnings = 0;
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	load_well(store, config);
	clock_shift = 3500;
	assert_true(is_stapled(false, true));
	assert_int_equal(warnings, 0);
	clock_shift = 3601;
	assert_false(is_stapled(false, true));
	assert_false(is_stapled(false, true));
	assert_int_equal(warnings, 1);
	clock_shift = 0;
}

static void not_sent(const char *why)
{
	struct message_tls_loaded loaded = load(store, config, 0);

	assert_true(loaded.good); /* the service goes on without */
	if (!strstr(loaded.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, loaded.text);
	assert_false(is_stapled(false, true));
}

/* Worry: a staple that is old, foreign, forged or says no is sent. */
static void test_bad_ones(void **state)
{
	FILE *out;

	(void)state;
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_GOOD, -7200, -3600);
	not_sent("staple.der is not sent: it is out of date");
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_GOOD, -7200, 0);
	not_sent("it does not say until when it holds");
	write_staple(&second, &authority, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	not_sent("it does not speak of the first certificate");
	write_staple(&server, &other_authority, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	not_sent("it is not signed by the certificate's authority");
	write_staple(&server, &server, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	not_sent("it is not signed by the certificate's authority");
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_REVOKED, -60, 3600);
	not_sent("it calls the certificate revoked");
	out = fopen("staple.der", "w");
	fputs("nothing", out);
	fclose(out);
	not_sent("it is no OCSP response in DER");
}

/* Not valid yet: it is kept, and sent from its hour on. */
static void test_for_later(void **state)
{
	(void)state;
	write_staple(&server, &authority, V_OCSP_CERTSTATUS_GOOD, 3600, 7200);
	load_well(store, config);
	assert_false(is_stapled(false, true));
	clock_shift = 3601;
	assert_true(is_stapled(false, true));
	clock_shift = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent),
		cmocka_unit_test(test_runs_out),
		cmocka_unit_test(test_bad_ones),
		cmocka_unit_test(test_for_later),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
