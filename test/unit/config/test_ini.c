/* Why: the worry is a configuration that is read differently from what its writer sees.
 * SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "config/ini.h"
#include "directory.h"

#define LIMIT (4u << 20)

static FILE *out; /* what the handler hears, as "[section] key=value@line " */

static bool on_section(void *arg, const char *name, struct ini_place place, struct error *e)
{
	(void)arg;
	(void)place;
	if (name && strcmp(name, "bad") == 0)
		return error_set(e, "a bad section");
	fprintf(out, "[%s] ", name ? name : "");
	return true;
}

static bool on_value(void *arg, const char *key, const char *value, struct ini_place place,
		     struct error *e)
{
	(void)arg;
	if (strcmp(key, "bad") == 0)
		return error_set(e, "a bad value");
	fprintf(out, "%s=%s@%u ", key, value, place.line);
	return true;
}

static const struct ini_handler handler = { on_section, on_value, NULL };

static void expect_heard(bool good, const char *expected, const char *heard, const char *error)
{
	if (strcmp(good ? heard : error, expected) != 0)
		fail_msg("expected \"%s\", got \"%s\"", expected, good ? heard : error);
}

static void expect_text(const char *text, size_t length, const char *expected)
{
	struct error e = { .text = "" };
	char *heard = NULL;
	size_t size;
	bool good;

	out = open_memstream(&heard, &size);
	good = ini_parse("f", text, length, LIMIT, &handler, &e);
	fclose(out);
	expect_heard(good, expected, heard, e.text);
	free(heard);
}

static void expect(const char *text, const char *expected)
{
	expect_text(text, strlen(text), expected);
}

static void the_grammar_is_what_it_looks_like(void **state)
{
	(void)state;
	expect("", "");
	expect("[s]\nk = v\n", "[s] k=v@2 ");
	expect("[s]\nk=v", "[s] k=v@2 ");
	expect("\n\n  [s]  \n\t k \t=\t v w \t\n", "[s] k=v w@4 ");
	expect("[a:b]\nk = a = b\n", "[a:b] k=a = b@2 ");
	expect("; c\n  # c\n[s] \nk = v ; no # comment\n", "[s] k=v ; no # comment@4 ");
	expect("[s]\nk =\nk = \n", "[s] k=@2 k=@3 ");
	expect("[s]\n  indented = value\n", "[s] indented=value@2 ");
	expect("\xef\xbb\xbf[s]\r\nk = v\r\n", "[s] k=v@2 ");
	expect("[s]\nk = \"quoted \"\n", "[s] k=\"quoted \"@2 ");
	expect("[s]\nk = \xc3\xa9\n", "[s] k=\xc3\xa9@2 ");
}

static void what_could_be_misread_is_refused(void **state)
{
	(void)state;
	expect("[s]\nk\n", "f:2: expected \"name = value\", a [section] or %include");
	expect("[s]\n= v\n", "f:2: \"\" is no name of an option");
	expect("[s]\na b = v\n", "f:2: \"a b\" is no name of an option");
	expect("[s] x\n", "f:1: a section is written [NAME], with nothing behind the ]");
	expect("[s\n", "f:1: a section is written [NAME], with nothing behind the ]");
	expect("[s]\n\xef\xbb\xbfk = v\n", "f:2: \"\xef\xbb\xbfk\" is no name of an option");
	expect("[s]\nk = a\rb\n", "f:2: the line holds a control character (0x0d)");
	expect("[s]\nk = \x1b\n", "f:2: the line holds a control character (0x1b)");
	expect_text("[s]\nk = a\0b\n", 12, "f:2: the line holds a NUL byte");
	expect("%include x\n", "f:1: %include is for files only");
	expect("%inc x\n", "f:1: \"%inc x\" is unknown; the only word with % is %include");
	expect("[bad]\n", "f:1: a bad section");
	expect("\nbad = 1\n", "f:2: a bad value");
}

static void a_line_has_64_kib_and_no_more(void **state)
{
	char *text = malloc(INI_LINE_MOST + 8);

	(void)state;
	memset(text, ';', INI_LINE_MOST + 1);
	expect_text(text, INI_LINE_MOST, "");
	text[INI_LINE_MOST] = '\n';
	expect_text(text, INI_LINE_MOST + 1, "");
	text[INI_LINE_MOST] = ';';
	expect_text(text, INI_LINE_MOST + 1, "f:1: the line is longer than 65536 bytes");
	free(text);
}

static void the_limit_counts_what_variables_become(void **state)
{
	struct error e = { .text = "" };
	char *heard = NULL, big[101] = "";
	size_t size;

	(void)state;
	memset(big, 'x', 100);
	setenv("BIG", big, 1);
	out = open_memstream(&heard, &size);
	assert_true(ini_parse("f", "[s]\nk = ${BIG}\n", 15, 115, &handler, &e));
	assert_false(ini_parse("f", "[s]\nk = ${BIG}\n", 15, 114, &handler, &e));
	assert_string_equal(e.text, "f:2: the configuration is longer than 114 bytes");
	assert_false(ini_parse("f", "[s]\nk = ${BIG}\n", 15, 14, &handler, &e));
	fclose(out);
	free(heard);
}

static void expect_expanded(const char *text, const char *expected)
{
	struct error e = { .text = "" };
	char *value = ini_expand(text, &e);

	assert_string_equal(value ? value : e.text, expected);
	free(value);
}

static void variables_are_replaced_by_us(void **state)
{
	(void)state;
	setenv("A_VAR", "a value", 1);
	setenv("EMPTY", "", 1);
	unsetenv("UNSET");
	expect_expanded("${A_VAR}", "a value");
	expect_expanded("<${A_VAR}${A_VAR}>", "<a valuea value>");
	expect_expanded("${UNSET:-d}${EMPTY:-e}${A_VAR:-f}", "dea value");
	expect_expanded("${EMPTY}", "");
	expect_expanded("${UNSET:-}", "");
	expect_expanded("${UNSET:-${A_VAR}}", "${A_VAR}"); /* no nesting: the first } ends it */
	expect_expanded("${:- x }", " x ");
	expect_expanded("$HOME $ $$ $5 {} }", "$HOME $ $$ $5 {} }");
	expect_expanded("$${A_VAR} $$${A_VAR}", "${A_VAR} $${A_VAR}");
	expect_expanded("${UNSET}",
			"${UNSET} is not set; write ${UNSET:-text} to give it a default");
	expect_expanded("${A_VAR", "a \"${\" is not closed; as plain text it is written $${");
	expect_expanded("${}", "\"${}\" is neither ${NAME} nor ${NAME:-text}");
	expect_expanded("${A-B}", "\"${A-B}\" is neither ${NAME} nor ${NAME:-text}");
	expect_expanded("${1}", "\"${1}\" is neither ${NAME} nor ${NAME:-text}");
	expect_expanded("${A B}", "\"${A B}\" is neither ${NAME} nor ${NAME:-text}");
}

static char *printed(const char *value)
{
	char *text = NULL;
	size_t size;

	out = open_memstream(&text, &size);
	ini_print_value(value, out);
	fclose(out);
	return text;
}

/* 10^5 random values of the characters that mean something: written and read they are the same. */
static void values_read_as_they_were_written(void **state)
{
	static const char letters[] = "$${{}}:- \t;#=%\"'\\ax";

	(void)state;
	srandom(1);
	for (int i = 0; i < 100000; i++) {
		char value[16], *text, line[128], *again;
		size_t length = (size_t)random() % (sizeof value - 1);
		struct error e;

		for (size_t j = 0; j < length; j++)
			value[j] = letters[(size_t)random() % (sizeof letters - 1)];
		value[length] = '\0';
		assert_true(ini_value_check(value, &e));
		text = printed(value);
		again = ini_expand(text, &e);
		assert_string_equal(again, value);
		snprintf(line, sizeof line, "[s]\nk = %s\n", text);
		free(again);
		again = NULL;
		assert_int_not_equal(asprintf(&again, "[s] k=%s@2 ", value), -1);
		expect(line, again);
		free(again);
		free(text);
	}
}

static void a_value_that_no_line_can_hold_is_refused(void **state)
{
	char *value = malloc(INI_VALUE_MOST + 1);
	struct error e;

	(void)state;
	memset(value, 'x', INI_VALUE_MOST);
	value[INI_VALUE_MOST] = '\0';
	assert_false(ini_value_check(value, &e));
	value[INI_VALUE_MOST - 10] = '\0';
	assert_true(ini_value_check(value, &e));
	memcpy(value, "${", 2);
	assert_false(ini_value_check(value, &e));
	assert_false(ini_value_check("a\nb", &e));
	assert_false(ini_value_check("a\x7f", &e));
	assert_true(ini_value_check("a\tb", &e));
	free(value);
}

static void expect_file(const char *path, const char *expected)
{
	struct error e = { .text = "" };
	char *heard = NULL;
	size_t size;
	bool good;

	out = open_memstream(&heard, &size);
	good = ini_read(path, LIMIT, &handler, &e);
	fclose(out);
	expect_heard(good, expected, heard, e.text);
	free(heard);
}

static void includes_are_read_in_order_and_in_place(void **state)
{
	(void)state;
	mkdir("conf.d", 0700);
	mkdir("od[d", 0700);
	directory_write("conf.d/20.ini", "[b]\nk = 20\n");
	directory_write("conf.d/10.ini", "k = 10\n");
	directory_write("conf.d/.hidden.ini", "bad = 1\n");
	directory_write("main", "[a]\n%include conf.d/*.ini\nk = end\n");
	expect_file("main", "[a] k=10@1 [a] [b] k=20@2 [a] k=end@3 ");
	directory_write("main", "%include none.d/*.ini\n%include conf.d/[x]*\n%include "
				"${NOWHERE:-conf.d}/10.ini\n");
	expect_file("main", "k=10@1 [] ");
	directory_write("od[d/main", "%include other*\n");
	directory_write("od[d/other", "k = odd\n");
	expect_file("od[d/main", "k=odd@1 [] ");
}

static void a_bad_include_names_the_line_to_blame(void **state)
{
	(void)state;
	directory_write("main", "\n%include missing.ini\n");
	expect_file("main", "main:2: %include missing.ini: there is no such file");
	directory_write("main", "%include\n");
	expect_file("main", "main:1: %include needs a file name");
	directory_write("main", "%include /\n");
	expect_file("main", "main:1: /: cannot be read: Is a directory");
	directory_write("main", "%include sub\n");
	directory_write("sub", "\n\nbad = 1\n");
	expect_file("main", "sub:3: a bad value");
	expect_file("absent", "absent: cannot be read: No such file or directory");
	expect_file("/dev/null", "/dev/null: cannot be read: it is no regular file");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	directory_write("main", "%include fifo\n"); /* and does not wait for a writer */
	expect_file("main", "main:1: fifo: cannot be read: it is no regular file");
}

static void includes_end(void **state)
{
	(void)state;
	directory_write("main", "%include main\n");
	expect_file("main", "main:1: main includes itself");
	directory_write("main", "%include sub\n");
	directory_write("sub", "[s]\n%include main\n");
	expect_file("main", "sub:2: main includes itself");
	directory_write("main", "%include d0\n");
	for (int i = 0; i < 9; i++) {
		char name[16], text[32];

		snprintf(name, sizeof name, "d%d", i);
		snprintf(text, sizeof text, "%%include d%d\n", i + 1);
		directory_write(name, text);
	}
	directory_write("d9", "");
	expect_file("main", "d7:1: d8 is more than 8 %includes deep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_grammar_is_what_it_looks_like),
		cmocka_unit_test(what_could_be_misread_is_refused),
		cmocka_unit_test(a_line_has_64_kib_and_no_more),
		cmocka_unit_test(the_limit_counts_what_variables_become),
		cmocka_unit_test(variables_are_replaced_by_us),
		cmocka_unit_test(values_read_as_they_were_written),
		cmocka_unit_test(a_value_that_no_line_can_hold_is_refused),
		cmocka_unit_test(includes_are_read_in_order_and_in_place),
		cmocka_unit_test(a_bad_include_names_the_line_to_blame),
		cmocka_unit_test(includes_end),
	};

	return cmocka_run_group_tests(tests, directory_enter, directory_leave);
}
