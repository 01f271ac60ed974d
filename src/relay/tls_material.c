/* Why: tls_material.h. SPDX-License-Identifier: ISC */
#include "relay/tls_material.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"

struct tls_material *tls_material_new(void)
{
	struct tls_material *material = calloc(1, sizeof *material);

	if (!material)
		fatal("out of memory");
	return material;
}

void tls_material_free(struct tls_material **material)
{
	struct tls_material *m = *material;

	*material = NULL;
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		tls_certificate_clear(&m->certificates[i]);
	free(m->certificates);
	sk_X509_pop_free(m->authorities, X509_free);
	sk_X509_CRL_pop_free(m->crls, X509_CRL_free);
	tls_bytes_free(&m->staple);
	free(m);
}

/* Certificate and key of one number meet; those of the directory are whole. */
static struct tls_certificate *certificate_of(struct tls_material *material,
					      const struct message_tls_file *file)
{
	struct tls_certificate *last =
		material->count ? &material->certificates[material->count - 1] : NULL;

	if (last && file->kind == TLS_FILE_KEY && last->file.kind == TLS_FILE_CERTIFICATE &&
	    last->file.number == file->number)
		return last;
	material->certificates = reallocarray(material->certificates, material->count + 1,
					      sizeof *material->certificates);
	if (!material->certificates)
		fatal("out of memory");
	last = &material->certificates[material->count++];
	*last = (struct tls_certificate){ .leaf = NULL };
	return last;
}

static bool keep_authorities(struct tls_material *material, const struct message_tls_file *file,
			     struct tls_pem *pem, struct tls_fault *fault)
{
	if (sk_X509_num(pem->certificates) == 0)
		return tls_fault_set(fault, "client_ca", 0, "%s holds no certificate", file->path);
	sk_X509_pop_free(material->authorities, X509_free);
	material->authorities = pem->certificates;
	material->authorities_file = *file;
	pem->certificates = NULL;
	return true;
}

static bool keep_crls(struct tls_material *material, const struct message_tls_file *file,
		      struct tls_pem *pem, struct tls_fault *fault)
{
	if (sk_X509_CRL_num(pem->crls) == 0)
		return tls_fault_set(fault, "crl", 0, "%s holds no revocation list", file->path);
	sk_X509_CRL_pop_free(material->crls, X509_CRL_free);
	material->crls = pem->crls;
	material->crls_file = *file;
	pem->crls = NULL;
	return true;
}

/* What `before` made of the same bytes. Mostly it is at the same place. */
static const struct tls_certificate *find_same(const struct tls_material *before, size_t place,
					       const uint8_t *digest, bool is_key)
{
	for (size_t i = 0; before && i < before->count; i++) {
		const struct tls_certificate *other =
			&before->certificates[(place + i) % before->count];

		if (memcmp(is_key ? other->key_digest : other->digest, digest, TLS_FILE_DIGEST) ==
		    0)
			return other;
	}
	return NULL;
}

static bool parse(const struct message_tls_file *file, const struct tls_bytes *bytes,
		  struct tls_pem *pem_r, struct tls_fault *fault)
{
	struct error e = { .text = "" };

	return tls_pem_parse(bytes, pem_r, &e) ||
	       tls_fault_set(fault, tls_file_option(file), tls_file_item(file), "%s %s", file->path,
			     e.text);
}

static void digest_of(const struct tls_bytes *bytes, uint8_t out[TLS_FILE_DIGEST])
{
	if (!EVP_Digest(bytes->data, bytes->length, out, NULL, EVP_sha256(), NULL))
		fatal("a hash failed");
}

static bool keep_certificate(struct tls_material *material, const struct tls_material *before,
			     const struct message_tls_file *file, const struct tls_bytes *bytes,
			     struct tls_fault *fault)
{
	struct tls_certificate *certificate = certificate_of(material, file);
	const struct tls_certificate *same;
	struct tls_pem pem;
	bool good;

	certificate->file = *file;
	digest_of(bytes, certificate->digest);
	same = find_same(before, material->count - 1, certificate->digest, false);
	if (same && same->file.kind == file->kind) {
		tls_certificate_share(certificate, same);
		return true;
	}
	if (!parse(file, bytes, &pem, fault))
		return false;
	good = tls_certificate_take(certificate, &pem, fault);
	tls_pem_free(&pem);
	return good;
}

static bool keep_key(struct tls_material *material, const struct tls_material *before,
		     const struct message_tls_file *file, const struct tls_bytes *bytes,
		     struct tls_fault *fault)
{
	struct tls_certificate *certificate = certificate_of(material, file);
	const struct tls_certificate *same;
	struct tls_pem pem;
	bool good;

	certificate->key_file = *file;
	digest_of(bytes, certificate->key_digest);
	same = find_same(before, material->count - 1, certificate->key_digest, true);
	if (same) {
		tls_certificate_share_key(certificate, same);
		return true;
	}
	if (!parse(file, bytes, &pem, fault))
		return false;
	good = tls_certificate_take_key(certificate, &pem, fault);
	tls_pem_free(&pem);
	return good;
}

static bool keep_lists(struct tls_material *material, const struct message_tls_file *file,
		       const struct tls_bytes *bytes, struct tls_fault *fault)
{
	struct tls_pem pem;
	bool good;

	if (!parse(file, bytes, &pem, fault))
		return false;
	good = file->kind == TLS_FILE_CRL ? keep_crls(material, file, &pem, fault)
					  : keep_authorities(material, file, &pem, fault);
	tls_pem_free(&pem);
	return good;
}

/* Takes the bytes where they are kept as they are. */
static bool keep_bytes(struct tls_material *material, const struct tls_material *before,
		       const struct message_tls_file *file, struct tls_bytes *bytes,
		       struct tls_fault *fault)
{
	switch ((enum tls_file_kind)file->kind) {
	case TLS_FILE_CERTIFICATE:
	case TLS_FILE_BOTH:
		return keep_certificate(material, before, file, bytes, fault);
	case TLS_FILE_KEY:
		return keep_key(material, before, file, bytes, fault);
	case TLS_FILE_CLIENT_CA:
	case TLS_FILE_CRL:
		return keep_lists(material, file, bytes, fault);
	case TLS_FILE_STAPLE:
		tls_bytes_free(&material->staple);
		material->staple = *bytes;
		material->staple_file = *file;
		*bytes = (struct tls_bytes){ .data = NULL };
		return true;
	}
	return tls_fault_set(fault, NULL, 0, "%s is a file of an unknown kind", file->path);
}

static bool keep(struct tls_material *material, const struct tls_material *before,
		 const struct message_tls_file *file, int fd, struct tls_fault *fault)
{
	const bool secret = file->kind == TLS_FILE_KEY || file->kind == TLS_FILE_BOTH;
	struct error e = { .text = "" };
	struct tls_bytes bytes;
	bool good;

	if (!tls_bytes_read(fd, secret, &bytes, &e))
		return tls_fault_set(fault, tls_file_option(file), tls_file_item(file), "%s %s",
				     file->path, e.text);
	good = keep_bytes(material, before, file, &bytes, fault);
	tls_bytes_free(&bytes);
	return good;
}

void tls_material_add(struct tls_material *material, const struct tls_material *before,
		      const struct message_tls_file *file, int *fd)
{
	struct tls_fault fault;

	if (!keep(material, before, file, *fd, &fault) && !material->is_bad) {
		material->is_bad = true;
		material->fault = fault;
	}
	fd_close(fd);
}

bool tls_material_check(const struct tls_material *material, struct tls_fault *fault)
{
	if (material->is_bad) {
		*fault = material->fault;
		return false;
	}
	if (material->count == 0)
		return tls_fault_set(fault, NULL, 0, "there is no certificate");
	for (size_t i = 0; i < material->count; i++)
		if (!tls_certificate_check(&material->certificates[i], fault))
			return false;
	return true;
}
