/* Why: config_check.h; a [tls] section that promises what it cannot keep (client certificates that
 * nobody checks, a version that its policy refuses) is worse than none. What the files hold is
 * looked at by tls_check. Source: RFC 7301 3.1. SPDX-License-Identifier: ISC */
#include <string.h>

#include "config/config_check.h"

#define BLANKS    " \t"
#define ALPN_MOST 255 /* bytes of one protocol's name */

static bool blame(const struct config *config, const struct tls_config *tls, const char *option,
		  size_t item, struct error *e)
{
	return config_blame(config, SECTION_TLS, tls->index, option, item, e);
}

static bool check_material(const struct config *config, const struct tls_config *tls,
			   struct error *e)
{
	const size_t certificates = tls->certificate.count, keys = tls->key.count;

	if (certificates == 0 && keys == 0 && *tls->directory == '\0') {
		error_set(e,
			  "[tls:%s] has neither certificate nor directory; write, for example, "
			  "certificate = /etc/limpet/%s.crt and key = /etc/limpet/%s.key",
			  tls->name, tls->name, tls->name);
		return blame(config, tls, "certificate", 0, e);
	}
	if (certificates > keys) {
		error_set(e,
			  "certificate %.80s has no key; write a key line for each certificate, "
			  "in the same order",
			  tls->certificate.items[keys]);
		return blame(config, tls, "certificate", keys, e);
	}
	if (keys > certificates) {
		error_set(e,
			  "key %.80s has no certificate; write a certificate line for each key, "
			  "in the same order",
			  tls->key.items[certificates]);
		return blame(config, tls, "key", certificates, e);
	}
	return true;
}

static bool check_clients(const struct config *config, const struct tls_config *tls,
			  struct error *e)
{
	if (tls->verify != TLS_VERIFY_OFF && *tls->client_ca == '\0') {
		error_set(e, "verify: whose client certificates are good? Write client_ca = FILE");
		return blame(config, tls, "verify", 0, e);
	}
	if (*tls->crl && *tls->client_ca == '\0') {
		error_set(e,
			  "crl: the lists are of the authorities of client_ca; write client_ca = "
			  "FILE");
		return blame(config, tls, "crl", 0, e);
	}
	if (*tls->client_ca && tls->verify == TLS_VERIFY_OFF) {
		error_set(e,
			  "client_ca: with verify = off nobody is asked for a certificate; write "
			  "verify = require");
		return blame(config, tls, "client_ca", 0, e);
	}
	return true;
}

static bool check_versions(const struct config *config, const struct tls_config *tls,
			   struct error *e)
{
	bool only_13 = tls->policy == TLS_MODERN || tls->min_version == TLS_VERSION_13;

	if (tls->policy == TLS_MODERN && tls->min_version == TLS_VERSION_12) {
		error_set(e, "min_version: policy = modern takes TLS 1.3 only; write policy = "
			     "intermediate");
		return blame(config, tls, "min_version", 0, e);
	}
	if (*tls->ciphers && only_13) {
		error_set(e, "ciphers are of TLS 1.2, and only 1.3 is taken; write ciphersuites");
		return blame(config, tls, "ciphers", 0, e);
	}
	return true;
}

static bool check_staple(const struct config *config, const struct tls_config *tls, struct error *e)
{
	if (*tls->ocsp_staple == '\0' || tls->certificate.count > 0)
		return true;
	error_set(e, "ocsp_staple is for the first certificate, and there is none but those of "
		     "directory; write certificate = FILE and key = FILE");
	return blame(config, tls, "ocsp_staple", 0, e);
}

static bool check_alpn(const struct config *config, const struct tls_config *tls, struct error *e)
{
	const char *word = tls->alpn;

	for (word += strspn(word, BLANKS); *word; word += strspn(word, BLANKS)) {
		size_t length = strcspn(word, BLANKS);

		if (length > ALPN_MOST || memchr(word, ',', length)) {
			error_set(e,
				  "alpn: \"%.*s\" is no protocol; they stand with blanks between, "
				  "such as alpn = h2 http/1.1",
				  (int)(length < 80 ? length : 80), word);
			return blame(config, tls, "alpn", 0, e);
		}
		word += length;
	}
	return true;
}

bool config_check_tls(struct config *config, struct error *e)
{
	static bool (*const rules[])(const struct config *, const struct tls_config *,
				     struct error *) = {
		check_material, check_clients, check_versions, check_staple, check_alpn,
	};

	for (size_t i = 0; i < config->tls_count; i++)
		for (size_t rule = 0; rule < sizeof rules / sizeof *rules; rule++)
			if (!rules[rule](config, &config->tlss[i], e))
				return false;
	return true;
}
