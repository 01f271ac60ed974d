/* Why: what a worker writes on its channel is parsed in the process that every client passes
 * through. Whatever the bytes are: no fault, no leak, and what is taken from them can be written
 * into a valid line. SPDX-License-Identifier: ISC */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "wire/node_ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* The worker's data and address come back to other workers: the line must be what JSON.parse takes.
 */
static void check_reply(const struct node_message *m)
{
	static char line[NODE_OUT_MAX];
	size_t length = node_ipc_reply(line, sizeof line, "1x1", m->seq, 1, 0, m->data, m->address,
				       "IPv6", 3000);
	json_t *value;

	if (length == 0) {
		must(m->data && strlen(m->data) > NODE_OUT_MAX / 2);
		return;
	}
	must(length == strlen(line) && strchr(line, '\n') == line + length - 1);
	value = json_loadb(line, length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	must(value != NULL);
	json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct node_message m;

	node_ipc_parse((const char *)bytes, size, &m);
	must(memchr(m.address, '\0', sizeof m.address) != NULL);
	must(memchr(m.key, '\0', sizeof m.key) != NULL);
	must(m.data == NULL || m.act == NODE_QUERY_SERVER || m.act == NODE_LISTENING);
	if (m.act == NODE_QUERY_SERVER)
		check_reply(&m);
	node_message_clear(&m);
	return 0;
}
