/* Why: pipes are lent between connections of different clients. SPDX-License-Identifier: ISC */
#include "../front/loopback.h"

#include <fcntl.h>

#include "relay/pipes.h"

/* Worry: more are made than the user's share of pipe memory allows, or one that came back is not
 * lent again. */
static void test_they_are_bounded_and_come_back(void **state)
{
	struct pipes *pipes = pipes_new();
	struct pipe *lent[PIPES_MOST], *again;
	size_t count = 0;

	(void)state;
	while (count < PIPES_MOST && (lent[count] = pipes_take(pipes))) {
		assert_in_range(lent[count]->size, 64 << 10, PIPES_SIZE);
		assert_int_equal(lent[count]->held, 0);
		count++;
	}
	assert_true(count > 0);
	assert_null(pipes_take(pipes));
	again = lent[0];
	pipes_give(pipes, &lent[0]);
	assert_null(lent[0]);
	assert_ptr_equal(pipes_take(pipes), again);
	lent[0] = again;
	for (size_t i = 0; i < count; i++)
		pipes_give(pipes, &lent[i]);
	pipes_free(&pipes);
	assert_null(pipes);
}

/* Worry: one client's bytes reach another. */
static void test_one_with_bytes_is_not_lent_again(void **state)
{
	struct pipes *pipes = pipes_new();
	struct pipe *pipe = pipes_take(pipes);
	char byte;

	(void)state;
	assert_int_equal(write(pipe->in, "secret", 6), 6);
	pipe->held = 6;
	pipes_give(pipes, &pipe);
	pipe = pipes_take(pipes);
	assert_int_equal(read(pipe->out, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(pipe->held, 0);
	pipes_give(pipes, &pipe);
	pipes_free(&pipes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_they_are_bounded_and_come_back),
		cmocka_unit_test(test_one_with_bytes_is_not_lent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
