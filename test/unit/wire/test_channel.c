/* Why: the supervisor must not die of what a role says, since a role faces the network; so the
 * channel is fed everything that a broken or conquered peer could send. SPDX-License-Identifier:
 * ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "wire/channel.h"
#include "wire/message_row.h"

/* One end is a channel; what it said is here. The other end is a bare socket, or a channel too. */
static struct {
	struct event_base *base;
	struct channel *channel;
	int far;
	unsigned count, gone;
	struct message last;
	int fd;                /* taken from the last message */
	uint32_t next_request; /* expected of OPEN_FAILED, where `counts` */
	bool counts, frees;
} test;

static void on_message(struct channel *channel, const struct message *message, int *fd, void *arg)
{
	assert_ptr_equal(arg, &test);
	assert_ptr_equal(channel, test.channel);
	if (!message) {
		assert_int_equal(*fd, -1);
		test.gone++;
		channel_free(&test.channel);
		return;
	}
	test.count++;
	test.last = *message;
	fd_close(&test.fd);
	test.fd = fd_take(fd);
	if (test.counts)
		assert_int_equal(message->OPEN_FAILED.request, test.next_request++);
	if (test.frees)
		channel_free(&test.channel);
}

static void begin(enum channel_side side)
{
	struct event_config *settings = event_config_new();
	int pair[2];

	memset(&test, 0, sizeof test);
	test.fd = -1;
	test.base = event_base_new_with_config(settings);
	event_config_free(settings);
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	test.far = pair[1];
	test.channel = channel_new(test.base, &pair[0], side, on_message, &test);
	assert_int_equal(pair[0], -1);
}

static void end(void)
{
	channel_free(&test.channel);
	fd_close(&test.far);
	fd_close(&test.fd);
	event_base_free(test.base);
}

static void turn(void)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(test.base, EVLOOP_NONBLOCK);
}

static enum channel_side hearer_of(enum message_type type)
{
	return message_row(type)->from == FROM_ROLE ? CHANNEL_SUPERVISOR : CHANNEL_ROLE;
}

/* A message as it lies on the wire, with a recognisable payload. Returns its length. */
static size_t wire_form(char *out, enum message_type type)
{
	struct message_head head = { .type = type, .length = (uint32_t)message_row(type)->length };

	if (type == MESSAGE_KEEP || type == MESSAGE_KEPT)
		head.length = offsetof(struct message_keep, bytes) + 5;
	memset(out, 0, sizeof head + sizeof(struct message));
	memcpy(out, &head, sizeof head);
	memset(out + sizeof head, 0x11, head.length);
	if (type == MESSAGE_KEEP || type == MESSAGE_KEPT) {
		const uint32_t five = 5;

		memcpy(out + sizeof head + offsetof(struct message_keep, length), &five,
		       sizeof five);
	}
	return sizeof head + head.length;
}

static bool same_file(int a, int b)
{
	struct stat one, two;

	assert_int_equal(fstat(a, &one), 0);
	assert_int_equal(fstat(b, &two), 0);
	return one.st_ino == two.st_ino;
}

/* Worry: some message, sent by one end, does not arrive at the other as it was, with its
 * descriptor. */
static void test_every_message(void **state)
{
	int gift[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, gift), 0);
	for (unsigned n = 1; n < MESSAGE_TYPES; n++) {
		enum message_type type = (enum message_type)n;
		const bool has_fd = message_row(type)->has_fd;
		static struct message sent;
		char bytes[sizeof(struct message_head) + sizeof sent];
		struct channel *sender;

		begin(hearer_of(type));
		sender = channel_new(test.base, &test.far,
				     hearer_of(type) == CHANNEL_ROLE ? CHANNEL_SUPERVISOR
								     : CHANNEL_ROLE,
				     on_message, &test);
		wire_form(bytes, type);
		memset(&sent, 0, sizeof sent);
		sent.type = type;
		memcpy(&sent.BEGIN, bytes + sizeof(struct message_head), message_row(type)->length);
		channel_send(sender, &sent, has_fd ? gift[0] : -1);
		turn();
		assert_int_equal(test.gone, 0);
		assert_int_equal(test.count, 1);
		assert_int_equal(test.last.type, type);
		assert_memory_equal(&test.last.BEGIN, &sent.BEGIN, message_length(&sent));
		assert_true(has_fd ? same_file(test.fd, gift[0]) : test.fd < 0);
		channel_free(&sender);
		end();
	}
	assert_true(fcntl(gift[0], F_GETFD) >= 0); /* the sender keeps his */
	fd_close(&gift[0]);
	fd_close(&gift[1]);
}

/* Sends raw bytes and says what became of the channel. */
static bool is_dropped(enum channel_side hearer, const void *bytes, size_t length, int fd)
{
	bool dropped;

	begin(hearer);
	assert_int_equal(fd_send(test.far, bytes, length, fd), (ssize_t)length);
	turn();
	dropped = test.gone == 1 && test.count == 0;
	assert_true(dropped || (test.gone == 0 && test.count == 1));
	end();
	return dropped;
}

/* Worry: a role speaks as the supervisor, or sends a descriptor or a size that nobody expects. */
static void test_unlawful_messages(void **state)
{
	char bytes[sizeof(struct message_head) + sizeof(struct message) + 100];
	int gift[2];

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, gift), 0);
	for (unsigned n = 1; n < MESSAGE_TYPES; n++) {
		enum message_type type = (enum message_type)n;
		const bool has_fd = message_row(type)->has_fd;
		const size_t length = wire_form(bytes, type);
		enum channel_side hearer = hearer_of(type);

		assert_false(is_dropped(hearer, bytes, length, has_fd ? gift[0] : -1));
		assert_true(is_dropped(hearer == CHANNEL_ROLE ? CHANNEL_SUPERVISOR : CHANNEL_ROLE,
				       bytes, length, has_fd ? gift[0] : -1));
		assert_true(is_dropped(hearer, bytes, length - 1, has_fd ? gift[0] : -1));
		assert_true(is_dropped(hearer, bytes, length + 1, has_fd ? gift[0] : -1));
		assert_true(is_dropped(hearer, bytes, sizeof(struct message_head),
				       has_fd ? gift[0] : -1) ||
			    length == sizeof(struct message_head));
		/* To the supervisor no role can send one: the kernel drops it. */
		if (hearer == CHANNEL_ROLE)
			assert_true(is_dropped(hearer, bytes, length, has_fd ? -1 : gift[0]));
	}
	fd_close(&gift[0]);
	fd_close(&gift[1]);
}

/* Worry: numbers that are no type, and lengths that no message has, reach the handler or foreign
 * memory. */
static void test_nonsense(void **state)
{
	static const uint32_t types[] = { 0, MESSAGE_TYPES, 0x7fffffff, UINT32_MAX };
	static char bytes[sizeof(struct message_head) + sizeof(struct message) + 4096];
	enum channel_side side;

	(void)state;
	for (int s = 0; s < 2; s++) {
		side = s ? CHANNEL_ROLE : CHANNEL_SUPERVISOR;
		for (size_t i = 0; i < 4; i++) {
			const struct message_head head = { .type = types[i], .length = 4 };

			memcpy(bytes, &head, sizeof head);
			assert_true(is_dropped(side, bytes, sizeof head + 4, -1));
		}
		for (size_t length = 1; length <= sizeof(struct message_head) + 1; length++)
			assert_true(is_dropped(side, bytes, length, -1));
		/* Around the largest payload: every length that could be off by a few. */
		for (size_t over = 0; over < 64; over++) {
			size_t payload = sizeof(struct message) - 32 + over;
			const struct message_head head = { s ? MESSAGE_KEPT : MESSAGE_KEEP,
							   (uint32_t)payload };

			memset(bytes, 0x7f, sizeof bytes);
			memcpy(bytes, &head, sizeof head);
			assert_true(is_dropped(side, bytes, sizeof head + payload, -1));
		}
	}
}

/* Worry: the death of the peer is not told, is told twice, or before what he had still said. */
static void test_the_peer_goes(void **state)
{
	char bytes[sizeof(struct message_head) + sizeof(struct message)];
	size_t length = wire_form(bytes, MESSAGE_SERVING);

	(void)state;
	begin(CHANNEL_SUPERVISOR);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fd_send(test.far, bytes, length, -1), (ssize_t)length);
	fd_close(&test.far);
	turn();
	turn();
	assert_int_equal(test.count, 100);
	assert_int_equal(test.gone, 1);
	assert_null(test.channel);
	end();
}

/* Worry: sending to a dead peer frees the channel under the sender's hands, or raises SIGPIPE. */
static void test_sending_to_nobody(void **state)
{
	const struct message go = { .type = MESSAGE_GO };

	(void)state;
	begin(CHANNEL_SUPERVISOR);
	fd_close(&test.far);
	for (int i = 0; i < 10; i++)
		channel_send(test.channel, &go, -1);
	assert_int_equal(test.gone, 0); /* not from inside */
	turn();
	assert_int_equal(test.gone, 1);
	end();
}

/* Worry: a full socket loses messages, mixes their order, or closes a descriptor too early. */
static void test_a_full_socket(void **state)
{
	struct message message = { .type = MESSAGE_OPEN_FAILED };
	struct channel *reader;
	unsigned sent = 0;

	(void)state;
	begin(CHANNEL_ROLE);
	/* Here the bare end sends by a channel, and nobody reads until everything is said. */
	struct channel *sender =
		channel_new(test.base, &test.far, CHANNEL_SUPERVISOR, on_message, &test);
	for (; sent < 3000; sent++) {
		message.OPEN_FAILED.request = sent;
		channel_send(sender, &message, -1);
	}
	reader = test.channel;
	test.counts = true;
	for (int i = 0; i < 1000 && test.count < sent; i++)
		turn();
	assert_int_equal(test.count, sent);
	assert_ptr_equal(reader, test.channel);
	assert_int_equal(test.gone, 0);
	channel_free(&sender);
	end();
}

/* Worry: a descriptor that waits in the queue is that of somebody else when it is sent at last. */
static void test_queued_descriptors(void **state)
{
	struct message filler = { .type = MESSAGE_OPEN_FAILED },
		       slot = { .type = MESSAGE_SLOT_BEGIN };
	int gift[2], copy;

	(void)state;
	assert_int_equal(fd_pair(SOCK_STREAM, gift), 0);
	begin(CHANNEL_ROLE);
	struct channel *sender =
		channel_new(test.base, &test.far, CHANNEL_SUPERVISOR, on_message, &test);
	for (unsigned i = 0; i < 1000; i++)
		channel_send(sender, &filler, -1);
	copy = dup(gift[0]);
	channel_send(sender, &slot, copy);
	fd_close(&copy); /* its number is free for others now */
	copy = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 1000 && test.count < 1001; i++)
		turn();
	assert_int_equal(test.count, 1001);
	assert_int_equal(test.last.type, MESSAGE_SLOT_BEGIN);
	assert_true(same_file(test.fd, gift[0]));
	channel_free(&sender);
	end();
	fd_close(&copy);
	fd_close(&gift[0]);
	fd_close(&gift[1]);
}

/* Worry: a role that hangs costs the supervisor memory without end, or a role that is only slow is
 * dropped. */
static void test_a_hanging_peer(void **state)
{
	const struct message go = { .type = MESSAGE_GO };
	char bytes[sizeof(struct message_head) + sizeof(struct message)];
	unsigned taken = 0;

	(void)state;
	begin(CHANNEL_SUPERVISOR);
	/* What the socket takes, then 16,384 more. */
	while (send(test.far, bytes, wire_form(bytes, MESSAGE_GO), MSG_DONTWAIT) >= 0)
		taken++;
	end();
	begin(CHANNEL_SUPERVISOR);
	for (unsigned i = 0; i < taken + 16384; i++)
		channel_send(test.channel, &go, -1);
	turn();
	assert_int_equal(test.gone, 0);
	channel_send(test.channel, &go, -1);
	assert_int_equal(test.gone, 0);
	turn();
	assert_int_equal(test.gone, 1);
	end();
}

/* Worry: what must be said before the loop runs waits for the loop. */
static void test_flush(void **state)
{
	const struct message go = { .type = MESSAGE_GO };

	(void)state;
	begin(CHANNEL_SUPERVISOR);
	channel_send(test.channel, &go, -1);
	assert_true(channel_flush(test.channel, 1000));
	for (unsigned i = 0; i < 2000; i++)
		channel_send(test.channel, &go, -1);
	assert_false(channel_flush(test.channel, 20)); /* nobody reads */
	fd_close(&test.far);
	assert_false(channel_flush(test.channel, 1000)); /* and nobody will */
	end();
}

/* Worry: a handler that frees the channel is called once more, or the channel reads its own corpse.
 */
static void test_freed_in_the_callback(void **state)
{
	char bytes[sizeof(struct message_head) + sizeof(struct message)];
	size_t length = wire_form(bytes, MESSAGE_SERVING);

	(void)state;
	begin(CHANNEL_SUPERVISOR);
	test.frees = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(fd_send(test.far, bytes, length, -1), (ssize_t)length);
	turn();
	assert_int_equal(test.count, 1);
	assert_null(test.channel);
	end();
}

/* Half of the records begin like lawful ones, so that the random bytes come further in. */
static size_t random_record(char *bytes, size_t size)
{
	size_t length = 1 + (size_t)random() % (random() % 8 ? 200 : size);
	struct message_head head = { (uint32_t)(random() % (MESSAGE_TYPES + 1)), 0 };

	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)random();
	if (random() % 2 && length >= sizeof head) {
		if (random() % 2)
			length = sizeof head + message_row((enum message_type)head.type)->length %
						       (size - sizeof head);
		head.length = (uint32_t)(length - sizeof head);
		memcpy(bytes, &head, sizeof head);
	}
	return length;
}

/* Worry: bytes at random crash the supervisor. */
static void test_random_records(void **state)
{
	static char bytes[sizeof(struct message_head) + sizeof(struct message) + 64];
	unsigned heard = 0;

	(void)state;
	srandom(11);
	begin(CHANNEL_SUPERVISOR);
	for (int i = 0; i < 100000; i++) {
		size_t length = random_record(bytes, sizeof bytes);

		assert_int_equal(fd_send(test.far, bytes, length, -1), (ssize_t)length);
		event_base_loop(test.base, EVLOOP_NONBLOCK);
		heard += test.count;
		test.count = 0;
		if (test.gone || !test.channel) {
			end();
			begin(i % 2 ? CHANNEL_ROLE : CHANNEL_SUPERVISOR);
		}
	}
	assert_true(heard > 1000);
	end();
}

int main(void)
{
	const struct log_settings quiet = { .level = LOG_ALERT, .role = "test" };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_message),
		cmocka_unit_test(test_unlawful_messages),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_the_peer_goes),
		cmocka_unit_test(test_sending_to_nobody),
		cmocka_unit_test(test_a_full_socket),
		cmocka_unit_test(test_queued_descriptors),
		cmocka_unit_test(test_a_hanging_peer),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_freed_in_the_callback),
		cmocka_unit_test(test_random_records),
	};

	log_setup(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
