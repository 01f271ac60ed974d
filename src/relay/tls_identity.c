/* Why: tls_identity.h. Each part is hashed with its length in front, so that no two lists of parts
 * read alike. SPDX-License-Identifier: ISC */
#include "relay/tls_identity.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/log.h"

/* Looked up once: a fetch costs as much as the hash of a name. */
static const EVP_MD *sha256(void)
{
	static EVP_MD *md;

	if (!md)
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!md)
		fatal("OpenSSL lacks SHA-256");
	return md;
}

static EVP_MD_CTX *begin(void)
{
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	if (!hash || !EVP_DigestInit_ex2(hash, sha256(), NULL))
		fatal("out of memory");
	return hash;
}

static void add(EVP_MD_CTX *hash, const void *bytes, size_t length)
{
	const uint64_t head = length;

	if (!EVP_DigestUpdate(hash, &head, sizeof head) || !EVP_DigestUpdate(hash, bytes, length))
		fatal("a hash failed");
}

static void add_text(EVP_MD_CTX *hash, const char *text)
{
	add(hash, text, strlen(text));
}

static void end(EVP_MD_CTX *hash, uint8_t *out)
{
	if (!EVP_DigestFinal_ex(hash, out, NULL))
		fatal("a hash failed");
	EVP_MD_CTX_free(hash);
}

static void add_certificate(EVP_MD_CTX *hash, const X509 *certificate)
{
	uint8_t digest[TLS_IDENTITY_SIZE];

	if (!X509_digest(certificate, sha256(), digest, NULL))
		fatal("a hash failed");
	add(hash, digest, sizeof digest);
}

static void add_crl(EVP_MD_CTX *hash, const X509_CRL *crl)
{
	uint8_t digest[TLS_IDENTITY_SIZE];

	if (!X509_CRL_digest(crl, sha256(), digest, NULL))
		fatal("a hash failed");
	add(hash, digest, sizeof digest);
}

static void add_rules(EVP_MD_CTX *hash, const struct tls_config *tls)
{
	const int choices[] = { tls->policy, tls->min_version, tls->verify };

	add_text(hash, tls->name);
	add(hash, choices, sizeof choices);
	add_text(hash, tls->ciphers);
	add_text(hash, tls->ciphersuites);
	add_text(hash, tls->groups);
}

static void add_clients(EVP_MD_CTX *hash, const struct tls_material *material)
{
	const int authorities = sk_X509_num(material->authorities);
	const int crls = sk_X509_CRL_num(material->crls);

	add(hash, &authorities, sizeof authorities);
	for (int i = 0; i < authorities; i++)
		add_certificate(hash, sk_X509_value(material->authorities, i));
	add(hash, &crls, sizeof crls);
	for (int i = 0; i < crls; i++)
		add_crl(hash, sk_X509_CRL_value(material->crls, i));
}

void tls_identity_of_host(const struct tls_config *tls, const struct tls_material *material,
			  const size_t *members, size_t count, uint8_t out[TLS_IDENTITY_SIZE])
{
	EVP_MD_CTX *hash = begin();

	add_rules(hash, tls);
	add_clients(hash, material);
	for (size_t i = 0; i < count; i++)
		add_certificate(hash, material->certificates[members[i]].leaf);
	end(hash, out);
}

void tls_identity_of_name(const uint8_t *host, const char *name, uint8_t out[TLS_IDENTITY_SIZE])
{
	EVP_MD_CTX *hash = begin();

	add(hash, host, TLS_IDENTITY_SIZE);
	add_text(hash, name);
	end(hash, out);
}
