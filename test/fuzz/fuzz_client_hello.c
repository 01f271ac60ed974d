/* Why: anybody on the internet writes these bytes. Whatever they are: nothing behind them is read,
 * more is asked for only where it can come, and a name that is taken can be compared, logged and
 * looked up as it is. SPDX-License-Identifier: ISC */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "front/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct looked {
	enum client_hello_progress progress;
	char name[CLIENT_HELLO_NAME];
	size_t needed;
	const char *why;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Of a copy whose end is the end of its memory. */
static struct looked look(const uint8_t *bytes, size_t have)
{
	struct looked l = { .needed = 0, .why = NULL };
	uint8_t *copy = malloc(have > 0 ? have : 1);

	must(copy != NULL);
	if (have > 0)
		memcpy(copy, bytes, have);
	l.progress = client_hello_read(copy, have, l.name, &l.needed, &l.why);
	free(copy);
	must((l.progress == CLIENT_HELLO_MORE) == (l.needed > 0));
	must((l.progress == CLIENT_HELLO_BAD) == (l.why != NULL));
	return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct looked whole = look(bytes, size);
	bool was_done = false;

	if (whole.progress == CLIENT_HELLO_MORE)
		must(size + whole.needed <= CLIENT_HELLO_MAX);
	if (whole.progress != CLIENT_HELLO_DONE)
		return 0;
	must(memchr(whole.name, '\0', sizeof whole.name) != NULL);
	must(strspn(whole.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(whole.name));
	must(!strstr(whole.name, "..") && *whole.name != '.');
	/* One moment from which on it is whole, the same name from then on. */
	for (size_t have = 0; have < size; have += 1 + have / 64) {
		const struct looked part = look(bytes, have);

		must(part.progress != CLIENT_HELLO_BAD);
		must(!was_done || part.progress == CLIENT_HELLO_DONE);
		was_done = part.progress == CLIENT_HELLO_DONE;
		if (was_done)
			must(strcmp(part.name, whole.name) == 0);
		else
			must(have + part.needed <= size);
	}
	return 0;
}
