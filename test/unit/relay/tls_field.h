/* Why: the tests of TLS need certificates of every kind, and a client that can misbehave. Both are
 * made here with OpenSSL itself: certificates in an empty directory that goes with the test,
 * clients at the other end of a socket pair. SPDX-License-Identifier: ISC */
#ifndef TEST_RELAY_TLS_FIELD_H
#define TEST_RELAY_TLS_FIELD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "relay/tls.h"
#include "relay/tls_policy.h"
#include "wire/tls_path.h"

#define DAY (24L * 3600)

static char field[64];

__attribute__((unused)) static int field_begin(void **state)
{
	(void)state;
	tls_library_begin();
	snprintf(field, sizeof field, "/tmp/limpet-unit.XXXXXX");
	return mkdtemp(field) && chdir(field) == 0 ? 0 : -1;
}

__attribute__((unused)) static int field_end(void **state)
{
	DIR *dir = opendir(field);
	struct dirent *entry;

	(void)state;
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	return chdir("/") == 0 && rmdir(field) == 0 ? 0 : -1;
}

/* --- Certificates --- */

struct identity {
	X509 *certificate;
	EVP_PKEY *key;
};
struct recipe {
	const char *name;          /* common name */
	const char *others;        /* "DNS:a.example,DNS:b.example", or NULL */
	int rsa_bits;              /* 0: ECDSA */
	const char *curve;         /* NULL: P-256 */
	long from, until;          /* seconds from now; both 0: a day ago, in a year */
	const struct identity *by; /* NULL: signs itself */
	bool is_authority;
};

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(extension);
	assert_true(X509_add_ext(certificate, extension, -1));
	X509_EXTENSION_free(extension);
}

__attribute__((unused)) static void identity_make(struct identity *made,
						  const struct recipe *recipe)
{
	static long serial = 1;
	X509 *c = made->certificate = X509_new();
	EVP_PKEY *key = made->key = recipe->rsa_bits
					    ? EVP_RSA_gen((unsigned)recipe->rsa_bits)
					    : EVP_EC_gen(recipe->curve ? recipe->curve : "P-256");
	bool usual = recipe->from == 0 && recipe->until == 0;

	assert_non_null(c);
	assert_non_null(key);
	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c), usual ? -DAY : recipe->from);
	X509_gmtime_adj(X509_getm_notAfter(c), usual ? 365 * DAY : recipe->until);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_UTF8,
				   (const unsigned char *)recipe->name, -1, -1, 0);
	X509_set_issuer_name(c, X509_get_subject_name(recipe->by ? recipe->by->certificate : c));
	X509_set_pubkey(c, key);
	add_extension(c, c, NID_basic_constraints,
		      recipe->is_authority ? "critical,CA:TRUE" : "CA:FALSE");
	if (recipe->others)
		add_extension(c, c, NID_subject_alt_name, recipe->others);
	assert_true(X509_sign(c, recipe->by ? recipe->by->key : key, EVP_sha256()));
}

__attribute__((unused)) static void identity_free(struct identity *identity)
{
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){ .key = NULL };
}

static FILE *open_private(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	assert_non_null(out);
	return out;
}

/* "x.crt" (and what is behind it), "x.key"; or both in one. */
__attribute__((unused)) static void identity_write(const struct identity *identity,
						   const struct identity *behind,
						   const char *certificate, const char *key)
{
	FILE *out = open_private(certificate);

	PEM_write_X509(out, identity->certificate);
	if (behind)
		PEM_write_X509(out, behind->certificate);
	if (key) {
		fclose(out);
		out = open_private(key);
	}
	PEM_write_PrivateKey(out, identity->key, NULL, NULL, 0, NULL, NULL);
	fclose(out);
}

__attribute__((unused)) static void write_new(const struct recipe *recipe, const char *certificate,
					      const char *key)
{
	struct identity made;

	identity_make(&made, recipe);
	identity_write(&made, NULL, certificate, key);
	identity_free(&made);
}

/* --- Sections --- */

/* `sections`: the text of the [tls:...] sections. */
__attribute__((unused)) static struct config *config_of(const char *sections)
{
	struct config *config;
	struct error e;
	char text[4096];

	snprintf(text, sizeof text,
		 "[listen:app]\nbind = :3000\n[pool:app]\ncommand = /bin/cat\ndelivery = fd\n%s",
		 sections);
	config = config_parse("f.ini", text, strlen(text), &e);
	if (!config)
		fail_msg("%s", e.text);
	return config;
}

static bool give_file(const struct tls_path *path, void *store, struct error *e)
{
	int fd;

	if (!tls_path_open(path, &fd, e))
		return false;
	tls_store_file(store, &path->file, &fd);
	assert_int_equal(fd, -1);
	return true;
}

/* As the supervisor and a relay do it. */
__attribute__((unused)) static struct message_tls_loaded
load(struct tls_store *store, const struct config *config, size_t tls)
{
	static uint32_t serial;
	const struct message_tls message = { .tls = (uint32_t)tls, .serial = ++serial };
	struct message_tls_loaded loaded;
	struct error e;

	if (!tls_path_each(&config->tlss[tls], give_file, store, &e))
		fail_msg("%s", e.text);
	tls_store_load(store, &message, &loaded);
	assert_int_equal(loaded.serial, serial);
	assert_int_equal(loaded.tls, tls);
	return loaded;
}

__attribute__((unused)) static void load_well(struct tls_store *store, const struct config *config)
{
	for (size_t i = 0; i < config->tls_count; i++) {
		struct message_tls_loaded loaded = load(store, config, i);

		if (!loaded.good)
			fail_msg("%s", loaded.text);
	}
}

__attribute__((unused)) static struct message_tickets tickets_of(char first, char second,
								 char third)
{
	const char letters[TICKET_KEYS] = { first, second, third };
	struct message_tickets message = { .keys = { { .name = { 0 } } } };

	for (size_t i = 0; i < TICKET_KEYS; i++)
		if (letters[i])
			memset(&message.keys[i], letters[i], sizeof message.keys[i]);
	return message;
}

/* --- A client and its connection --- */

struct meeting {
	SSL_CTX *client_ctx;
	SSL *client;
	struct tls *server;
	int client_fd, server_fd;
	enum tls_result result; /* of the server's handshake */
	int client_error;       /* 0: its handshake was over; else SSL_get_error's word */
	int alert;              /* that the client got; 0: none */
};

__attribute__((unused)) static SSL_CTX *client_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_non_null(ctx);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	return ctx;
}

static void note_alert(const SSL *ssl, int where, int value)
{
	struct meeting *meeting = SSL_get_app_data(ssl);

	if (where == SSL_CB_READ_ALERT)
		meeting->alert = value & 0xff;
}

/* Takes `ctx`; NULL: an ordinary client. */
__attribute__((unused)) static void meet(struct meeting *m, struct tls_store *store, size_t tls,
					 SSL_CTX *ctx)
{
	int pair[2];

	*m = (struct meeting){ .client_ctx = ctx ? ctx : client_context(), .client_error = -1 };
	assert_int_equal(fd_pair(SOCK_STREAM, pair), 0);
	m->client_fd = pair[0];
	m->server_fd = pair[1];
	m->client = SSL_new(m->client_ctx);
	assert_non_null(m->client);
	SSL_set_fd(m->client, m->client_fd);
	SSL_set_app_data(m->client, m);
	SSL_set_info_callback(m->client, note_alert);
	SSL_set_connect_state(m->client);
	m->server = tls_begin(store, tls, m->server_fd);
	assert_non_null(m->server);
}

static void client_turn(struct meeting *m)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(m->client);
	m->client_error = n == 1 ? 0 : SSL_get_error(m->client, n);
}

__attribute__((unused)) static bool is_waiting(enum tls_result result)
{
	return result == TLS_WANT_READ || result == TLS_WANT_WRITE;
}

static bool client_waits(const struct meeting *m)
{
	return m->client_error == SSL_ERROR_WANT_READ || m->client_error == SSL_ERROR_WANT_WRITE;
}

/* Both sides in turn, until neither waits. true: both are through. */
__attribute__((unused)) static bool shake_hands(struct meeting *m)
{
	char byte;

	m->result = TLS_WANT_READ;
	m->client_error = SSL_ERROR_WANT_READ;
	for (int i = 0; i < 100 && (is_waiting(m->result) || client_waits(m)); i++) {
		if (client_waits(m))
			client_turn(m);
		if (is_waiting(m->result))
			m->result = tls_handshake(m->server);
		if (m->result == TLS_BROKEN && !client_waits(m))
			break;
	}
	if (m->client_error == 0) /* tickets of 1.3, or an alert, come behind */
		SSL_peek(m->client, &byte, 1);
	ERR_clear_error();
	return m->result == TLS_DONE && m->client_error == 0;
}

__attribute__((unused)) static void part(struct meeting *m)
{
	tls_end(&m->server);
	SSL_free(m->client);
	SSL_CTX_free(m->client_ctx);
	fd_close(&m->client_fd);
	fd_close(&m->server_fd);
}

#endif
