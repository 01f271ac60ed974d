/* Why: tls_certificate.h. SPDX-License-Identifier: ISC */
#include "relay/tls_certificate.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "relay/tls_name.h"

#define RSA_LEAST_BITS 2048
#define SOON           (14 * 24 * 3600)

const char *tls_file_option(const struct message_tls_file *file)
{
	static const char *const options[] = {
		[TLS_FILE_CERTIFICATE] = "certificate",
		[TLS_FILE_KEY] = "key",
		[TLS_FILE_BOTH] = "directory",
		[TLS_FILE_CLIENT_CA] = "client_ca",
		[TLS_FILE_CRL] = "crl",
		[TLS_FILE_STAPLE] = "ocsp_staple",
	};

	return file->kind < sizeof options / sizeof *options ? options[file->kind] : NULL;
}

/* `directory` is one line, whichever of its files is meant. */
size_t tls_file_item(const struct message_tls_file *file)
{
	return file->kind == TLS_FILE_BOTH ? 0 : file->number;
}

#define fault_of(fault, file, ...)                                                                 \
	tls_fault_set(fault, tls_file_option(file), tls_file_item(file), __VA_ARGS__)

static int64_t seconds(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

static void add_name(struct tls_certificate *certificate, const ASN1_STRING *text)
{
	char name[TLS_NAME_SIZE];

	if (!tls_name_read(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text), true,
			   name) ||
	    tls_certificate_has_name(certificate, name))
		return;
	certificate->names = reallocarray((void *)certificate->names, certificate->name_count + 1,
					  sizeof *certificate->names);
	if (!certificate->names || !(certificate->names[certificate->name_count] = strdup(name)))
		fatal("out of memory");
	certificate->name_count++;
}

/* The common name counts only where there are no alternative names at all. RFC 6125 6.4.4. */
static void read_names(struct tls_certificate *certificate)
{
	GENERAL_NAMES *names =
		X509_get_ext_d2i(certificate->leaf, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(certificate->leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_name(certificate, name->d.dNSName);
	}
	if (!names && at >= 0)
		add_name(certificate, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	GENERAL_NAMES_free(names);
}

bool tls_certificate_take_key(struct tls_certificate *certificate, struct tls_pem *pem,
			      struct tls_fault *fault)
{
	if (!pem->key)
		return fault_of(fault, &certificate->key_file, "%s holds no private key",
				certificate->key_file.path);
	EVP_PKEY_free(certificate->key);
	certificate->key = pem->key;
	pem->key = NULL;
	return true;
}

bool tls_certificate_take(struct tls_certificate *certificate, struct tls_pem *pem,
			  struct tls_fault *fault)
{
	if (sk_X509_num(pem->certificates) == 0)
		return fault_of(fault, &certificate->file, "%s holds no certificate",
				certificate->file.path);
	if (certificate->leaf)
		return fault_of(fault, &certificate->file, "%s came twice", certificate->file.path);
	certificate->leaf = sk_X509_shift(pem->certificates);
	certificate->chain = pem->certificates;
	pem->certificates = NULL;
	certificate->from = seconds(X509_get0_notBefore(certificate->leaf));
	certificate->until = seconds(X509_get0_notAfter(certificate->leaf));
	read_names(certificate);
	if (certificate->file.kind != TLS_FILE_BOTH)
		return true;
	certificate->key_file = certificate->file;
	return tls_certificate_take_key(certificate, pem, fault);
}

void tls_certificate_share_key(struct tls_certificate *certificate,
			       const struct tls_certificate *other)
{
	EVP_PKEY_up_ref(other->key);
	EVP_PKEY_free(certificate->key);
	certificate->key = other->key;
}

void tls_certificate_share(struct tls_certificate *certificate, const struct tls_certificate *other)
{
	X509_up_ref(other->leaf);
	certificate->leaf = other->leaf;
	certificate->chain = X509_chain_up_ref(other->chain);
	certificate->from = other->from;
	certificate->until = other->until;
	if (!certificate->chain)
		fatal("out of memory");
	read_names(certificate);
	if (certificate->file.kind != TLS_FILE_BOTH)
		return;
	certificate->key_file = certificate->file;
	tls_certificate_share_key(certificate, other);
}

void tls_certificate_clear(struct tls_certificate *certificate)
{
	X509_free(certificate->leaf);
	sk_X509_pop_free(certificate->chain, X509_free);
	EVP_PKEY_free(certificate->key);
	for (size_t i = 0; i < certificate->name_count; i++)
		free(certificate->names[i]);
	free((void *)certificate->names);
	*certificate = (struct tls_certificate){ .leaf = NULL };
}

int tls_certificate_type(const struct tls_certificate *certificate)
{
	return EVP_PKEY_get_base_id(certificate->key);
}

static bool check_strength(const struct tls_certificate *certificate, struct tls_fault *fault)
{
	const int type = tls_certificate_type(certificate);
	const int bits = EVP_PKEY_get_bits(certificate->key);

	if (type != EVP_PKEY_RSA && type != EVP_PKEY_RSA_PSS && type != EVP_PKEY_EC &&
	    type != EVP_PKEY_ED25519 && type != EVP_PKEY_ED448)
		return fault_of(fault, &certificate->key_file,
				"%s holds a key of a kind that TLS does not take: use ECDSA or RSA",
				certificate->key_file.path);
	if ((type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS) && bits < RSA_LEAST_BITS)
		return fault_of(fault, &certificate->key_file,
				"%s is an RSA key of %d bits: %d are the least",
				certificate->key_file.path, bits, RSA_LEAST_BITS);
	return true;
}

bool tls_certificate_check(const struct tls_certificate *certificate, struct tls_fault *fault)
{
	if (!certificate->leaf)
		return fault_of(fault, &certificate->key_file, "%s is a key without a certificate",
				certificate->key_file.path);
	if (!certificate->key)
		return fault_of(fault, &certificate->file,
				"%s is a certificate without a key: add key = FILE",
				certificate->file.path);
	ERR_clear_error();
	if (X509_check_private_key(certificate->leaf, certificate->key))
		return check_strength(certificate, fault);
	ERR_clear_error();
	if (certificate->file.kind == TLS_FILE_BOTH)
		return fault_of(fault, &certificate->file,
				"the key in %s does not belong to the first certificate there",
				certificate->file.path);
	return fault_of(fault, &certificate->key_file, "the key %s does not belong to %s",
			certificate->key_file.path, certificate->file.path);
}

bool tls_certificate_warning(const struct tls_certificate *certificate, int64_t now, char *out,
			     size_t size)
{
	const int64_t left = certificate->until - now;

	if (certificate->from > now)
		snprintf(out, size, "%s is not valid yet", certificate->file.path);
	else if (left <= 0)
		snprintf(out, size, "%s has expired", certificate->file.path);
	else if (left < SOON)
		snprintf(out, size, "%s expires in %d hours", certificate->file.path,
			 (int)(left / 3600));
	else if (sk_X509_num(certificate->chain) > 0 &&
		 X509_check_issued(sk_X509_value(certificate->chain, 0), certificate->leaf) !=
			 X509_V_OK)
		snprintf(out, size, "the second certificate in %s did not sign the first",
			 certificate->file.path);
	else
		return false;
	return true;
}

bool tls_certificate_has_name(const struct tls_certificate *certificate, const char *name)
{
	for (size_t i = 0; i < certificate->name_count; i++)
		if (strcmp(certificate->names[i], name) == 0)
			return true;
	return false;
}

bool tls_certificate_equal(const struct tls_certificate *a, const struct tls_certificate *b)
{
	if (X509_cmp(a->leaf, b->leaf) != 0 || EVP_PKEY_eq(a->key, b->key) != 1 ||
	    sk_X509_num(a->chain) != sk_X509_num(b->chain))
		return false;
	for (int i = 0; i < sk_X509_num(a->chain); i++)
		if (X509_cmp(sk_X509_value(a->chain, i), sk_X509_value(b->chain, i)) != 0)
			return false;
	return true;
}
