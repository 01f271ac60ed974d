/* Why: a supervisor without processes: its configuration is real, and its roles are far ends of
 * channels on which a test reads what they would be told. SPDX-License-Identifier: ISC */
#ifndef TEST_SUPERVISOR_FIELD_H
#define TEST_SUPERVISOR_FIELD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/supervisor.h"
#include "wire/role.h"

#define FIELD_RELAYS 2

static struct field {
	struct supervisor s;
	int acceptor, relays[FIELD_RELAYS]; /* far ends */
	struct message heard;
	int heard_fd;
	char log[8192];
	size_t logged;
} field;

static void field_channel(struct channel *channel, const struct message *message, int *fd,
			  void *arg)
{
	(void)channel, (void)message, (void)fd, (void)arg;
}

static void field_log(const char *line, size_t length, void *arg)
{
	(void)arg;
	if (field.logged + length < sizeof field.log) {
		memcpy(field.log + field.logged, line, length);
		field.logged += length;
		field.log[field.logged] = '\0';
	}
}

static int field_role(struct role_process *role, const struct role_description *description,
		      size_t number)
{
	struct error e = { "" };
	int pair[2];

	assert_true(role_process_prepare(role, description, number, &e));
	role->child.owner = &field.s;
	assert_int_equal(fd_pair(SOCK_SEQPACKET, pair), 0);
	role->channel =
		channel_new(field.s.base, &pair[0], CHANNEL_SUPERVISOR, field_channel, role);
	return pair[1];
}

/* An acceptor and two relays of this configuration. */
static void field_begin(const char *text)
{
	const struct log_settings settings = { .level = LOG_INFO, .role = "test" };
	struct error e = { "" };

	memset(&field, 0, sizeof field);
	log_setup(&settings);
	log_to_writer(field_log, NULL);
	field.s.base = role_base();
	field.s.config_fd = -1;
	field.s.config = config_parse("test", text, strlen(text), &e);
	if (!field.s.config)
		fail_msg("%s", e.text);
	TAILQ_INIT(&field.s.listeners);
	field.acceptor = field_role(&field.s.acceptor, &acceptor_description, 0);
	field.s.relays = calloc(FIELD_RELAYS, sizeof *field.s.relays);
	for (; field.s.relay_count < FIELD_RELAYS; field.s.relay_count++)
		field.relays[field.s.relay_count] =
			field_role(&field.s.relays[field.s.relay_count], &relay_description,
				   field.s.relay_count);
	field.heard_fd = -1;
}

__attribute__((unused)) static void field_end(void)
{
	role_process_free(&field.s.acceptor);
	for (size_t i = 0; i < FIELD_RELAYS; i++) {
		role_process_free(&field.s.relays[i]);
		fd_close(&field.relays[i]);
	}
	free(field.s.relays);
	fd_close(&field.acceptor);
	fd_close(&field.heard_fd);
	config_free(&field.s.config);
	log_to_writer(NULL, NULL);
	event_base_free(field.s.base);
}

/* The next record that a role got, in field.heard; MESSAGE_INVALID where there is none. */
__attribute__((unused)) static enum message_type field_hears(int far)
{
	char bytes[sizeof(struct message_head) + sizeof(struct message)];
	struct message_head head;
	bool cut = false;
	ssize_t n;

	fd_close(&field.heard_fd);
	n = fd_receive(far, bytes, sizeof bytes, &field.heard_fd, &cut);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return MESSAGE_INVALID;
	}
	assert_true(n >= (ssize_t)sizeof head && !cut);
	memcpy(&head, bytes, sizeof head);
	field.heard.type = (enum message_type)head.type;
	memcpy(&field.heard.BEGIN, bytes + sizeof head, head.length);
	return field.heard.type;
}

__attribute__((unused)) static void field_drain(int far)
{
	while (field_hears(far) != MESSAGE_INVALID)
		;
}

/* One turn of the loop that does not wait. */
__attribute__((unused)) static void field_turn(void)
{
	event_base_loop(field.s.base, EVLOOP_NONBLOCK);
}

#endif
