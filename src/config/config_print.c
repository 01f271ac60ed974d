/* Why: everything that is printed from the option tables: the effective configuration, the sample
 * file, the option part of the manual. Source: man(7). SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/option.h"

#define SAMPLE_WIDTH 92

static const char *const reload_texts[] = {
	[RELOAD_LIVE] = "A reload changes it at once.",
	[RELOAD_RESTART] = "A reload changes it for processes that start afterwards.",
	[RELOAD_FIXED] = "A change needs a new start of Limpet.",
};

static void print_section(enum section_kind kind, const void *object, FILE *out)
{
	const struct option_table *table = &option_tables[kind];

	for (size_t i = 0; i < table->count; i++)
		option_print(&table->rows[i], object, out);
}

void config_print(const struct config *config, FILE *out)
{
	fputs("[limpet]\n", out);
	print_section(SECTION_LIMPET, &config->limpet, out);
	for (size_t i = 0; i < config->listen_count; i++) {
		fprintf(out, "\n[listen:%s]\n", config->listens[i].name);
		print_section(SECTION_LISTEN, &config->listens[i], out);
	}
	for (size_t i = 0; i < config->pool_count; i++) {
		fprintf(out, "\n[pool:%s]\n", config->pools[i].name);
		print_section(SECTION_POOL, &config->pools[i], out);
	}
	for (size_t i = 0; i < config->tls_count; i++) {
		fprintf(out, "\n[tls:%s]\n", config->tlss[i].name);
		print_section(SECTION_TLS, &config->tlss[i], out);
	}
}

/* Words in comment lines of at most SAMPLE_WIDTH bytes. */
static void print_comment(const char *text, FILE *out)
{
	size_t column = 1;

	fputc('#', out);
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t length = strcspn(text, " ");

		if (column + 1 + length > SAMPLE_WIDTH) {
			fputs("\n#", out);
			column = 1;
		}
		fprintf(out, " %.*s", (int)length, text);
		column += 1 + length;
		text += length;
	}
	fputc('\n', out);
}

/* What no configuration can do without stands there as an example, so that the sample is a working
 * one. */
static void print_sample_row(const struct option *option, FILE *out)
{
	const char *example = option_example(option);
	bool is_default = option->standard && strcmp(example, option->standard) == 0;

	fputc('\n', out);
	print_comment(option->help, out);
	fprintf(out, "%s%s =%s%s\n", is_default ? ";" : "", option->name, *example ? " " : "",
		example);
}

/* What a section is for; the headings are those of the sample. */
static const struct {
	const char *head, *help;
} samples[] = {
	[SECTION_LIMPET] = { "[limpet]", "The program itself: user, files, log, and the end." },
	[SECTION_LISTEN] = { "[listen:http]",
			     "Where clients come in: one section per set of addresses with its "
			     "rules. The name behind the colon is yours." },
	[SECTION_POOL] = { "[pool:app]",
			   "The workers: one section per program, or per group of servers. Its "
			   "name stands in the log, as in app/3 for slot 3." },
	[SECTION_TLS] = { ";[tls:web]",
			  "Certificates and rules of TLS: the listeners that say tls = web are "
			  "decrypted by this section." },
};

static void print_sample_section(enum section_kind kind, FILE *out)
{
	const struct option_table *table = &option_tables[kind];

	fputs("\n\n", out);
	print_comment(samples[kind].help, out);
	fprintf(out, "%s\n", samples[kind].head);
	for (size_t i = 0; i < table->count; i++)
		print_sample_row(&table->rows[i], out);
}

void config_print_sample(FILE *out)
{
	fputs("# limpet.ini: every option with its default. The two without a ; in front are what "
	      "most need.\n"
	      "# `limpet -t FILE` checks what you made of it; limpet.ini(5) tells the grammar.\n",
	      out);
	for (enum section_kind kind = 0; kind < SECTION_KINDS; kind++)
		print_sample_section(kind, out);
}

/* man(7) takes a \ for its own, and - for a hyphen; a line must not begin with . or '. */
static void print_roff(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '"')
			fputs("\\(dq", out);
		else
			fputc(*text, out);
	}
}

static char *expected_text(const struct option *option)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		fatal("no memory for the manual");
	option_print_expected(option, out);
	fclose(out);
	return text;
}

/* An option without a default stands alone: an example would look like one. */
static void print_manual_head(const struct option *option, FILE *out)
{
	if (!option->standard) {
		fprintf(out, ".TP\n.BR %s \" (must be given)\"\n", option->name);
	} else if (*option->standard == '\0') {
		fprintf(out, ".TP\n.B %s\n", option->name);
	} else {
		fprintf(out, ".TP\n.BR %s \" = ", option->name);
		print_roff(option->standard, out);
		fputs("\"\n", out);
	}
}

static void print_manual_row(const struct option *option, FILE *out)
{
	char *expected = expected_text(option);

	print_manual_head(option, out);
	print_roff(option->help, out);
	fputs("\n.br\nExpected: ", out);
	print_roff(expected, out);
	fprintf(out, ". %s\n", reload_texts[option->reload]);
	free(expected);
}

void config_print_manual(FILE *out)
{
	for (int kind = 0; kind < SECTION_KINDS; kind++) {
		const struct option_table *table = &option_tables[kind];

		fprintf(out, ".SS [%s%s]\n", table->section, table->named ? ":NAME" : "");
		for (size_t i = 0; i < table->count; i++)
			print_manual_row(&table->rows[i], out);
	}
}
