/* Why: a checksum that only we compute alike protects nothing. SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "wire/proxy_layout.h"

/* RFC 3720 B.4, whose CRC32C is that of RFC 4960. */
static void test_known_sums(void **state)
{
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0, sizeof bytes);
	assert_int_equal(proxy_crc32c(bytes, 32, SIZE_MAX), 0x8a9136aa);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(proxy_crc32c(bytes, 32, SIZE_MAX), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(proxy_crc32c(bytes, 32, SIZE_MAX), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(proxy_crc32c(bytes, 32, SIZE_MAX), 0x113fdb5c);
	assert_int_equal(proxy_crc32c((const uint8_t *)"123456789", 9, SIZE_MAX), 0xe3069283);
	assert_int_equal(proxy_crc32c(NULL, 0, SIZE_MAX), 0);
}

/* Worry: the checksum's own bytes count. */
static void test_hole(void **state)
{
	uint8_t bytes[32], zeros[32];

	(void)state;
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(i + 1);
	for (size_t hole = 0; hole <= 28; hole++) {
		memcpy(zeros, bytes, sizeof zeros);
		memset(zeros + hole, 0, 4);
		assert_int_equal(proxy_crc32c(bytes, 32, hole), proxy_crc32c(zeros, 32, SIZE_MAX));
		assert_int_not_equal(proxy_crc32c(bytes, 32, hole),
				     proxy_crc32c(bytes, 32, SIZE_MAX));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_sums),
		cmocka_unit_test(test_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
