/* Why: tls_fault.h. SPDX-License-Identifier: ISC */
#include "relay/tls_fault.h"

#include <openssl/err.h>
#include <stdio.h>

const char *tls_fault_reason(void)
{
	static char text[160];
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	snprintf(text, sizeof text, "%s", reason ? reason : "for a reason that OpenSSL keeps");
	ERR_clear_error();
	return text;
}
