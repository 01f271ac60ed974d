/* Why: names whose answers change while we look: a name server on a loopback port that answers from
 * the test's own table. Source: RFC 1035 4. SPDX-License-Identifier: ISC */
#ifndef TEST_DNS_H
#define TEST_DNS_H

#include "../front/loopback.h"

#include <arpa/nameser.h>
#include <stdio.h>
#include <strings.h>

#define DNS_ROWS 128
#define DNS_SIZE 4096
#define DNS_UDP  1232 /* longer answers are cut short: ask again by TCP */

/* Rows of one name and type are one answer, in their order. A name without any row does not exist;
 * a type without a row of its own is empty. */
struct dns_row {
	const char *name;
	int type;         /* ns_t_a, ns_t_aaaa, ns_t_srv */
	const char *data; /* "10.0.0.1", "priority weight port target"; NULL: SERVFAIL */
};

struct dns {
	struct event *udp, *tcp;
	struct address local;
	struct dns_row rows[DNS_ROWS];
	size_t count;
	unsigned asked; /* questions so far */
	unsigned asked_by_tcp;
};

static inline size_t dns_put16(unsigned char *out, unsigned value)
{
	out[0] = (unsigned char)(value >> 8);
	out[1] = (unsigned char)value;
	return 2;
}

static inline size_t dns_put_name(unsigned char *out, const char *name)
{
	size_t length = 0;

	while (*name) {
		const size_t label = strcspn(name, ".");

		out[length++] = (unsigned char)label;
		memcpy(out + length, name, label);
		length += label;
		name += label + (name[label] == '.');
	}
	out[length++] = 0;
	return length;
}

/* The question's name as text; returns its length in the message. */
static inline size_t dns_get_name(const unsigned char *in, char *out)
{
	size_t length = 0, written = 0;

	while (in[length]) {
		written += (size_t)sprintf(out + written, "%s%.*s", written ? "." : "", in[length],
					   in + length + 1);
		length += (size_t)in[length] + 1;
	}
	out[written] = '\0';
	return length + 1;
}

static inline size_t dns_put_data(unsigned char *out, const struct dns_row *row)
{
	unsigned priority, weight, port;
	char target[256];
	size_t length;

	if (row->type == ns_t_a || row->type == ns_t_aaaa) {
		length = row->type == ns_t_a ? 4 : 16;
		dns_put16(out, (unsigned)length);
		assert_int_equal(
			inet_pton(row->type == ns_t_a ? AF_INET : AF_INET6, row->data, out + 2), 1);
		return length + 2;
	}
	assert_int_equal(sscanf(row->data, "%u %u %u %255s", &priority, &weight, &port, target), 4);
	dns_put16(out + 2, priority);
	dns_put16(out + 4, weight);
	dns_put16(out + 6, port);
	length = 6 + dns_put_name(out + 8, strcmp(target, ".") == 0 ? "" : target);
	dns_put16(out, (unsigned)length);
	return length + 2;
}

static inline size_t dns_answer(const struct dns *dns, const unsigned char *in, unsigned char *out)
{
	char name[256];
	const size_t question = dns_get_name(in + 12, name) + 4;
	const int type = in[12 + question - 4] << 8 | in[12 + question - 3];
	unsigned code = ns_r_nxdomain, answers = 0;
	size_t length = 12 + question;

	memcpy(out, in, length);
	for (size_t i = 0; i < dns->count; i++) {
		const struct dns_row *row = &dns->rows[i];

		if (strcasecmp(row->name, name) != 0)
			continue;
		if (code == ns_r_nxdomain)
			code = ns_r_noerror;
		if (row->type != type)
			continue;
		if (!row->data) {
			code = ns_r_servfail;
			continue;
		}
		length += dns_put16(out + length, 0xc00c);
		length += dns_put16(out + length, (unsigned)type);
		length += dns_put16(out + length, ns_c_in);
		length += dns_put16(out + length, 0);
		length += dns_put16(out + length, 5);
		length += dns_put_data(out + length, row);
		answers++;
	}
	dns_put16(out + 2, 0x8180 | code);
	dns_put16(out + 6, answers);
	dns_put16(out + 8, 0);
	dns_put16(out + 10, 0);
	return length;
}

static inline void dns_on_question(evutil_socket_t fd, short what, void *arg)
{
	struct dns *dns = arg;
	unsigned char in[DNS_SIZE], out[DNS_SIZE];
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	char name[256];
	const ssize_t got = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &size);
	size_t length;

	(void)what;
	if (got < 17)
		return;
	dns->asked++;
	length = dns_answer(dns, in, out);
	if (length > DNS_UDP) {
		out[2] |= 2; /* TC */
		dns_put16(out + 6, 0);
		length = 12 + dns_get_name(in + 12, name) + 4;
	}
	sendto(fd, out, length, 0, (struct sockaddr *)&from, size);
}

/* One question, and the whole of it at once: this is the loopback. */
static inline void dns_on_tcp_question(evutil_socket_t fd, short what, void *arg)
{
	struct dns *dns = arg;
	unsigned char in[DNS_SIZE], out[DNS_SIZE];
	int client = fd;
	size_t length;

	(void)what;
	if (recv(fd, in, sizeof in, 0) > 19) {
		dns->asked_by_tcp++;
		length = dns_answer(dns, in + 2, out + 2);
		dns_put16(out, (unsigned)length);
		assert_int_equal(send(fd, out, length + 2, MSG_NOSIGNAL), length + 2);
	}
	fd_close(&client);
}

static inline void dns_on_client(evutil_socket_t fd, short what, void *arg)
{
	struct dns *dns = arg;
	const int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	assert_true(client >= 0);
	event_base_once(event_get_base(dns->tcp), client, EV_READ, dns_on_tcp_question, dns, NULL);
}

/* The same free port for both. */
static inline void dns_begin(struct dns *dns, struct event_base *base)
{
	int udp, tcp;

	*dns = (struct dns){ .count = 0 };
	do {
		tcp = loopback_listen("127.0.0.1:0", 16, &dns->local);
		udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(udp >= 0);
		if (bind(udp, &dns->local.any, dns->local.length) < 0) {
			fd_close(&udp);
			fd_close(&tcp);
		}
	} while (udp < 0);
	dns->udp = event_new(base, udp, EV_READ | EV_PERSIST, dns_on_question, dns);
	dns->tcp = event_new(base, tcp, EV_READ | EV_PERSIST, dns_on_client, dns);
	event_add(dns->udp, NULL);
	event_add(dns->tcp, NULL);
}

static inline void dns_end(struct dns *dns)
{
	int udp = event_get_fd(dns->udp), tcp = event_get_fd(dns->tcp);

	event_free(dns->udp);
	event_free(dns->tcp);
	fd_close(&udp);
	fd_close(&tcp);
}

static inline void dns_add(struct dns *dns, const char *name, int type, const char *data)
{
	assert_true(dns->count < DNS_ROWS);
	dns->rows[dns->count++] = (struct dns_row){ name, type, data };
}

/* A name with IPv4 addresses, by spaces in `texts`, which must stay. "": none. */
static inline void dns_set(struct dns *dns, const char *name, const char *texts)
{
	static char copies[16][256];
	static unsigned next;
	char *copy = copies[next++ % 16], *text;

	dns->count = 0;
	snprintf(copy, sizeof copies[0], "%s", texts);
	dns_add(dns, name, ns_t_txt, "");
	while ((text = strsep(&copy, " ")))
		if (*text)
			dns_add(dns, name, ns_t_a, text);
}

#endif
