/* Why: tls_context.h. The name that a client asks for is looked at before anything else of its
 * hello, since by then OpenSSL has not looked at tickets yet: which of them may be used depends on
 * the name. Source: SSL_CTX_set_client_hello_cb(3), SSL_set_SSL_CTX. SPDX-License-Identifier: ISC
 */
#include "relay/tls_context.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "relay/tls_host.h"
#include "relay/tls_identity.h"
#include "relay/tls_name.h"
#include "relay/tls_policy.h"
#include "relay/tls_rehearsal.h"
#include "relay/tls_staple.h"

#define BLANKS " \t"

struct tls_context {
	unsigned owners;
	struct tls_config rules; /* a copy of what hosts are made by: the section may go first */
	bool is_strict;
	unsigned char *alpn; /* length-prefixed protocols; NULL: not looked at */
	unsigned alpn_length;
	struct tls_material *material;
	struct tls_tickets *tickets;
	X509_STORE *authorities;
	struct tls_staple *staple;
	struct tls_hosts hosts;
};

/* --- In a handshake --- */

/* The first and only entry of the extension. RFC 6066 3. */
static void read_server_name(SSL *ssl, char name_r[TLS_NAME_SIZE])
{
	const unsigned char *p;
	size_t length, name_length;

	name_r[0] = '\0';
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &length) || length < 5 ||
	    p[2] != TLSEXT_NAMETYPE_host_name)
		return;
	name_length = (size_t)p[3] << 8 | p[4];
	if (name_length <= length - 5)
		tls_name_read(p + 5, name_length, false, name_r);
}

static struct tls_host *host_of(struct tls_context *context, const char *name)
{
	size_t number;

	if (*name && tls_name_index_find(&context->hosts.index, name, &number))
		return &context->hosts.items[number];
	return context->is_strict ? NULL : &context->hosts.items[0];
}

/* The choice is made already; this is what makes OpenSSL keep the name with the session. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length,
		   const unsigned char *in, unsigned in_length, void *arg)
{
	const struct tls_context *context = arg;
	unsigned char *chosen;

	(void)ssl;
	if (in_length == 0 ||
	    SSL_select_next_proto(&chosen, out_length, context->alpn, context->alpn_length, in,
				  in_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg);

/* --- Hosts --- */

static bool certify(const struct tls_context *context, const struct tls_host *host,
		    SSL_CTX *ssl_ctx, struct tls_fault *fault)
{
	for (size_t i = 0; i < host->member_count; i++)
		if (!tls_policy_use(ssl_ctx, &context->material->certificates[host->members[i]],
				    fault))
			return false;
	return true;
}

static void set_callbacks(struct tls_context *context, const struct tls_host *host,
			  SSL_CTX *ssl_ctx)
{
	SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, context);
	SSL_CTX_set_tlsext_servername_callback(ssl_ctx, on_server_name);
	if (context->alpn)
		SSL_CTX_set_alpn_select_cb(ssl_ctx, on_alpn, context);
	if (context->staple && host->members[0] == 0)
		tls_staple_install(context->staple, ssl_ctx);
}

static bool open_host(struct tls_context *context, struct tls_host *host, struct tls_fault *fault)
{
	SSL_CTX *ssl_ctx = tls_policy_context(&context->rules, fault);

	if (!ssl_ctx || !certify(context, host, ssl_ctx, fault)) {
		SSL_CTX_free(ssl_ctx);
		return false;
	}
	tls_policy_verify(ssl_ctx, &context->rules, context->material, context->authorities);
	tls_identity_of_host(&context->rules, context->material, host->members, host->member_count,
			     host->identity);
	if (!SSL_CTX_set_session_id_context(ssl_ctx, host->identity, sizeof host->identity))
		fatal("a session id context is too long");
	host->ring = tls_ring_new(context->tickets, host->identity, ssl_ctx);
	host->ssl_ctx = ssl_ctx;
	set_callbacks(context, host, ssl_ctx);
	return true;
}

/* Made when its first client comes: each takes OpenSSL a millisecond, and a directory of a thousand
 * must not stop the process for a second at each load. What it is made of was rehearsed. */
static bool host_is_open(struct tls_context *context, struct tls_host *host)
{
	struct tls_fault fault;

	if (host->ssl_ctx || open_host(context, host, &fault))
		return true;
	log_error("%s", fault.error.text);
	return false;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_context *context = arg;
	uint8_t session_context[TLS_IDENTITY_SIZE];
	char name[TLS_NAME_SIZE];
	struct tls_host *host;

	read_server_name(ssl, name);
	host = host_of(context, name);
	if (!host) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_CLIENT_HELLO_ERROR;
	}
	*alert = SSL_AD_INTERNAL_ERROR;
	if (!host_is_open(context, host))
		return SSL_CLIENT_HELLO_ERROR;
	tls_identity_of_name(host->identity, name, session_context);
	if (SSL_set_SSL_CTX(ssl, host->ssl_ctx) &&
	    SSL_set_session_id_context(ssl, session_context, sizeof session_context))
		return SSL_CLIENT_HELLO_SUCCESS;
	return SSL_CLIENT_HELLO_ERROR;
}

SSL *tls_context_connection(struct tls_context *context)
{
	SSL *ssl = SSL_new(context->hosts.items[0].ssl_ctx);

	if (!ssl)
		return NULL;
	if (!tls_tickets_usable(context->tickets)) {
		SSL_set_options(ssl, SSL_OP_NO_TICKET);
		SSL_set_num_tickets(ssl, 0);
	}
	SSL_set_accept_state(ssl);
	return ssl;
}

/* --- Building --- */

static bool read_alpn(struct tls_context *context, const struct tls_config *tls,
		      struct tls_fault *fault)
{
	const char *at = tls->alpn + strspn(tls->alpn, BLANKS);

	if (!*at)
		return true;
	context->alpn = malloc(strlen(at) + 1);
	if (!context->alpn)
		fatal("out of memory");
	while (*at) {
		size_t length = strcspn(at, BLANKS);

		if (length > UINT8_MAX)
			return tls_fault_set(fault, "alpn", 0,
					     "alpn has a name of more than 255 characters");
		context->alpn[context->alpn_length++] = (unsigned char)length;
		memcpy(context->alpn + context->alpn_length, at, length);
		context->alpn_length += (unsigned)length;
		at += length + strspn(at + length, BLANKS);
	}
	return true;
}

/* Mostly it is at the same place. */
static bool is_known(const struct tls_context *before, const struct tls_certificate *certificate,
		     size_t place)
{
	const struct tls_material *old = before ? before->material : NULL;

	if (old && place < old->count &&
	    tls_certificate_equal(&old->certificates[place], certificate))
		return true;
	for (size_t i = 0; old && i < old->count; i++)
		if (tls_certificate_equal(&old->certificates[i], certificate))
			return true;
	return false;
}

static bool has_rules_of(const struct tls_context *context, const struct tls_context *before)
{
	const struct tls_config *a = &context->rules, *b = &before->rules;

	return a->policy == b->policy && a->min_version == b->min_version &&
	       strcmp(a->ciphers, b->ciphers) == 0 && strcmp(a->groups, b->groups) == 0 &&
	       strcmp(a->ciphersuites, b->ciphersuites) == 0;
}

static bool rehearse(const struct tls_context *context, const struct tls_context *before,
		     struct tls_fault *fault)
{
	struct tls_rehearsal *rehearsal = tls_rehearsal_new(&context->rules, fault);
	bool good = rehearsal;

	if (before && !has_rules_of(context, before))
		before = NULL;
	for (size_t i = 0; i < context->material->count && good; i++) {
		const struct tls_certificate *certificate = &context->material->certificates[i];

		good = is_known(before, certificate, i) ||
		       tls_rehearsal_try(rehearsal, certificate, fault);
	}
	tls_rehearsal_free(&rehearsal);
	return good;
}

static bool check(const struct tls_context *context, const struct tls_config *tls,
		  struct tls_fault *fault)
{
	if (!tls_material_check(context->material, fault))
		return false;
	if (tls_library_is_full())
		return tls_fault_set(fault, NULL, 0,
				     "there are more private keys than locked memory holds");
	if (tls->verify != TLS_VERIFY_OFF && !context->material->authorities)
		return tls_fault_set(fault, "verify", 0, "verify needs client_ca");
	return true;
}

/* What a person should know, sentence by sentence, as far as there is room. */
struct note {
	char *text;
	size_t size, length;
};

static void note_add(struct note *note, const char *sentence)
{
	const char *between = note->length ? "; " : "";
	const size_t left = note->size - note->length, wanted = strlen(between) + strlen(sentence);

	if (wanted >= left)
		return;
	snprintf(note->text + note->length, left, "%s%s", between, sentence);
	note->length += wanted;
}

static void build_staple(struct tls_context *context, struct note *note)
{
	const struct tls_material *material = context->material;
	struct error e, sentence;

	if (material->staple.length == 0)
		return;
	context->staple = tls_staple_new(&material->staple, material->staple_file.path,
					 &material->certificates[0], &e);
	if (context->staple)
		return;
	error_write(&sentence, "%s is not sent: it %s", material->staple_file.path, e.text);
	note_add(note, sentence.text);
}

static void note_certificates(const struct tls_material *material, struct note *note)
{
	char sentence[sizeof material->certificates->file.path + 80];
	const int64_t now = time(NULL);

	for (size_t i = 0; i < material->count; i++)
		if (tls_certificate_warning(&material->certificates[i], now, sentence,
					    sizeof sentence))
			note_add(note, sentence);
}

static bool build(struct tls_context *context, const struct tls_config *tls,
		  const struct tls_context *before, struct tls_fault *fault, struct note *note)
{
	if (!check(context, tls, fault) || !read_alpn(context, tls, fault) ||
	    !rehearse(context, before, fault))
		return false;
	note_certificates(context->material, note);
	context->is_strict = tls->sni_strict;
	context->authorities = tls_policy_authorities(tls, context->material);
	build_staple(context, note);
	tls_hosts_group(&context->hosts, context->material);
	return open_host(context, &context->hosts.items[0], fault);
}

static char *copy(const char *text)
{
	char *fresh = strdup(text);

	if (!fresh)
		fatal("out of memory");
	return fresh;
}

static void copy_rules(struct tls_config *rules, const struct tls_config *tls)
{
	*rules = (struct tls_config){
		.name = copy(tls->name),
		.policy = tls->policy,
		.min_version = tls->min_version,
		.ciphers = copy(tls->ciphers),
		.ciphersuites = copy(tls->ciphersuites),
		.groups = copy(tls->groups),
		.verify = tls->verify,
	};
}

static void free_rules(struct tls_config *rules)
{
	free(rules->name);
	free(rules->ciphers);
	free(rules->ciphersuites);
	free(rules->groups);
}

struct tls_context *tls_context_new(const struct tls_config *tls, struct tls_material **material,
				    struct tls_tickets *tickets, const struct tls_context *before,
				    struct tls_fault *fault, char *warning, size_t size)
{
	struct tls_context *context = calloc(1, sizeof *context);
	struct note note = { .text = warning, .size = size };

	if (!context)
		fatal("out of memory");
	warning[0] = '\0';
	context->owners = 1;
	context->material = *material;
	*material = NULL;
	context->tickets = tls_tickets_hold(tickets);
	copy_rules(&context->rules, tls);
	if (!build(context, tls, before, fault, &note))
		tls_context_release(&context);
	ERR_clear_error();
	return context;
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
	context->owners++;
	return context;
}

void tls_context_release(struct tls_context **context)
{
	struct tls_context *c = *context;

	*context = NULL;
	if (!c || --c->owners > 0)
		return;
	tls_hosts_free(&c->hosts);
	tls_staple_free(&c->staple);
	X509_STORE_free(c->authorities);
	tls_tickets_release(&c->tickets);
	tls_material_free(&c->material);
	free_rules(&c->rules);
	free(c->alpn);
	free(c);
}

const struct tls_material *tls_context_material(const struct tls_context *context)
{
	return context->material;
}

int64_t tls_context_expires(const struct tls_context *context)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < context->material->count; i++)
		if (context->material->certificates[i].until < earliest)
			earliest = context->material->certificates[i].until;
	return earliest;
}

size_t tls_context_hosts(const struct tls_context *context)
{
	return context->hosts.count;
}
