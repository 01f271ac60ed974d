/* Why: who starts a service with a bad certificate must be told which line is to blame, and the
 * process that started it must not have read the key. SPDX-License-Identifier: ISC */
#include "tls_field.h"

#include <sys/wait.h>

static int begin(void **state)
{
	const struct recipe recipe = { .name = "a", .others = "DNS:a.example" };

	if (field_begin(state) < 0)
		return -1;
	write_new(&recipe, "a.crt", "a.key");
	write_new(&recipe, "b.crt", "b.key");
	return 0;
}

/* Both ways of checking say the same. */
static void says(const char *section, const char *sentence)
{
	struct config *config = config_of(section);
	struct error e, apart;

	assert_int_equal(tls_check(config, &e), !sentence);
	assert_int_equal(tls_check_apart(config, &apart), !sentence);
	if (sentence && !strstr(e.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, e.text);
	if (sentence)
		assert_string_equal(e.text, apart.text);
	config_free(&config);
}

/* Worry: the sentence blames the wrong line, or none. */
static void test_lines(void **state)
{
#define HEAD "[tls:x]\ncertificate = a.crt\nkey = a.key\n"
	(void)state;
	says("", NULL);
	says(HEAD, NULL);
	says(HEAD "certificate = b.crt\nkey = b.key\n", NULL);
	says(HEAD "certificate = b.crt\nkey = a.key\n",
	     "f.ini:10: the key a.key does not belong to b.crt");
	says(HEAD "certificate = missing.crt\nkey = a.key\n",
	     "f.ini:9: missing.crt cannot be opened: No such file or directory");
	says(HEAD "directory = missing\n", "f.ini:9: missing cannot be listed: No such file");
	says("[tls:x]\ndirectory = .\n", "f.ini:7: . has no file *.pem");
	says("[tls:fine]\ncertificate = a.crt\nkey = a.key\n" HEAD "ciphers = NONSENSE\n",
	     "f.ini:12: ciphers names no cipher");
	says(HEAD "client_ca = a.key\nverify = require\n", "f.ini:9: a.key holds no certificate");
	assert_int_equal(chmod("b.key", 0640), 0);
	says(HEAD "certificate = b.crt\nkey = b.key\n",
	     "f.ini:10: b.key holds a secret and is open to others (mode 0640): chmod 600 b.key");
	assert_int_equal(chmod("b.key", 0600), 0);
#undef HEAD
}

#define SECRET 32

/* The private number of a P-256 key, with its bits turned, so that this copy is not what is found.
 * PKCS #8 in PEM: it begins 36 bytes behind the beginning. RFC 5958, RFC 5915. */
static void read_turned(const char *path, unsigned char turned[SECRET])
{
	unsigned char der[256];
	char line[80], text[512] = "";
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	setbuf(in, NULL);
	while (fgets(line, sizeof line, in))
		if (line[0] != '-')
			strncat(text, line, strcspn(line, "\n"));
	fclose(in);
	assert_in_range(EVP_DecodeBlock(der, (unsigned char *)text, (int)strlen(text)), 36 + SECRET,
			sizeof der);
	for (size_t i = 0; i < SECRET; i++)
		turned[i] = (unsigned char)~der[36 + i];
	explicit_bzero(der, sizeof der);
	explicit_bzero(text, sizeof text);
	explicit_bzero(line, sizeof line);
}

static bool is_in(const unsigned char *bytes, size_t length, const unsigned char *turned)
{
	for (size_t at = 0; at + SECRET <= length; at++) {
		size_t same = 0;

		while (same < SECRET && (bytes[at + same] ^ turned[same]) == 0xff)
			same++;
		if (same == SECRET)
			return true;
	}
	return false;
}

/* Looks at all memory of this process that can be written. */
static bool memory_has(const unsigned char *turned)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from, until;
	char rights[8], line[512];
	bool found = false;

	assert_non_null(maps);
	assert_true(memory >= 0);
	while (!found && fgets(line, sizeof line, maps)) {
		unsigned char *bytes;
		ssize_t n;

		if (sscanf(line, "%lx-%lx %7s", &from, &until, rights) != 3 || rights[1] != 'w' ||
		    until - from > 64u << 20)
			continue;
		bytes = malloc(until - from);
		assert_non_null(bytes);
		n = pread(memory, bytes, until - from, (off_t)from);
		found = n > 0 && is_in(bytes, (size_t)n, turned);
		explicit_bzero(bytes, until - from);
		free(bytes);
	}
	fclose(maps);
	close(memory);
	return found;
}

/* In a child: who makes a key has it in its memory. */
static void write_elsewhere(const char *certificate, const char *key)
{
	const struct recipe recipe = { .name = "a", .others = "DNS:a.example" };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		write_new(&recipe, certificate, key);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Worry: the supervisor, which lives as long as the service, carries a copy of the key. */
static void test_apart(void **state)
{
	struct config *config = config_of("[tls:x]\ncertificate = c.crt\nkey = c.key\n");
	unsigned char turned[SECRET], *copy = malloc(SECRET);
	struct error e;

	(void)state;
	assert_non_null(copy);
	write_elsewhere("c.crt", "c.key");
	read_turned("c.key", turned);
	for (size_t i = 0; i < SECRET; i++)
		copy[i] = (unsigned char)~turned[i];
	assert_true(memory_has(turned)); /* it would be found */
	explicit_bzero(copy, SECRET);
	assert_false(memory_has(turned));
	assert_true(tls_check_apart(config, &e));
	assert_false(memory_has(turned));
	free(copy);
	config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_apart),
	};

	return cmocka_run_group_tests(tests, begin, field_end);
}
