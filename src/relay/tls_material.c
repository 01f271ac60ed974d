/* Why: tls_material.h. SPDX-License-Identifier: ISC */
#include "relay/tls_material.h"

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

static bool keep_pem(struct tls_material *material, const struct message_tls_file *file,
		     struct tls_pem *pem, struct tls_fault *fault)
{
	struct tls_certificate *certificate;

	if (file->kind == TLS_FILE_CLIENT_CA)
		return keep_authorities(material, file, pem, fault);
	if (file->kind == TLS_FILE_CRL)
		return keep_crls(material, file, pem, fault);
	certificate = certificate_of(material, file);
	if (file->kind == TLS_FILE_KEY) {
		certificate->key_file = *file;
		return tls_certificate_take_key(certificate, pem, fault);
	}
	certificate->file = *file;
	return tls_certificate_take(certificate, pem, fault);
}

static bool keep(struct tls_material *material, const struct message_tls_file *file, int fd,
		 struct tls_fault *fault)
{
	const bool secret = file->kind == TLS_FILE_KEY || file->kind == TLS_FILE_BOTH;
	const char *option = tls_file_option(file);
	struct tls_bytes bytes;
	struct tls_pem pem;
	struct error e = { .text = "" };
	bool good;

	if (!option)
		return tls_fault_set(fault, NULL, 0, "%s is a file of an unknown kind", file->path);
	if (!tls_bytes_read(fd, secret, &bytes, &e))
		return tls_fault_set(fault, option, tls_file_item(file), "%s %s", file->path,
				     e.text);
	if (file->kind == TLS_FILE_STAPLE) {
		tls_bytes_free(&material->staple);
		material->staple = bytes;
		material->staple_file = *file;
		return true;
	}
	good = tls_pem_parse(&bytes, &pem, &e);
	tls_bytes_free(&bytes);
	if (!good)
		return tls_fault_set(fault, option, tls_file_item(file), "%s %s", file->path,
				     e.text);
	good = keep_pem(material, file, &pem, fault);
	tls_pem_free(&pem);
	return good;
}

void tls_material_add(struct tls_material *material, const struct message_tls_file *file, int *fd)
{
	struct tls_fault fault;

	if (!keep(material, file, *fd, &fault) && !material->is_bad) {
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
