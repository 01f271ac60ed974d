/* Why: what the supervisor says to the warden: whom to end if the supervisor dies.
 * SPDX-License-Identifier: ISC */
#include "supervisor/role_process.h"
#include "supervisor/supervisor.h"

static void introduce(struct role_process *role)
{
	struct supervisor *s = role->child.owner;
	struct message go = { .type = MESSAGE_GO };

	role_process_ward(&s->acceptor, 0);
	for (size_t i = 0; i < s->relay_count; i++)
		role_process_ward(&s->relays[i], (uint32_t)i + 1);
	for (size_t i = 0; i < s->worker_count; i++)
		worker_ward(&s->workers[i]);
	role_process_tell(role, &go, -1);
}

static void hear(struct role_process *role, const struct message *message)
{
	if (message->type == MESSAGE_SERVING)
		child_handle(&role->child, SLOT_IS_READY);
}

const struct role_description warden_description = {
	.name = "warden",
	.argument = "@warden",
	.start_ms = 5000,
	.outlives_us = true,
	.introduce = introduce,
	.hear = hear,
};

void supervisor_tell_warden(struct supervisor *s, const struct message *message, int fd)
{
	role_process_tell(&s->warden, message, fd);
}
