/* Why: a reload replaces what a running service stands on; what is broken must leave the old in its
 * place and say why. SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <limits.h>
#include <time.h>

static const struct recipe usual = { .name = "a", .others = "DNS:a.example" };

static struct config *config;
static struct tls_store *store;

static int begin(void **state)
{
	if (field_begin(state) < 0)
		return -1;
	write_new(&usual, "a.crt", "a.key");
	config = config_of("[tls:a]\ncertificate = a.crt\nkey = a.key\n");
	store = tls_store_new(config);
	return 0;
}

static int end(void **state)
{
	tls_store_free(&store);
	config_free(&config);
	return field_end(state);
}

/* The serial number of the certificate that a client sees; 0: there is no handshake. */
static long serial_seen(void)
{
	struct meeting m;
	long serial = 0;

	meet(&m, store, 0, NULL);
	if (shake_hands(&m))
		serial = ASN1_INTEGER_get(
			X509_get0_serialNumber(SSL_get0_peer_certificate(m.client)));
	part(&m);
	return serial;
}

static void stays(long serial, const char *sentence)
{
	struct message_tls_loaded loaded = load(store, config, 0);

	assert_false(loaded.good);
	if (!strstr(loaded.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, loaded.text);
	assert_int_equal(serial_seen(), serial);
}

static void put(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void write_encrypted(const char *path, bool traditional)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	FILE *out = fopen(path, "w");
	int (*write)(FILE *, const EVP_PKEY *, const EVP_CIPHER *, const unsigned char *, int,
		     pem_password_cb *, void *) = PEM_write_PrivateKey;
	BIO *bio = BIO_new_fp(out, BIO_NOCLOSE);

	if (traditional)
		PEM_write_bio_PrivateKey_traditional(bio, key, EVP_aes_128_cbc(),
						     (const unsigned char *)"word", 4, NULL, NULL);
	else
		write(out, key, EVP_aes_128_cbc(), (const unsigned char *)"word", 4, NULL, NULL);
	BIO_free(bio);
	fclose(out);
	EVP_PKEY_free(key);
}

/* Worry: a broken file takes the service down, or the sentence does not say which it is. */
static void test_broken_reload(void **state)
{
	const struct recipe weak = { .name = "weak", .rsa_bits = 1024 };
	struct meeting old;
	long serial;

	(void)state;
	assert_null(tls_begin(store, 0, 0)); /* nothing is loaded yet */
	load_well(store, config);
	serial = serial_seen();
	assert_true(serial > 0);
	meet(&old, store, 0, NULL);
	write_new(&usual, "a.crt", "other.key");
	stays(serial, "the key a.key does not belong to a.crt");
	put("a.crt", "");
	stays(serial, "a.crt is empty");
	put("a.crt", "nothing\n");
	stays(serial, "a.crt holds no certificate");
	put("a.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	stays(serial, "a.crt certificate 1 cannot be read");
	put("a.crt", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n");
	stays(serial, "a.crt is not good PEM");
	write_new(&usual, "a.crt", "a.key");
	write_encrypted("a.key", false);
	stays(serial, "a.key holds an encrypted key");
	write_encrypted("a.key", true);
	stays(serial, "a.key holds an encrypted key");
	put("a.key", "");
	stays(serial, "a.key is empty");
	write_new(&weak, "a.crt", "a.key");
	stays(serial, "a.key is an RSA key of 1024 bits");
	/* And the next good one is taken; a handshake that began before ends with the old one. */
	write_new(&usual, "a.crt", "a.key");
	load_well(store, config);
	assert_int_not_equal(serial_seen(), serial);
	assert_true(shake_hands(&old));
	assert_int_equal(
		ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(old.client))),
		serial);
	part(&old);
}

/* Worry: what was read once is taken for what is there now: one file of a pair is changed, or the
 * two change places with another pair. */
static void test_unchanged_files(void **state)
{
	const struct recipe b = { .name = "b", .others = "DNS:b.example" };
	struct config *two = config_of("[tls:x]\ncertificate = a.crt\nkey = a.key\n"
				       "certificate = b.crt\nkey = b.key\ndirectory = .\n");
	struct tls_store *fresh = tls_store_new(two);

	(void)state;
	write_new(&usual, "a.crt", "a.key");
	write_new(&b, "b.crt", "b.key");
	write_new(&b, "c.pem", NULL);
	load_well(fresh, two);
	load_well(fresh, two);
	assert_int_equal(rename("a.crt", "swap.crt") | rename("b.crt", "a.crt") |
				 rename("swap.crt", "b.crt"),
			 0);
	assert_false(load(fresh, two, 0).good); /* certificates without their keys */
	assert_int_equal(rename("a.key", "swap.key") | rename("b.key", "a.key") |
				 rename("swap.key", "b.key"),
			 0);
	load_well(fresh, two);
	write_new(&b, "c.pem", "c.key"); /* the file has lost its key */
	assert_false(load(fresh, two, 0).good);
	write_new(&b, "c.pem", NULL);
	load_well(fresh, two);
	tls_store_free(&fresh);
	config_free(&two);
	unlink("c.pem");
	write_new(&usual, "a.crt", "a.key");
}

/* Worry: connections lose their certificates, keys or tickets with the store that gave them. */
static void test_outlives_the_store(void **state)
{
	const struct message_tickets tickets = tickets_of('1', 0, 0);
	struct tls_store *brief = tls_store_new(config);
	struct meeting m;

	(void)state;
	tls_store_tickets(brief, &tickets);
	load_well(brief, config);
	meet(&m, brief, 0, NULL);
	tls_store_free(&brief);
	assert_true(shake_hands(&m));
	part(&m);
}

static void warns(long from, long until, const char *sentence)
{
	const struct recipe recipe = { .name = "a", .from = from, .until = until };
	struct message_tls_loaded loaded;

	write_new(&recipe, "a.crt", "a.key");
	loaded = load(store, config, 0);
	assert_true(loaded.good);
	assert_in_range(loaded.expires - (time(NULL) + until) + 60, 0, 120);
	if (!*sentence)
		assert_string_equal(loaded.text, "");
	else if (!strstr(loaded.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, loaded.text);
}

/* Worry: an expired certificate stops a whole service at its next start, or nobody is told of it.
 */
static void test_validity(void **state)
{
	(void)state;
	warns(-DAY, 90 * DAY, "");
	warns(-2 * DAY, -DAY, "a.crt has expired");
	warns(DAY, 90 * DAY, "a.crt is not valid yet");
	warns(-DAY, 13 * DAY + 60, "a.crt expires in 312 hours");
	write_new(&usual, "a.crt", "a.key");
}

static struct message_tls_loaded load_section(const char *section)
{
	struct config *other = config_of(section);
	struct tls_store *fresh = tls_store_new(other);
	struct message_tls_loaded loaded = load(fresh, other, 0);

	tls_store_free(&fresh);
	config_free(&other);
	return loaded;
}

static void refuses(const char *section, const char *sentence)
{
	struct message_tls_loaded loaded = load_section(section);

	assert_false(loaded.good);
	if (!strstr(loaded.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, loaded.text);
}

/* Worry: an option that OpenSSL does not understand is dropped in silence. */
static void test_options(void **state)
{
#define PAIR "[tls:x]\ncertificate = a.crt\nkey = a.key\n"
	(void)state;
	refuses(PAIR "ciphers = NONSENSE\n", "ciphers names no cipher");
	refuses(PAIR "ciphers = ALL:@SECLEVEL=0\n", "not @ commands");
	refuses(PAIR "ciphersuites = TLS_NONSENSE\n", "ciphersuites has a name");
	refuses(PAIR "groups = X25519:P-0\n", "groups has a name");
	refuses(PAIR "client_ca = a.key\nverify = require\n", "a.key holds no certificate");
	refuses(PAIR "client_ca = a.crt\nverify = require\ncrl = a.crt\n",
		"a.crt holds no revocation list");
	assert_true(load_section(PAIR "ciphersuites = TLS_AES_128_CCM_SHA256\ngroups = P-521\n"
				      "min_version = 1.3\n")
			    .good);
#undef PAIR
}

/* Worry: a certificate that looks good and fails with every client is loaded all the same. */
static void test_rehearsal(void **state)
{
	const struct recipe odd = { .name = "a", .curve = "brainpoolP256r1" };

	(void)state;
	write_new(&odd, "odd.crt", "odd.key");
	refuses("[tls:x]\ncertificate = odd.crt\nkey = odd.key\npolicy = modern\n",
		"odd.crt fails in a handshake by the rules of its section: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken_reload),
		cmocka_unit_test(test_unchanged_files),
		cmocka_unit_test(test_outlives_the_store),
		cmocka_unit_test(test_validity),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_rehearsal),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
