/* Why: one connection. OpenSSL's answers become the few that a pump needs; in between lie its error
 * queue, which belongs to the thread and not to a connection, and data that it has read ahead.
 * Source: SSL_get_error(3), SSL_has_pending(3), SSL_shutdown(3). SPDX-License-Identifier: ISC */
#include "relay/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "relay/tls_name.h"
#include "relay/tls_store.h"
#include "relay/tls_wire.h"

#define HANDSHAKE_BYTES_MOST (64u << 10)

struct tls {
	SSL *ssl;
	struct tls_context *context; /* held */
	struct tls_wire wire;
	unsigned long why; /* OpenSSL's code of what broke it; 0: wire.error, or the peer's end */
	bool is_broken;
	bool is_unsaid; /* an end was seen behind data that was given out: it is still to be told */
	bool is_starved; /* what is read ahead is less than a record */
	bool has_ended;  /* our close_notify is out */
};

struct tls *tls_begin(struct tls_store *store, size_t tls, int fd)
{
	struct tls_context *context = tls_store_context(store, tls);
	struct tls *t;
	BIO *bio;

	if (!context)
		return NULL;
	t = calloc(1, sizeof *t);
	if (!t)
		fatal("out of memory");
	ERR_clear_error();
	t->ssl = tls_context_connection(context);
	if (!t->ssl)
		fatal("no TLS connection: %s", tls_fault_reason());
	t->context = tls_context_hold(context);
	t->wire.fd = fd;
	t->wire.budget = HANDSHAKE_BYTES_MOST;
	bio = tls_wire_bio(&t->wire);
	SSL_set_bio(t->ssl, bio, bio);
	return t;
}

void tls_end(struct tls **tls)
{
	struct tls *t = *tls;

	*tls = NULL;
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_context_release(&t->context);
	ERR_clear_error();
	free(t);
}

static enum tls_result broken(struct tls *tls)
{
	tls->is_broken = true;
	tls->why = ERR_peek_error();
	ERR_clear_error();
	return TLS_BROKEN;
}

/* What a call that returned `value` (not a success) means. */
static enum tls_result outcome(struct tls *tls, int value)
{
	switch (SSL_get_error(tls->ssl, value)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	default:
		return broken(tls);
	}
}

enum tls_result tls_handshake(struct tls *tls)
{
	enum tls_result result;
	int n;

	if (tls->is_broken)
		return TLS_BROKEN;
	ERR_clear_error();
	n = SSL_do_handshake(tls->ssl);
	if (n == 1) {
		tls->wire.budget = TLS_WIRE_UNLIMITED;
		return TLS_DONE;
	}
	result = outcome(tls, n);
	return result == TLS_EOF ? broken(tls) : result;
}

/* A FIN without a record in front of it leaves OpenSSL's queue empty. */
static enum tls_result read_outcome(struct tls *tls)
{
	enum tls_result result;

	if (SSL_get_error(tls->ssl, 0) == SSL_ERROR_SYSCALL && tls->wire.is_ended &&
	    tls->wire.error == 0)
		return TLS_TRUNCATED;
	result = outcome(tls, 0);
	tls->is_starved = result == TLS_WANT_READ;
	return result;
}

static bool is_end(enum tls_result result)
{
	return result != TLS_WANT_READ && result != TLS_WANT_WRITE;
}

size_t tls_read(struct tls *tls, void *out, size_t size, enum tls_result *result_r)
{
	size_t total = 0, n;

	tls->is_unsaid = tls->is_starved = false;
	*result_r = tls->is_broken ? TLS_BROKEN : TLS_DONE;
	if (tls->is_broken)
		return 0;
	do {
		ERR_clear_error();
		if (!SSL_read_ex(tls->ssl, (char *)out + total, size - total, &n)) {
			*result_r = read_outcome(tls);
			tls->is_unsaid = total > 0 && is_end(*result_r);
			break;
		}
		total += n;
	} while (total < size && (!tls->wire.is_drained || SSL_has_pending(tls->ssl)));
	return total;
}

size_t tls_write(struct tls *tls, const void *bytes, size_t size, enum tls_result *result_r)
{
	size_t total = 0, n;

	*result_r = tls->is_broken ? TLS_BROKEN : TLS_DONE;
	while (total < size && !tls->is_broken) {
		ERR_clear_error();
		if (!SSL_write_ex(tls->ssl, (const char *)bytes + total, size - total, &n)) {
			*result_r = outcome(tls, 0);
			break;
		}
		total += n;
	}
	return total;
}

bool tls_pending(const struct tls *tls)
{
	return tls->is_unsaid || (!tls->is_starved && !tls->is_broken && SSL_has_pending(tls->ssl));
}

enum tls_result tls_shutdown(struct tls *tls)
{
	enum tls_result result;
	int n;

	if (tls->is_broken)
		return TLS_BROKEN;
	if (tls->has_ended || !SSL_is_init_finished(tls->ssl))
		return TLS_DONE;
	ERR_clear_error();
	n = SSL_shutdown(tls->ssl);
	if (n < 0) {
		result = outcome(tls, n);
		if (result != TLS_WANT_READ) /* that: ours is out, the peer's is awaited */
			return result;
	}
	tls->has_ended = true;
	return TLS_DONE;
}

bool tls_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

/* --- What it was, in words --- */

/* The common name, if it is text without control characters. */
static void tell_client(const X509 *certificate, char *out, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), length;
	unsigned char *text = NULL;

	if (at < 0)
		return;
	length = ASN1_STRING_to_UTF8(&text,
				     X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	for (int i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] == 0x7f)
			length = -1;
	if (length > 0)
		snprintf(out, size, "%.*s", length, (const char *)text);
	OPENSSL_free(text);
}

void tls_tell(const struct tls *tls, struct passport *passport)
{
	const X509 *certificate = SSL_get0_peer_certificate(tls->ssl);
	const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
	const unsigned char *alpn;
	unsigned alpn_length;
	char clean[TLS_NAME_SIZE];

	ERR_clear_error();
	passport->is_tls = true;
	passport->is_verified = certificate && SSL_get_verify_result(tls->ssl) == X509_V_OK;
	snprintf(passport->tls_version, sizeof passport->tls_version, "%s",
		 SSL_get_version(tls->ssl));
	snprintf(passport->cipher, sizeof passport->cipher, "%s", SSL_get_cipher_name(tls->ssl));
	SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_length);
	snprintf(passport->alpn, sizeof passport->alpn, "%.*s", (int)alpn_length,
		 alpn_length ? (const char *)alpn : "");
	passport->server_name[0] = passport->client_name[0] = '\0';
	if (name && tls_name_read(name, strlen(name), false, clean))
		snprintf(passport->server_name, sizeof passport->server_name, "%s", clean);
	if (passport->is_verified)
		tell_client(certificate, passport->client_name, sizeof passport->client_name);
	ERR_clear_error();
}

/* Alerts that came are reasons 1000 + their number. */
static bool tell_alert(unsigned long code, char *out, size_t size)
{
	const int reason = ERR_GET_REASON(code);

	if (reason < SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + UINT8_MAX)
		return false;
	snprintf(out, size, "client: %s",
		 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
	return true;
}

static const char *plain_reason(int reason)
{
	switch (reason) {
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return "plain HTTP, not TLS";
	case SSL_R_WRONG_VERSION_NUMBER:
		return "this is not TLS (wrong version number)";
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
		return "client speaks only versions of TLS that are not allowed here";
	case SSL_R_CALLBACK_FAILED:
		return "no certificate has the server name that the client asked for";
	case SSL_R_NO_APPLICATION_PROTOCOL:
		return "client shares no protocol of alpn";
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return "client showed no certificate";
	default:
		return NULL;
	}
}

static void tell_code(const struct tls *tls, char *out, size_t size)
{
	const int reason = ERR_GET_REASON(tls->why);
	const char *words = plain_reason(reason);

	if (tell_alert(tls->why, out, size))
		return;
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(out, size, "client's certificate: %s",
			 X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
	else
		snprintf(out, size, "%s", words ? words : ERR_reason_error_string(tls->why));
}

const char *tls_why(const struct tls *tls)
{
	static char text[160];

	if (tls->why &&
	    (ERR_reason_error_string(tls->why) || plain_reason(ERR_GET_REASON(tls->why))))
		tell_code(tls, text, sizeof text);
	else if (tls->wire.is_flooded)
		snprintf(text, sizeof text,
			 "client sent more than %u bytes before the handshake was over",
			 HANDSHAKE_BYTES_MOST);
	else if (tls->wire.error)
		snprintf(text, sizeof text, "%s", strerror(tls->wire.error));
	else if (tls->wire.is_ended || SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN)
		snprintf(text, sizeof text, "client left");
	else
		text[0] = '\0';
	return text;
}
