/* Why: the types whose field is one number: how each is read and written.
 * SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/nearest.h"
#include "config/option_type.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* The greatest first: printing takes the first that divides. A bare number has the unit "". */
static const struct unit times[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 },
	{ "ms", 1 },       { "", 1000 },     { NULL, 0 },
};
static const struct unit sizes[] = {
	{ "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "", 1 }, { NULL, 0 },
};
static const struct unit none[] = { { "", 1 }, { NULL, 0 } };

static const char *const log_levels[] = { "alert", "error", "warning", "notice",
					  "info",  "debug", NULL };
static const char *const log_formats[] = { "text", "json", NULL };
static const char *const deliveries[] = { "auto", "node", "fd", "proxy", "listen", NULL };
static const char *const readinesses[] = { "auto", "notify", "listening", "started", NULL };
static const char *const on_downs[] = { "hold", "failover", NULL };
static const char *const proxy_protocols[] = { "off", "require", "pass", NULL };
static const char *const send_proxies[] = { "off", "v1", "v2", NULL };
static const char *const tls_places[] = { "relay", "worker", NULL };
static const char *const tls_policies[] = { "intermediate", "modern", NULL };
static const char *const tls_versions[] = { "auto", "1.2", "1.3", NULL };
static const char *const tls_verifies[] = { "off", "optional", "require", NULL };
static const char *const *const words[] = {
	[LOG_LEVELS] = log_levels,     [LOG_FORMATS] = log_formats,
	[DELIVERIES] = deliveries,     [READINESSES] = readinesses,
	[ON_DOWNS] = on_downs,         [PROXY_PROTOCOLS] = proxy_protocols,
	[SEND_PROXIES] = send_proxies, [TLS_PLACES] = tls_places,
	[TLS_POLICIES] = tls_policies, [TLS_VERSIONS] = tls_versions,
	[TLS_VERIFIES] = tls_verifies,
};

const char *const *option_words(const struct option *option)
{
	return words[option->min];
}

/* Digits and a unit. False where the text is no such number; one that no int64 holds is INT64_MAX,
 * which every range refuses. */
static bool number_parse(const char *text, const struct unit *units, int64_t *number_r)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long long number;
	const struct unit *unit = units;

	while (unit->name && strcmp(unit->name, text + digits) != 0)
		unit++;
	if (digits == 0 || !unit->name)
		return false;
	errno = 0;
	number = strtoull(text, NULL, 10);
	if (errno == ERANGE || number > INT64_MAX ||
	    __builtin_mul_overflow((int64_t)number, unit->factor, number_r))
		*number_r = INT64_MAX;
	return true;
}

/* INT64_MAX is what an overflow left: also a row without limits refuses it. */
static bool in_range(const struct option *option, int64_t number)
{
	if (option->min == 0 && option->max == 0)
		return number < INT64_MAX;
	return number >= option->min && number <= option->max;
}

static void number_print(int64_t number, const struct unit *units, FILE *out)
{
	const struct unit *unit = units;

	if (number == 0) {
		fputs("0", out);
		return;
	}
	while (number % unit->factor != 0)
		unit++;
	fprintf(out, "%" PRId64 "%s", number / unit->factor, unit->name);
}

static bool equal_int64(const void *a, const void *b)
{
	return *(const int64_t *)a == *(const int64_t *)b;
}

static bool equal_int(const void *a, const void *b)
{
	return *(const int *)a == *(const int *)b;
}

static bool ranged_parse(const struct option *option, const char *text, const struct unit *units,
			 int64_t *field)
{
	bool negative = option->min < 0 && *text == '-';
	int64_t number;

	if (!number_parse(text + negative, units, &number))
		return false;
	number = negative ? -number : number;
	if (!in_range(option, number))
		return false;
	*field = number;
	return true;
}

static bool whole_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	(void)e;
	return ranged_parse(option, text, none, field);
}

static void whole_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	fprintf(out, "%" PRId64, *(const int64_t *)field);
}

static void whole_print_limit(const struct option *option, int64_t limit, FILE *out)
{
	(void)option;
	fprintf(out, "%" PRId64, limit);
}

/* uint64_t and int64_t fields are read alike: no range goes beyond INT64_MAX. */
_Static_assert(sizeof(option_ctype_UINT) == sizeof(int64_t), "whole_parse writes an int64_t");
const struct option_type_ops option_type_UINT = { .parse = whole_parse,
						  .print = whole_print,
						  .equal = equal_int64,
						  .print_limit = whole_print_limit };
const struct option_type_ops option_type_INT = { .parse = whole_parse,
						 .print = whole_print,
						 .equal = equal_int64,
						 .print_limit = whole_print_limit };

static bool duration_parse(const struct option *option, const char *text, void *field,
			   struct error *e)
{
	(void)e;
	return ranged_parse(option, text, times, field);
}

static void duration_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	number_print(*(const int64_t *)field, times, out);
}

static void duration_print_limit(const struct option *option, int64_t limit, FILE *out)
{
	(void)option;
	number_print(limit, times, out);
}

const struct option_type_ops option_type_DURATION = { .parse = duration_parse,
						      .print = duration_print,
						      .equal = equal_int64,
						      .print_limit = duration_print_limit };

static bool size_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	(void)e;
	return ranged_parse(option, text, sizes, field);
}

static void size_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	number_print(*(const int64_t *)field, sizes, out);
}

static void size_print_limit(const struct option *option, int64_t limit, FILE *out)
{
	(void)option;
	number_print(limit, sizes, out);
}

const struct option_type_ops option_type_SIZE = { .parse = size_parse,
						  .print = size_print,
						  .equal = equal_int64,
						  .print_limit = size_print_limit };

static bool bool_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };

	(void)option;
	(void)e;
	for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
		bool is_on = strcmp(text, on[i]) == 0;

		if (is_on || strcmp(text, off[i]) == 0) {
			*(bool *)field = is_on;
			return true;
		}
	}
	return false;
}

static void bool_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	fputs(*(const bool *)field ? "on" : "off", out);
}

static bool bool_equal(const void *a, const void *b)
{
	return *(const bool *)a == *(const bool *)b;
}

const struct option_type_ops option_type_BOOL = { .parse = bool_parse,
						  .print = bool_print,
						  .equal = bool_equal };

static bool choice_parse(const struct option *option, const char *text, void *field,
			 struct error *e)
{
	struct nearest nearest = nearest_begin(text);
	const char *const *list = option_words(option);

	for (int i = 0; list[i]; i++) {
		nearest_offer(&nearest, list[i]);
		if (strcmp(list[i], text) == 0) {
			*(int *)field = i;
			return true;
		}
	}
	if (nearest.best)
		error_set(e, "\"%.80s\" is unknown; did you mean \"%s\"?", text, nearest.best);
	return false;
}

static void choice_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)item;
	fputs(option_words(option)[*(const int *)field], out);
}

const struct option_type_ops option_type_CHOICE = { .parse = choice_parse,
						    .print = choice_print,
						    .equal = equal_int };

/* TERM or SIGTERM; the standard signals only: real-time ones have other numbers on each machine. */
static bool signal_parse(const struct option *option, const char *text, void *field,
			 struct error *e)
{
	const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;

	(void)option;
	for (int i = 1; i < 32; i++) {
		const char *known = sigabbrev_np(i);

		if (!known || strcmp(known, name) != 0)
			continue;
		if (i == SIGSTOP || i == SIGCONT)
			return error_set(e,
					 "%s asks nobody to stop for good; write TERM, INT or QUIT",
					 name);
		*(int *)field = i;
		return true;
	}
	return false;
}

static void signal_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	(void)option;
	(void)item;
	fputs(sigabbrev_np(*(const int *)field), out);
}

const struct option_type_ops option_type_SIGNAL = { .parse = signal_parse,
						    .print = signal_print,
						    .equal = equal_int };

static bool mode_parse(const struct option *option, const char *text, void *field, struct error *e)
{
	size_t digits = strspn(text, "01234567");

	(void)option;
	(void)e;
	if (*text == '\0') {
		*(int *)field = CONFIG_UMASK_UNSET;
		return true;
	}
	if (text[digits] || digits > 4 || strtol(text, NULL, 8) > 0777)
		return false;
	*(int *)field = (int)strtol(text, NULL, 8);
	return true;
}

static void mode_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	int mode = *(const int *)field;

	(void)option;
	(void)item;
	if (mode != CONFIG_UMASK_UNSET)
		fprintf(out, "%03o", (unsigned)mode);
}

const struct option_type_ops option_type_MODE = { .parse = mode_parse,
						  .print = mode_print,
						  .equal = equal_int };

/* What taskset, a container or systemd left us, which is not what the machine has. More than 1024
 * processors do not fit a cpu_set_t: then what is online counts. */
static int64_t processors(const struct option *option)
{
	cpu_set_t set;
	int64_t count;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		count = CPU_COUNT(&set);
	else
		count = option->max;
	return count < option->min ? option->min : count > option->max ? option->max : count;
}

static bool processors_parse(const struct option *option, const char *text, const char *word,
			     void *field, struct error *e)
{
	if (strcmp(text, word) != 0)
		return whole_parse(option, text, field, e);
	*(int64_t *)field = processors(option);
	return true;
}

static bool instances_parse(const struct option *option, const char *text, void *field,
			    struct error *e)
{
	return processors_parse(option, text, "max", field, e);
}

const struct option_type_ops option_type_INSTANCES = { .parse = instances_parse,
						       .print = whole_print,
						       .equal = equal_int64,
						       .print_limit = whole_print_limit };

static bool relays_parse(const struct option *option, const char *text, void *field,
			 struct error *e)
{
	return processors_parse(option, text, "auto", field, e);
}

const struct option_type_ops option_type_RELAYS = { .parse = relays_parse,
						    .print = whole_print,
						    .equal = equal_int64,
						    .print_limit = whole_print_limit };

static bool rlimit_parse(const struct option *option, const char *text, void *field,
			 struct error *e)
{
	if (*text && strcmp(text, "unlimited") != 0)
		return size_parse(option, text, field, e);
	*(int64_t *)field = *text ? CONFIG_RLIMIT_UNLIMITED : CONFIG_RLIMIT_UNSET;
	return true;
}

static void rlimit_print(const struct option *option, const void *field, size_t item, FILE *out)
{
	int64_t limit = *(const int64_t *)field;

	if (limit == CONFIG_RLIMIT_UNLIMITED)
		fputs("unlimited", out);
	else if (limit != CONFIG_RLIMIT_UNSET)
		size_print(option, field, item, out);
}

const struct option_type_ops option_type_RLIMIT = { .parse = rlimit_parse,
						    .print = rlimit_print,
						    .equal = equal_int64 };
