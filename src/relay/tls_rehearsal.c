/* Why: tls_rehearsal.h. SPDX-License-Identifier: ISC */
#include "relay/tls_rehearsal.h"

#include <openssl/err.h>

#include "base/log.h"
#include "relay/tls_policy.h"

#define ROUNDS_MOST 16

static SSL *make_client(const struct tls_config *tls, SSL_CTX **ssl_ctx_r)
{
	SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());
	SSL *client;

	if (!ssl_ctx)
		fatal("no TLS context: %s", tls_fault_reason());
	SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ssl_ctx, "ALL");
	SSL_CTX_set_ciphersuites(ssl_ctx, tls_policy_ciphersuites(tls));
	if (*tls->groups)
		SSL_CTX_set1_groups_list(ssl_ctx, tls->groups);
	client = SSL_new(ssl_ctx);
	if (!client)
		fatal("out of memory");
	SSL_set_connect_state(client);
	*ssl_ctx_r = ssl_ctx;
	return client;
}

static SSL *make_server(SSL_CTX *ssl_ctx)
{
	SSL *server = SSL_new(ssl_ctx);

	if (!server)
		fatal("out of memory");
	SSL_set_num_tickets(server, 0);
	SSL_set_options(server, SSL_OP_NO_TICKET);
	SSL_set_accept_state(server);
	return server;
}

static void connect_in_memory(SSL *client, SSL *server)
{
	BIO *near, *far;

	if (!BIO_new_bio_pair(&near, 0, &far, 0))
		fatal("out of memory");
	SSL_set_bio(client, near, near);
	SSL_set_bio(server, far, far);
}

/* 1 over, 0 not yet, -1 failed. */
static int take_turn(SSL *ssl)
{
	int n = SSL_do_handshake(ssl), what;

	if (n == 1)
		return 1;
	what = SSL_get_error(ssl, n);
	return what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* The server's queue of errors is looked at first: it knows what it lacks. */
static bool shake_hands(SSL *client, SSL *server)
{
	for (int i = 0; i < ROUNDS_MOST; i++) {
		int there, here;

		ERR_clear_error();
		there = take_turn(client);
		if (there < 0)
			return false;
		here = take_turn(server);
		if (here < 0)
			return false;
		if (there > 0 && here > 0)
			return true;
	}
	return false;
}

static bool client_saw(SSL *client, const struct tls_certificate *certificate)
{
	X509 *seen = SSL_get0_peer_certificate(client);

	return seen && X509_cmp(seen, certificate->leaf) == 0;
}

bool tls_rehearse(const struct tls_config *tls, const struct tls_certificate *certificate,
		  struct tls_fault *fault)
{
	SSL_CTX *server_ctx = tls_policy_context(tls, fault), *client_ctx;
	SSL *client, *server;
	bool good;

	if (!server_ctx)
		return false;
	if (!tls_policy_use(server_ctx, certificate, fault)) {
		SSL_CTX_free(server_ctx);
		return false;
	}
	client = make_client(tls, &client_ctx);
	server = make_server(server_ctx);
	connect_in_memory(client, server);
	good = (shake_hands(client, server) && client_saw(client, certificate)) ||
	       tls_fault_set(fault, tls_file_option(&certificate->file),
			     tls_file_item(&certificate->file),
			     "%s fails in a handshake by the rules of its section: %s",
			     certificate->file.path, tls_fault_reason());
	SSL_free(client);
	SSL_free(server);
	SSL_CTX_free(client_ctx);
	SSL_CTX_free(server_ctx);
	ERR_clear_error();
	return good;
}
