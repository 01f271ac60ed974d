/* Why: tls_ticket.h. Source: SSL_CTX_set_tlsext_ticket_key_evp_cb(3),
 * SSL_CTX_set_session_ticket_cb(3), EVP_KDF-HKDF(7). SPDX-License-Identifier: ISC */
#include "relay/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

#define IV_SIZE 16

/* AES-256-CBC and HMAC-SHA256, as RFC 5077 4 recommends them; looked up once. */
struct tls_tickets {
	struct ticket_key keys[TICKET_KEYS];
	bool is_key[TICKET_KEYS];
	unsigned serial; /* counts changes */
	unsigned owners;
	EVP_CIPHER *cipher;
	EVP_KDF *kdf;
};

struct tls_ring {
	struct tls_tickets *tickets;
	unsigned serial; /* of the keys that these are made from; 0: none yet */
	uint8_t identity[TLS_IDENTITY_SIZE];
	struct ticket_key keys[TICKET_KEYS];
};

struct tls_tickets *tls_tickets_new(void)
{
	struct tls_tickets *tickets = OPENSSL_secure_zalloc(sizeof *tickets);

	if (!tickets)
		fatal("out of memory");
	tickets->owners = 1;
	tickets->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	tickets->kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (!tickets->cipher || !tickets->kdf)
		fatal("OpenSSL lacks AES-256-CBC or HKDF");
	return tickets;
}

struct tls_tickets *tls_tickets_hold(struct tls_tickets *tickets)
{
	tickets->owners++;
	return tickets;
}

void tls_tickets_release(struct tls_tickets **tickets)
{
	struct tls_tickets *t = *tickets;

	*tickets = NULL;
	if (!t || --t->owners > 0)
		return;
	EVP_CIPHER_free(t->cipher);
	EVP_KDF_free(t->kdf);
	OPENSSL_secure_clear_free(t, sizeof *t);
}

void tls_tickets_set(struct tls_tickets *tickets, const struct message_tickets *message)
{
	static const struct ticket_key none;

	memcpy(tickets->keys, message->keys, sizeof tickets->keys);
	for (size_t i = 0; i < TICKET_KEYS; i++)
		tickets->is_key[i] =
			CRYPTO_memcmp(tickets->keys[i].aes, none.aes, sizeof none.aes) != 0 &&
			CRYPTO_memcmp(tickets->keys[i].hmac, none.hmac, sizeof none.hmac) != 0;
	tickets->serial++;
}

bool tls_tickets_usable(const struct tls_tickets *tickets)
{
	return tickets->is_key[0];
}

/* key_r: name, AES key and HMAC key in one piece, as the struct has them. */
static bool derive(const struct tls_tickets *tickets, const struct ticket_key *shared,
		   const uint8_t *identity, struct ticket_key *key_r)
{
	EVP_KDF_CTX *kdf = EVP_KDF_CTX_new(tickets->kdf);
	uint8_t info[sizeof "limpet ticket" - 1 + TLS_IDENTITY_SIZE] = "limpet ticket";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)shared->aes,
						  sizeof shared->aes + sizeof shared->hmac),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)shared->name,
						  sizeof shared->name),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info),
		OSSL_PARAM_construct_end(),
	};
	bool good;

	_Static_assert(sizeof(struct ticket_key) == 80, "three arrays of bytes, no padding");
	memcpy(info + sizeof "limpet ticket" - 1, identity, TLS_IDENTITY_SIZE);
	good = kdf && EVP_KDF_derive(kdf, (unsigned char *)key_r, sizeof *key_r, params) > 0;
	EVP_KDF_CTX_free(kdf);
	return good;
}

/* Made when first needed: a directory may have a thousand contexts and a rotation must not stop
 * the loop for all of them. */
static bool refresh(struct tls_ring *ring)
{
	const struct tls_tickets *tickets = ring->tickets;

	if (ring->serial == tickets->serial)
		return true;
	for (size_t i = 0; i < TICKET_KEYS; i++)
		if (tickets->is_key[i] &&
		    !derive(tickets, &tickets->keys[i], ring->identity, &ring->keys[i]))
			return false;
	ring->serial = tickets->serial;
	return true;
}

static int set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->hmac,
						  sizeof key->hmac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

static int seal(struct tls_ring *ring, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *ctx,
		EVP_MAC_CTX *mac)
{
	const struct ticket_key *key = &ring->keys[0];

	if (!ring->tickets->is_key[0])
		return 0;
	memcpy(name, key->name, sizeof key->name);
	if (RAND_bytes(iv, IV_SIZE) <= 0 ||
	    !EVP_EncryptInit_ex2(ctx, ring->tickets->cipher, key->aes, iv, NULL) ||
	    !set_mac(mac, key))
		return -1;
	return 1;
}

/* 2: good, and the client gets a fresh one. In TLS 1.3 always: a ticket should be used once. */
static int unseal(SSL *ssl, struct tls_ring *ring, const unsigned char *name, unsigned char *iv,
		  EVP_CIPHER_CTX *ctx, EVP_MAC_CTX *mac)
{
	for (size_t i = 0; i < TICKET_KEYS; i++) {
		const struct ticket_key *key = &ring->keys[i];

		if (!ring->tickets->is_key[i] || memcmp(name, key->name, sizeof key->name) != 0)
			continue;
		if (!EVP_DecryptInit_ex2(ctx, ring->tickets->cipher, key->aes, iv, NULL) ||
		    !set_mac(mac, key))
			return -1;
		return i == 0 && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
	}
	return 0;
}

/* The context is the one that the client's hello has chosen. */
static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *ctx,
			 EVP_MAC_CTX *mac, int sealing)
{
	struct tls_ring *ring = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (!refresh(ring))
		return -1;
	return sealing ? seal(ring, name, iv, ctx, mac) : unseal(ssl, ring, name, iv, ctx, mac);
}

/* When the client last proved himself in full; 0: not known. */
static int64_t authenticated_at(SSL_SESSION *session)
{
	int64_t at = 0;
	void *data;
	size_t length;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &length) && length == sizeof at)
		memcpy(&at, data, sizeof at);
	return at;
}

static int on_ticket_made(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	int64_t at = SSL_session_reused(ssl) ? authenticated_at(session) : 0;
	int64_t begun = SSL_SESSION_get_time(session), left;

	(void)arg;
	if (at == 0)
		at = time(NULL);
	left = TLS_TICKET_LIFETIME - (begun - at);
	SSL_SESSION_set_timeout(session, left > 0 ? (long)left : 1);
	return SSL_SESSION_set1_ticket_appdata(session, &at, sizeof at);
}

static SSL_TICKET_RETURN on_ticket_seen(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
					size_t length, SSL_TICKET_STATUS status, void *arg)
{
	int64_t at, now = time(NULL);

	(void)ssl;
	(void)name;
	(void)length;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	at = authenticated_at(session);
	if (at == 0 || now < at || now - at >= TLS_TICKET_LIFETIME)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

struct tls_ring *tls_ring_new(struct tls_tickets *tickets, const uint8_t *identity,
			      SSL_CTX *ssl_ctx)
{
	struct tls_ring *ring = OPENSSL_secure_zalloc(sizeof *ring);

	if (!ring)
		fatal("out of memory");
	ring->tickets = tls_tickets_hold(tickets);
	memcpy(ring->identity, identity, sizeof ring->identity);
	if (!SSL_CTX_set_app_data(ssl_ctx, ring) ||
	    !SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl_ctx, on_ticket_key) ||
	    !SSL_CTX_set_session_ticket_cb(ssl_ctx, on_ticket_made, on_ticket_seen, NULL))
		fatal("out of memory");
	SSL_CTX_set_timeout(ssl_ctx, TLS_TICKET_LIFETIME);
	return ring;
}

void tls_ring_free(struct tls_ring **ring)
{
	struct tls_ring *r = *ring;

	*ring = NULL;
	if (!r)
		return;
	tls_tickets_release(&r->tickets);
	OPENSSL_secure_clear_free(r, sizeof *r);
}
