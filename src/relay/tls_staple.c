/* Why: tls_staple.h. There is no fetching: who renews the file renews the staple.
 * Source: OCSP_resp_find_status(3), SSL_CTX_set_tlsext_status_cb(3). SPDX-License-Identifier: ISC
 */
#include "relay/tls_staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"

#define CLOCK_SKEW 300 /* s that clocks may differ */

struct tls_staple {
	unsigned char *der;
	size_t length;
	X509 *leaf; /* the certificate that it speaks of */
	int64_t from, until;
	bool is_told; /* that it is out of date */
	char path[sizeof((struct message_tls_file *)0)->path];
};

static int64_t seconds(const ASN1_GENERALIZEDTIME *at)
{
	struct tm tm;

	return at && ASN1_TIME_to_tm(at, &tm) ? timegm(&tm) : 0;
}

/* Signed by the issuer, or by whom the issuer has charged with it. */
static bool is_signed(OCSP_BASICRESP *basic, const struct tls_certificate *certificate)
{
	X509_STORE *store = X509_STORE_new();
	bool good;

	if (!store || !X509_STORE_add_cert(store, sk_X509_value(certificate->chain, 0)))
		fatal("out of memory");
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	good = OCSP_basic_verify(basic, certificate->chain, store, 0) == 1;
	X509_STORE_free(store);
	return good;
}

static bool find_status(OCSP_BASICRESP *basic, const struct tls_certificate *certificate,
			const EVP_MD *digest, struct tls_staple *staple, int *status_r)
{
	OCSP_CERTID *id =
		OCSP_cert_to_id(digest, certificate->leaf, sk_X509_value(certificate->chain, 0));
	ASN1_GENERALIZEDTIME *from, *until;
	bool found = id && OCSP_resp_find_status(basic, id, status_r, NULL, NULL, &from, &until);

	OCSP_CERTID_free(id);
	if (!found)
		return false;
	staple->from = seconds(from);
	staple->until = seconds(until);
	return true;
}

static bool check_basic(OCSP_BASICRESP *basic, const struct tls_certificate *certificate,
			struct tls_staple *staple, struct error *e)
{
	int status;

	if (!find_status(basic, certificate, EVP_sha1(), staple, &status) &&
	    !find_status(basic, certificate, EVP_sha256(), staple, &status))
		return error_set(e, "does not speak of the first certificate");
	if (!is_signed(basic, certificate))
		return error_set(e, "is not signed by the certificate's authority: %s",
				 tls_fault_reason());
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return error_set(e, "calls the certificate %s", OCSP_cert_status_str(status));
	if (staple->until == 0)
		return error_set(e, "does not say until when it holds");
	if (staple->until <= time(NULL))
		return error_set(e, "is out of date");
	return true;
}

static bool check(const struct tls_bytes *der, const struct tls_certificate *certificate,
		  struct tls_staple *staple, struct error *e)
{
	const unsigned char *at = der->data;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der->length);
	OCSP_BASICRESP *basic = NULL;
	bool good;

	if (!response)
		return error_set(e, "is no OCSP response in DER: %s", tls_fault_reason());
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		good = error_set(e, "is the answer to a failed request");
	else if (sk_X509_num(certificate->chain) == 0)
		good = error_set(e, "cannot be checked: %s lacks the authority's certificate",
				 certificate->file.path);
	else if (!(basic = OCSP_response_get1_basic(response)))
		good = error_set(e, "cannot be read: %s", tls_fault_reason());
	else
		good = check_basic(basic, certificate, staple, e);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return good;
}

struct tls_staple *tls_staple_new(const struct tls_bytes *der, const char *path,
				  const struct tls_certificate *certificate, struct error *e)
{
	struct tls_staple *staple = calloc(1, sizeof *staple);

	if (!staple)
		fatal("out of memory");
	ERR_clear_error();
	if (!check(der, certificate, staple, e)) {
		ERR_clear_error();
		free(staple);
		return NULL;
	}
	snprintf(staple->path, sizeof staple->path, "%s", path);
	staple->length = der->length;
	staple->der = OPENSSL_memdup(der->data, der->length);
	if (!staple->der || !X509_up_ref(certificate->leaf))
		fatal("out of memory");
	staple->leaf = certificate->leaf;
	return staple;
}

void tls_staple_free(struct tls_staple **staple)
{
	struct tls_staple *s = *staple;

	*staple = NULL;
	if (!s)
		return;
	X509_free(s->leaf);
	OPENSSL_free(s->der);
	free(s);
}

static bool holds_now(struct tls_staple *staple)
{
	const int64_t now = time(NULL);

	if (staple->from <= now + CLOCK_SKEW && now < staple->until)
		return true;
	if (!staple->is_told)
		log_warning("%s is out of date: clients get no OCSP staple", staple->path);
	staple->is_told = true;
	return false;
}

/* Called when the certificate of this handshake is chosen, and only where the client asked. */
static int on_status_asked(SSL *ssl, void *arg)
{
	struct tls_staple *staple = arg;
	unsigned char *copy;

	if (SSL_get_certificate(ssl) != staple->leaf || !holds_now(staple))
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(staple->der, staple->length);
	if (!copy)
		fatal("out of memory");
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->length);
	return SSL_TLSEXT_ERR_OK;
}

void tls_staple_install(struct tls_staple *staple, SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_tlsext_status_cb(ssl_ctx, on_status_asked);
	SSL_CTX_set_tlsext_status_arg(ssl_ctx, staple);
}
