/* Why: tls_rehearsal.h. SPDX-License-Identifier: ISC */
#include "relay/tls_rehearsal.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/log.h"
#include "relay/tls_policy.h"

#define ROUNDS_MOST 16

struct tls_rehearsal {
	SSL_CTX *server, *client; /* made once: each costs as much as a handshake */
};

static SSL_CTX *client_context(const struct tls_config *tls)
{
	SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_client_method());

	if (!ssl_ctx)
		fatal("no TLS context: %s", tls_fault_reason());
	SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ssl_ctx, "ALL");
	SSL_CTX_set_ciphersuites(ssl_ctx, tls_policy_ciphersuites(tls));
	if (*tls->groups)
		SSL_CTX_set1_groups_list(ssl_ctx, tls->groups);
	return ssl_ctx;
}

struct tls_rehearsal *tls_rehearsal_new(const struct tls_config *tls, struct tls_fault *fault)
{
	SSL_CTX *server = tls_policy_context(tls, fault);
	struct tls_rehearsal *rehearsal;

	if (!server)
		return NULL;
	rehearsal = malloc(sizeof *rehearsal);
	if (!rehearsal)
		fatal("out of memory");
	SSL_CTX_set_num_tickets(server, 0);
	SSL_CTX_set_options(server, SSL_OP_NO_TICKET);
	rehearsal->server = server;
	rehearsal->client = client_context(tls);
	return rehearsal;
}

void tls_rehearsal_free(struct tls_rehearsal **rehearsal)
{
	struct tls_rehearsal *r = *rehearsal;

	*rehearsal = NULL;
	if (!r)
		return;
	SSL_CTX_free(r->server);
	SSL_CTX_free(r->client);
	free(r);
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

static bool perform(SSL *client, SSL *server, const struct tls_certificate *certificate)
{
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	connect_in_memory(client, server);
	return shake_hands(client, server) && client_saw(client, certificate);
}

bool tls_rehearsal_try(struct tls_rehearsal *rehearsal, const struct tls_certificate *certificate,
		       struct tls_fault *fault)
{
	SSL *client = SSL_new(rehearsal->client), *server = SSL_new(rehearsal->server);
	const char *what = NULL;

	if (!client || !server)
		fatal("out of memory");
	ERR_clear_error();
	if (SSL_use_cert_and_key(server, certificate->leaf, certificate->key, certificate->chain,
				 1) != 1)
		what = "cannot be used";
	else if (!perform(client, server, certificate))
		what = "fails in a handshake by the rules of its section";
	if (what)
		tls_fault_set(fault, tls_file_option(&certificate->file),
			      tls_file_item(&certificate->file), "%s %s: %s",
			      certificate->file.path, what, tls_fault_reason());
	SSL_free(client);
	SSL_free(server);
	ERR_clear_error();
	return !what;
}
