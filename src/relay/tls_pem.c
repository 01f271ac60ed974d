/* Why: tls_pem.h. Blocks are told apart here, by their names, so that a key goes from locked memory
 * into OpenSSL's own without a stop. Source: PEM_read_bio_ex(3), d2i_AutoPrivateKey(3).
 * SPDX-License-Identifier: ISC */
#include "relay/tls_pem.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "relay/tls_fault.h"

#define SECRET_MOST (256u << 10) /* a key and a long chain have 32 KiB */
#define PUBLIC_MOST (64u << 20)  /* some authorities' revocation lists are large */

static void *allocate(size_t size, bool secret)
{
	return secret ? OPENSSL_secure_malloc(size) : OPENSSL_malloc(size);
}

static void release(void *data, size_t size, bool secret)
{
	if (secret)
		OPENSSL_secure_clear_free(data, size);
	else
		OPENSSL_free(data);
}

static bool read_all(int fd, struct tls_bytes *bytes, struct error *e)
{
	while (bytes->length < bytes->size) {
		ssize_t n = pread(fd, bytes->data + bytes->length, bytes->size - bytes->length,
				  (off_t)bytes->length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(e, "cannot be read: %s", strerror(errno));
		if (n == 0)
			break;
		bytes->length += (size_t)n;
	}
	return true;
}

bool tls_bytes_read(int fd, bool secret, struct tls_bytes *bytes_r, struct error *e)
{
	const size_t most = secret ? SECRET_MOST : PUBLIC_MOST;
	struct stat st;

	*bytes_r = (struct tls_bytes){ .secret = secret };
	if (fstat(fd, &st) < 0)
		return error_set(e, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, "is not a regular file");
	if (st.st_size == 0)
		return error_set(e, "is empty");
	if ((size_t)st.st_size > most)
		return error_set(e, "is too large (%lld bytes, %zu are the most)",
				 (long long)st.st_size, most);
	bytes_r->size = (size_t)st.st_size;
	bytes_r->data = allocate(bytes_r->size, secret);
	if (!bytes_r->data)
		return error_set(e, "does not fit into the locked memory for keys");
	if (read_all(fd, bytes_r, e))
		return true;
	tls_bytes_free(bytes_r);
	return false;
}

void tls_bytes_free(struct tls_bytes *bytes)
{
	release(bytes->data, bytes->size, bytes->secret);
	*bytes = (struct tls_bytes){ .data = NULL };
}

/* One block of the file, decoded from base64 but not from DER. */
struct block {
	char *name, *header;
	unsigned char *data;
	long length;
};

static bool is_named(const struct block *block, const char *name)
{
	return strcmp(block->name, name) == 0;
}

static bool add_certificate(const struct block *block, struct tls_pem *pem, struct error *e)
{
	const unsigned char *at = block->data;
	X509 *certificate = is_named(block, "TRUSTED CERTIFICATE")
				    ? d2i_X509_AUX(NULL, &at, block->length)
				    : d2i_X509(NULL, &at, block->length);

	if (!certificate)
		return error_set(e, "certificate %d cannot be read: %s",
				 sk_X509_num(pem->certificates) + 1, tls_fault_reason());
	if (!sk_X509_push(pem->certificates, certificate))
		fatal("out of memory");
	return true;
}

static bool add_crl(const struct block *block, struct tls_pem *pem, struct error *e)
{
	const unsigned char *at = block->data;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, block->length);

	if (!crl)
		return error_set(e, "revocation list %d cannot be read: %s",
				 sk_X509_CRL_num(pem->crls) + 1, tls_fault_reason());
	if (!sk_X509_CRL_push(pem->crls, crl))
		fatal("out of memory");
	return true;
}

static bool add_key(const struct block *block, struct tls_pem *pem, struct error *e)
{
	const unsigned char *at = block->data;

	if (is_named(block, "ENCRYPTED PRIVATE KEY") || strstr(block->header, "ENCRYPTED"))
		return error_set(e, "holds an encrypted key, and nobody is there to type its "
				    "password: write it without one (openssl pkey)");
	if (pem->key)
		return error_set(e, "holds more than one private key");
	pem->key = d2i_AutoPrivateKey(NULL, &at, block->length);
	if (!pem->key)
		return error_set(e, "holds a private key that cannot be read: %s",
				 tls_fault_reason());
	return true;
}

/* Blocks of other kinds (EC PARAMETERS, DH PARAMETERS) stand in many key files and say nothing that
 * is needed. */
static bool add_block(const struct block *block, bool secret, struct tls_pem *pem, struct error *e)
{
	const size_t length = strlen(block->name), suffix = strlen("PRIVATE KEY");

	if (is_named(block, "CERTIFICATE") || is_named(block, "X509 CERTIFICATE") ||
	    is_named(block, "TRUSTED CERTIFICATE"))
		return add_certificate(block, pem, e);
	if (is_named(block, "X509 CRL"))
		return add_crl(block, pem, e);
	if (secret && length >= suffix && strcmp(block->name + length - suffix, "PRIVATE KEY") == 0)
		return add_key(block, pem, e);
	return true;
}

static bool read_block(BIO *in, bool secret, struct tls_pem *pem, bool *more_r, struct error *e)
{
	struct block block = { .name = NULL };
	const unsigned flags = PEM_FLAG_EAY_COMPATIBLE | (secret ? PEM_FLAG_SECURE : 0);
	bool good;

	ERR_clear_error();
	*more_r =
		PEM_read_bio_ex(in, &block.name, &block.header, &block.data, &block.length, flags);
	if (!*more_r) {
		good = ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE;
		if (good)
			ERR_clear_error();
		return good || error_set(e, "is not good PEM: %s", tls_fault_reason());
	}
	good = add_block(&block, secret, pem, e);
	release(block.name, 0, secret);
	release(block.header, 0, secret);
	release(block.data, (size_t)block.length, secret);
	return good;
}

bool tls_pem_parse(const struct tls_bytes *bytes, struct tls_pem *pem_r, struct error *e)
{
	BIO *in = BIO_new_mem_buf(bytes->data, (int)bytes->length);
	bool more = true, good = true;

	*pem_r = (struct tls_pem){ .certificates = sk_X509_new_null(),
				   .crls = sk_X509_CRL_new_null() };
	if (!in || !pem_r->certificates || !pem_r->crls)
		fatal("out of memory");
	while (more && good)
		good = read_block(in, bytes->secret, pem_r, &more, e);
	BIO_free(in);
	if (!good)
		tls_pem_free(pem_r);
	return good;
}

void tls_pem_free(struct tls_pem *pem)
{
	sk_X509_pop_free(pem->certificates, X509_free);
	sk_X509_CRL_pop_free(pem->crls, X509_CRL_free);
	EVP_PKEY_free(pem->key);
	*pem = (struct tls_pem){ .key = NULL };
}
