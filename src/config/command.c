/* Why: command.h. SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/command.h"

#define BLANKS " \t"

static void *checked(void *memory)
{
	if (!memory)
		fatal("no memory for a command");
	return memory;
}

/* What stands between two quotes of one kind. \ counts in "..." before " and \ only, as in sh(1).
 */
static bool quoted_copy(const char **text, char **to, struct error *e)
{
	const char *c = *text;
	char quote = *c++;

	for (; *c != quote; c++) {
		if (*c == '\0')
			return error_set(e, "a %c is not closed: %.80s", quote, *text);
		if (quote == '"' && *c == '\\' && (c[1] == '"' || c[1] == '\\'))
			c++;
		*(*to)++ = *c;
	}
	*text = c + 1;
	return true;
}

/* One word from *text to `to`, which is NUL-terminated there. */
static bool word_copy(const char **text, char *to, struct error *e)
{
	const char *c = *text;

	while (*c && !strchr(BLANKS, *c)) {
		if (*c == '\'' || *c == '"') {
			if (!quoted_copy(&c, &to, e))
				return false;
			continue;
		}
		if (*c == '\\' && *++c == '\0')
			return error_set(e, "nothing follows the \\ at the end");
		*to++ = *c++;
	}
	*to = '\0';
	*text = c;
	return true;
}

char **command_split(const char *text, struct error *e)
{
	char *word = checked(malloc(strlen(text) + 1));
	char **words = checked(calloc(1, sizeof *words));
	size_t count = 0;

	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		if (!word_copy(&text, word, e)) {
			free(word);
			command_words_free(&words);
			return NULL;
		}
		words = checked(reallocarray(words, count + 2, sizeof *words));
		words[count++] = checked(strdup(word));
		words[count] = NULL;
	}
	free(word);
	if (count == 0 || *words[0] == '\0') {
		command_words_free(&words);
		error_set(e, "it names no program");
	}
	return words;
}

void command_words_free(char ***words)
{
	if (!*words)
		return;
	for (char **word = *words; *word; word++)
		free(*word);
	free(*words);
	*words = NULL;
}

static bool is_plain_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@%_+=:,./-";

	return *word && word[strspn(word, plain)] == '\0';
}

char *command_quote(const char *word)
{
	char *quoted, *to;

	if (is_plain_word(word))
		return checked(strdup(word));
	to = quoted = checked(malloc(strlen(word) * 2 + 3));
	*to++ = '"';
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			*to++ = '\\';
		*to++ = *word;
	}
	*to++ = '"';
	*to = '\0';
	return quoted;
}

bool command_escapes_check(const char *text, struct error *e)
{
	for (const char *c = strchr(text, '%'); c; c = strchr(c + 2, '%')) {
		if (c[1] == '\0')
			return error_set(e,
					 "a single %% at the end; a per cent sign is written %%%%");
		if (!strchr("in%", c[1]))
			return error_set(e,
					 "%%%c is unknown; there are %%i (slot), %%n (pool) and "
					 "%%%% (a per cent sign)",
					 c[1]);
	}
	return true;
}

char *command_expand(const char *text, const char *pool, size_t slot)
{
	char *expanded = NULL;
	size_t length;
	FILE *out = checked(open_memstream(&expanded, &length));

	for (; *text; text++) {
		if (*text != '%' || text[1] == '\0') {
			fputc(*text, out);
			continue;
		}
		text++;
		if (*text == 'i')
			fprintf(out, "%zu", slot);
		else if (*text == 'n')
			fputs(pool, out);
		else
			fputc(*text, out);
	}
	fclose(out);
	return checked(expanded);
}
