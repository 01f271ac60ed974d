/* Why: probe.h. SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/command.h"
#include "config/nearest.h"
#include "config/probe.h"

#define BLANKS "\t "
#define DIGITS "0123456789"

static const char *const kinds[] = {
	[PROBE_OFF] = "off", [PROBE_TCP] = "tcp", [PROBE_HTTP] = "http", [PROBE_EXEC] = "exec"
};
#define KINDS (sizeof kinds / sizeof *kinds)

static char *copy_of(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		fatal("no memory for a check");
	return copy;
}

void probe_free(struct probe *probe)
{
	free(probe->method);
	free(probe->path);
	free(probe->host);
	free(probe->command);
	*probe = (struct probe){ .kind = PROBE_OFF };
}

bool probe_expects(const struct probe *probe, unsigned status)
{
	for (size_t i = 0; i < probe->expected_count; i++)
		if (status >= probe->expected[i].first && status <= probe->expected[i].last)
			return true;
	return false;
}

/* Cuts *rest; NULL at its end. */
static char *next_word(char **rest)
{
	char *word;

	do
		word = strsep(rest, BLANKS);
	while (word && *word == '\0');
	return word;
}

static bool is_visible(const char *text)
{
	for (; *text; text++)
		if (*text < '!' || *text > '~')
			return false;
	return true;
}

/* Three digits from 100 to 599. */
static bool status_parse(const char *text, size_t length, unsigned *status_r)
{
	if (length != 3 || strspn(text, DIGITS) < 3 || *text < '1' || *text > '5')
		return false;
	*status_r = (unsigned)strtoul(text, NULL, 10);
	return true;
}

/* "2xx", "204" or "200-399". */
static bool range_parse(const char *text, struct probe_range *range_r)
{
	const char *dash = strchr(text, '-');

	if (*text >= '1' && *text <= '5' && strcmp(text + 1, "xx") == 0) {
		range_r->first = (unsigned)(*text - '0') * 100;
		range_r->last = range_r->first + 99;
		return true;
	}
	if (!dash)
		dash = text + strlen(text);
	if (!status_parse(text, (size_t)(dash - text), &range_r->first))
		return false;
	range_r->last = range_r->first;
	if (*dash && !status_parse(dash + 1, strlen(dash + 1), &range_r->last))
		return false;
	return range_r->first <= range_r->last;
}

static bool expected_parse(struct probe *probe, char *text, struct error *e)
{
	const char *word;

	if (!text)
		return error_set(e, "nothing follows expecting; write, for example, expecting 2xx");
	if (probe->expected_count > 0)
		return error_set(e, "expecting stands there twice; write expecting 200,204");
	while ((word = strsep(&text, ","))) {
		if (probe->expected_count == PROBE_RANGES)
			return error_set(e, "more than %d ranges of status codes", PROBE_RANGES);
		if (!range_parse(word, &probe->expected[probe->expected_count++]))
			return error_set(
				e,
				"\"%.80s\" is no status code; write, for example, 2xx, 204 or "
				"200-399",
				word);
	}
	return true;
}

static bool host_parse(struct probe *probe, const char *host, struct error *e)
{
	if (probe->host)
		return error_set(e, "host= stands there twice");
	if (*host == '\0' || strlen(host) > PROBE_PATH_MOST || !is_visible(host) ||
	    strpbrk(host, "/@?#\\"))
		return error_set(e, "\"%.80s\" is no host; write, for example, host=example.org",
				 host);
	probe->host = copy_of(host);
	return true;
}

static bool method_parse(struct probe *probe, const char *method, struct error *e)
{
	static const char *const known[] = { "GET", "HEAD", "OPTIONS" };

	if (!method)
		return error_set(e, "http needs a method and a path; write http GET /");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(method, known[i]) == 0) {
			probe->method = copy_of(method);
			return true;
		}
	}
	if (*method == '/')
		return error_set(e, "the method is missing; write http GET %.80s", method);
	return error_set(e, "\"%.80s\" is no method of a check; write GET, HEAD or OPTIONS",
			 method);
}

static bool path_parse(struct probe *probe, const char *path, struct error *e)
{
	if (!path)
		return error_set(e, "the path is missing; write http %s /", probe->method);
	if (*path != '/' || strlen(path) > PROBE_PATH_MOST || !is_visible(path) ||
	    strchr(path, '#'))
		return error_set(e,
				 "\"%.80s\" is no path; write one that begins with / and has at "
				 "most %d visible letters",
				 path, PROBE_PATH_MOST);
	probe->path = copy_of(path);
	return true;
}

static bool http_parse(struct probe *probe, char *rest, struct error *e)
{
	static const char host[] = "host=";
	const char *word;

	if (!method_parse(probe, next_word(&rest), e) || !path_parse(probe, next_word(&rest), e))
		return false;
	while ((word = next_word(&rest))) {
		bool good;

		if (strcmp(word, "expecting") == 0)
			good = expected_parse(probe, next_word(&rest), e);
		else if (strncmp(word, host, sizeof host - 1) == 0)
			good = host_parse(probe, word + sizeof host - 1, e);
		else
			good = error_set(e,
					 "\"%.80s\" is unknown here; behind the path may stand "
					 "expecting 2xx and host=NAME",
					 word);
		if (!good)
			return false;
	}
	if (probe->expected_count == 0)
		probe->expected[probe->expected_count++] = (struct probe_range){ 200, 299 };
	return true;
}

static bool exec_parse(struct probe *probe, const char *rest, struct error *e)
{
	const char *command = rest ? rest + strspn(rest, BLANKS) : "";
	char **words = command_split(command, e);

	if (!words)
		return false;
	command_words_free(&words);
	if (!command_escapes_check(command, e))
		return false;
	probe->command = copy_of(command);
	return true;
}

static bool kind_unknown(const char *word, struct error *e)
{
	struct nearest nearest = nearest_begin(word);

	for (size_t i = 0; i < KINDS; i++)
		nearest_offer(&nearest, kinds[i]);
	if (nearest.best)
		return error_set(e, "\"%.80s\" is unknown; did you mean \"%s\"?", word,
				 nearest.best);
	return error_set(e, "\"%.80s\" is unknown; there are off, tcp, http and exec", word);
}

static bool kind_parse(struct probe *probe, const char *word, char *rest, struct error *e)
{
	size_t kind = 0;

	while (kind < KINDS && strcmp(word, kinds[kind]) != 0)
		kind++;
	if (kind == KINDS)
		return kind_unknown(word, e);
	probe->kind = (enum probe_kind)kind;
	if (probe->kind == PROBE_HTTP)
		return http_parse(probe, rest, e);
	if (probe->kind == PROBE_EXEC)
		return exec_parse(probe, rest, e);
	rest = next_word(&rest);
	return !rest || error_set(e, "nothing follows %s, not \"%.80s\"", word, rest);
}

bool probe_parse(const char *text, struct probe *probe_r, struct error *e)
{
	char *copy = copy_of(text), *rest = copy;
	const char *word = next_word(&rest);
	bool good;

	*probe_r = (struct probe){ .kind = PROBE_OFF };
	good = word ? kind_parse(probe_r, word, rest, e) : kind_unknown("", e);
	if (!good)
		probe_free(probe_r);
	free(copy);
	return good;
}
