/* Why: checks need servers that are well, ill, slow and strange; one that says what it is told to
 * say, on the event loop of the test. SPDX-License-Identifier: ISC */
#ifndef TEST_ANSWERER_H
#define TEST_ANSWERER_H

#include "../front/loopback.h"

#define ANSWERER_CLIENTS 64

struct answerer {
	struct event_base *base;
	struct event *accepting;
	struct address local;
	const char *answer; /* NULL: none ever; "": closes at once. Else sent after a request */
	bool is_slow;       /* a byte every 5 ms */
	unsigned clients, resets;
	unsigned answers;   /* begun */
	char request[4096]; /* of the last client */
	size_t length;
	struct answerer_client {
		struct answerer *answerer;
		struct event *event;
		const char *rest; /* NULL: no whole request yet */
		int fd;
	} all[ANSWERER_CLIENTS];
};

static inline void answerer_drop(struct answerer_client *client)
{
	event_free(client->event);
	client->event = NULL;
	fd_close(&client->fd);
}

/* Reads the request; once it is whole sends the answer, then closes. */
static inline void answerer_on_client(evutil_socket_t fd, short what, void *arg)
{
	struct answerer_client *client = arg;
	struct answerer *answerer = client->answerer;
	const struct timeval pause = clock_timeval(5);
	ssize_t got;

	if (!client->rest) {
		if (!(what & EV_READ))
			return;
		got = recv(fd, answerer->request + answerer->length,
			   sizeof answerer->request - 1 - answerer->length, 0);
		if (got <= 0) {
			answerer->resets += got < 0;
			answerer_drop(client);
			return;
		}
		answerer->length += (size_t)got;
		answerer->request[answerer->length] = '\0';
		if (!answerer->answer || answerer->length < 4 ||
		    memcmp(answerer->request + answerer->length - 4, "\r\n\r\n", 4) != 0)
			return;
		client->rest = answerer->answer;
		answerer->answers++;
	}
	client->rest +=
		send(fd, client->rest, answerer->is_slow ? 1 : strlen(client->rest), MSG_NOSIGNAL);
	if (*client->rest == '\0') {
		answerer_drop(client);
		return;
	}
	event_del(client->event);
	event_assign(client->event, answerer->base, fd, 0, answerer_on_client, client);
	event_add(client->event, &pause);
}

static inline void answerer_on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct answerer *answerer = arg;
	struct answerer_client *client = NULL;
	int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (accepted < 0)
		return;
	answerer->clients++;
	answerer->length = 0;
	answerer->request[0] = '\0';
	for (size_t i = 0; i < ANSWERER_CLIENTS; i++)
		if (!answerer->all[i].event)
			client = &answerer->all[i];
	if (!client || (answerer->answer && !*answerer->answer)) {
		fd_close(&accepted);
		return;
	}
	*client = (struct answerer_client){ .answerer = answerer, .fd = accepted };
	client->event = event_new(answerer->base, accepted, EV_READ | EV_PERSIST,
				  answerer_on_client, client);
	event_add(client->event, NULL);
}

/* Listens at a free port of 127.0.0.1, or at `where` again. */
static inline void answerer_begin(struct answerer *answerer, struct event_base *base,
				  const char *where, const char *answer)
{
	int fd;

	*answerer = (struct answerer){ .base = base, .answer = answer };
	fd = loopback_listen(where ? where : "127.0.0.1:0", 64, &answerer->local);
	answerer->accepting =
		event_new(base, fd, EV_READ | EV_PERSIST, answerer_on_accept, answerer);
	event_add(answerer->accepting, NULL);
}

static inline void answerer_end(struct answerer *answerer)
{
	int fd = event_get_fd(answerer->accepting);

	for (size_t i = 0; i < ANSWERER_CLIENTS; i++)
		if (answerer->all[i].event)
			answerer_drop(&answerer->all[i]);
	event_free(answerer->accepting);
	fd_close(&fd);
}

#endif
