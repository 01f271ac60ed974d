/* Why: the supervisor opens the files and a relay puts them together; where they disagree on the
 * order, a key meets the wrong certificate. SPDX-License-Identifier: ISC */
#include "../supervisor/scratch.h"

#include "wire/tls_path.h"

static struct error e;
static struct {
	struct tls_path path;
	char text[256];
} seen[TLS_PATH_DIRECTORY_MOST + 8];
static size_t seen_count, stop_after;

static bool on_path(const struct tls_path *path, void *arg, struct error *error)
{
	assert_ptr_equal(arg, &seen);
	assert_true(seen_count < sizeof seen / sizeof *seen);
	seen[seen_count].path = *path;
	snprintf(seen[seen_count].text, sizeof seen->text, "%s", path->path);
	return ++seen_count != stop_after || error_set(error, "enough");
}

static bool walk(const struct tls_config *tls)
{
	seen_count = 0;
	return tls_path_each(tls, on_path, &seen, &e);
}

static void is_seen(size_t at, enum tls_file_kind kind, uint32_t number, const char *path,
		    const char *option, bool secret)
{
	assert_true(at < seen_count);
	assert_int_equal(seen[at].path.file.tls, 3);
	assert_int_equal(seen[at].path.file.kind, kind);
	assert_int_equal(seen[at].path.file.number, number);
	assert_string_equal(seen[at].path.file.path, path);
	assert_string_equal(seen[at].text, path);
	assert_string_equal(seen[at].path.option, option);
	assert_int_equal(seen[at].path.item, number);
	assert_int_equal(seen[at].path.secret, secret);
}

/* A section without any option. */
static struct tls_config empty(void)
{
	static char nothing[1];

	return (struct tls_config){ .index = 3,
				    .directory = nothing,
				    .client_ca = nothing,
				    .crl = nothing,
				    .ocsp_staple = nothing };
}

/* Worry: pairs come apart, or a file is forgotten. */
static void test_order(void **state)
{
	char *certificates[] = { (char[]){ "a.crt" }, (char[]){ "b.crt" } },
	     *keys[] = { (char[]){ "a.key" }, (char[]){ "b.key" } };
	struct tls_config tls = empty();

	(void)state;
	assert_true(walk(&tls));
	assert_int_equal(seen_count, 0);
	tls.certificate = (struct string_list){ certificates, 2 };
	tls.key = (struct string_list){ keys, 2 };
	tls.client_ca = (char[]){ "ca" };
	tls.crl = (char[]){ "crl" };
	tls.ocsp_staple = (char[]){ "staple" };
	assert_true(walk(&tls));
	assert_int_equal(seen_count, 7);
	is_seen(0, TLS_FILE_CERTIFICATE, 0, "a.crt", "certificate", false);
	is_seen(1, TLS_FILE_KEY, 0, "a.key", "key", true);
	is_seen(2, TLS_FILE_CERTIFICATE, 1, "b.crt", "certificate", false);
	is_seen(3, TLS_FILE_KEY, 1, "b.key", "key", true);
	is_seen(4, TLS_FILE_CLIENT_CA, 0, "ca", "client_ca", false);
	is_seen(5, TLS_FILE_CRL, 0, "crl", "crl", false);
	is_seen(6, TLS_FILE_STAPLE, 0, "staple", "ocsp_staple", false);
	stop_after = 3;
	assert_false(walk(&tls));
	assert_string_equal(e.text, "enough");
	assert_int_equal(seen_count, 3);
	stop_after = 0;
}

/* Worry: what an editor leaves behind is loaded, or the order is the disk's. */
static void test_directory(void **state)
{
	static const char *const names[] = { "b.pem",     "a.pem",   ".c.pem", "d.pem~",
					     "README",    "e.pem.1", ".pem",   "Z.pem",
					     "x.pem.pem", "pem",     "pem.key" };
	static const char *const expected[] = { "Z.pem", "a.pem", "b.pem", "x.pem.pem" };
	struct tls_config tls = empty();

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		scratch_write(in_scratch(names[i]), "x", 0600);
	tls.directory = scratch;
	assert_true(walk(&tls));
	assert_int_equal(seen_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(seen[i].text, in_scratch(expected[i]));
		assert_int_equal(seen[i].path.file.kind, TLS_FILE_BOTH);
		assert_int_equal(seen[i].path.file.number, i);
		assert_true(seen[i].path.secret);
	}
}

/* Worry: a wrong directory is an endless load, or none at all in silence. */
static void test_directory_faults(void **state)
{
	struct tls_config tls = empty();
	char name[32], missing[256];

	(void)state;
	tls.directory = scratch;
	assert_false(walk(&tls));
	assert_non_null(strstr(e.text, "has no file *.pem"));
	for (int i = 0; i < TLS_PATH_DIRECTORY_MOST; i++) {
		snprintf(name, sizeof name, "%04d.pem", i);
		scratch_write(in_scratch(name), "", 0600);
	}
	assert_true(walk(&tls));
	assert_int_equal(seen_count, TLS_PATH_DIRECTORY_MOST);
	scratch_write(in_scratch("more.pem"), "", 0600);
	assert_false(walk(&tls));
	assert_int_equal(seen_count, 0);
	assert_non_null(strstr(e.text, "1025 files *.pem, 1024 are the most"));
	snprintf(missing, sizeof missing, "%s", in_scratch("missing"));
	tls.directory = missing;
	assert_false(walk(&tls));
	assert_non_null(strstr(e.text, "cannot be listed: No such file"));
}

/* Worry: a long path is cut where the name is. */
static void test_long_path(void **state)
{
	struct tls_config tls = empty();
	char path[256];

	(void)state;
	memset(path, 'd', sizeof path);
	memcpy(path + sizeof path - 10, "/name.pem", 10);
	tls.client_ca = path;
	assert_true(walk(&tls));
	assert_string_equal(seen[0].path.path, path);
	assert_int_equal(strlen(seen[0].path.file.path), sizeof seen->path.file.path - 1);
	assert_ptr_equal(strstr(seen[0].path.file.path, "...ddd"), seen[0].path.file.path);
	assert_non_null(strstr(seen[0].path.file.path, "d/name.pem"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test_setup_teardown(test_directory, scratch_begin, scratch_end),
		cmocka_unit_test_setup_teardown(test_directory_faults, scratch_begin, scratch_end),
		cmocka_unit_test(test_long_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
