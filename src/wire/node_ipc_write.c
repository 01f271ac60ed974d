/* Why: see node_ipc.h: the lines that a Node worker gets. They are fixed text around numbers,
 * checked keys, and values written by jansson; nothing is allocated per connection.
 * SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/json_arena.h"
#include "wire/node_ipc.h"

static bool is_our_key(const char *key)
{
	size_t length = strlen(key);

	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)key[i]))
			return false;
	}
	return length > 0;
}

/* The length of what snprintf wrote whole, else 0. */
static size_t __attribute__((format(printf, 3, 4)))
write_line(char *out, size_t size, const char *format, ...)
{
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(out, size, format, ap);
	va_end(ap);
	return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

size_t node_ipc_newconn(char *out, size_t size, const char *key, uint64_t seq)
{
	if (!is_our_key(key))
		return 0;
	return write_line(out, size,
			  "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":"
			  "\"NODE_CLUSTER\","
			  "\"act\":\"newconn\",\"key\":\"%s\",\"seq\":%llu}}\n",
			  key, (unsigned long long)seq);
}

/* json_string gives NULL for what is no UTF-8, and that is no member. */
static void set_text(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, json_string(text));
}

/* As server.address() and socket.address() have it in Node. */
static void set_peer(json_t *object, const char *name, const struct peer *peer)
{
	const bool is_v4 = peer->any.sa_family == AF_INET;
	const void *bytes =
		is_v4 ? (const void *)&peer->v4.sin_addr : (const void *)&peer->v6.sin6_addr;
	char text[INET6_ADDRSTRLEN];
	json_t *place;

	if ((!is_v4 && peer->any.sa_family != AF_INET6) ||
	    !inet_ntop(peer->any.sa_family, bytes, text, sizeof text))
		return;
	place = json_object();
	set_text(place, "address", text);
	json_object_set_new(place, "port",
			    json_integer(ntohs(is_v4 ? peer->v4.sin_port : peer->v6.sin6_port)));
	set_text(place, "family", is_v4 ? "IPv4" : "IPv6");
	json_object_set_new(object, name, place);
}

static json_t *object_of(const struct node_client *client)
{
	const struct passport *p = client->passport;
	json_t *object = json_object();

	if (p) {
		json_object_set_new(object, "tls", json_boolean(p->is_tls));
		set_peer(object, "peer", &p->from);
		set_peer(object, "sock", &p->to);
	}
	if (p && p->is_tls) {
		set_text(object, "alpn", p->alpn);
		set_text(object, "servername", p->server_name);
		set_text(object, "version", p->tls_version);
		set_text(object, "cipher", p->cipher);
		json_object_set_new(object, "authorized", json_boolean(p->is_verified));
		set_text(object, "clientName", p->client_name);
	}
	if (client->section) {
		set_text(object, "tlsAt", "worker");
		set_text(object, "section", client->section);
	}
	return object;
}

/* Replaces the "}}\n" at `length` by the member and itself; 0 where that would not fit. */
static size_t append_member(char *out, size_t size, size_t length, const char *name,
			    const json_t *value)
{
	static const char tail[] = "}}\n";
	size_t used = length - (sizeof tail - 1), more;

	more = write_line(out + used, size - used, ",\"%s\":", name);
	used += more;
	if (more == 0 || size - used < sizeof tail)
		return 0;
	more = json_dumpb(value, out + used, size - used, JSON_COMPACT);
	if (more == 0 || more > size - used - sizeof tail)
		return 0;
	memcpy(out + used + more, tail, sizeof tail);
	return used + more + sizeof tail - 1;
}

size_t node_ipc_newconn_client(char *out, size_t size, const char *key, uint64_t seq,
			       const struct node_client *client)
{
	size_t length = node_ipc_newconn(out, size, key, seq);
	json_t *object;

	if (length == 0)
		return 0;
	json_arena_open();
	object = object_of(client);
	length = append_member(out, size, length, "limpet", object);
	json_decref(object);
	json_arena_close();
	return length;
}

static void write_hex(char *out, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* In Node's order: name, HMAC, AES. The keys that relays use are made of these by a one-way
 * function, and no ticket of theirs is taken here. */
size_t node_ipc_tickets(char *out, size_t size, const struct ticket_key *key)
{
	static const struct ticket_key none;
	char text[3 * 32 + 1];

	if (memcmp(key, &none, sizeof none) == 0)
		return 0;
	write_hex(text, key->name, 16);
	write_hex(text + 32, key->hmac, 16);
	write_hex(text + 64, key->aes, 16);
	return write_line(out, size, "{\"cmd\":\"NODE_LIMPET\",\"ticketKeys\":\"%s\"}\n", text);
}

/* "text" as a JSON string with its quotes; false: it does not fit, or is not UTF-8. */
static bool quote(char *out, size_t size, const char *text)
{
	json_t *value;
	size_t length = 0;

	json_arena_open();
	value = json_string(text);
	if (value)
		length = json_dumpb(value, out, size - 1, JSON_ENCODE_ANY);
	json_decref(value);
	json_arena_close();
	if (length == 0 || length >= size)
		return false;
	out[length] = '\0';
	return true;
}

/* ,"sockname":{...} or nothing. */
static bool write_sockname(char *out, size_t size, const char *address, const char *family,
			   unsigned port)
{
	char quoted_address[512], quoted_family[64];

	out[0] = '\0';
	if (!address)
		return true;
	return quote(quoted_address, sizeof quoted_address, address) &&
	       quote(quoted_family, sizeof quoted_family, family) &&
	       write_line(out, size, ",\"sockname\":{\"address\":%s,\"family\":%s,\"port\":%u}",
			  quoted_address, quoted_family, port) > 0;
}

size_t node_ipc_reply(char *out, size_t size, const char *key, uint64_t ack, uint64_t seq,
		      int error, const char *data, const char *address, const char *family,
		      unsigned port)
{
	char sockname[768], number[16] = "null";

	if (!is_our_key(key) || !write_sockname(sockname, sizeof sockname, address, family, port))
		return 0;
	if (error != 0)
		snprintf(number, sizeof number, "%d", error);
	return write_line(out, size,
			  "{\"cmd\":\"NODE_CLUSTER\",\"errno\":%s,\"key\":\"%s\",\"ack\":%llu,"
			  "\"data\":%s%s,\"seq\":%llu}\n",
			  number, key, (unsigned long long)ack, data ? data : "null", sockname,
			  (unsigned long long)seq);
}

size_t node_ipc_shared_reply(char *out, size_t size, const char *key, uint64_t ack, uint64_t seq,
			     bool datagram, const char *data)
{
	if (!is_our_key(key))
		return 0;
	return write_line(out, size,
			  "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s.Native\",\"msg\":{\"cmd\":\"NODE_"
			  "CLUSTER\",\"errno\":0,"
			  "\"key\":\"%s\",\"ack\":%llu,\"data\":%s,\"seq\":%llu}}\n",
			  datagram ? "dgram" : "net", key, (unsigned long long)ack,
			  data ? data : "null", (unsigned long long)seq);
}

size_t node_ipc_plain_ack(char *out, size_t size, uint64_t ack, uint64_t seq)
{
	return write_line(out, size, "{\"cmd\":\"NODE_CLUSTER\",\"ack\":%llu,\"seq\":%llu}\n",
			  (unsigned long long)ack, (unsigned long long)seq);
}

size_t node_ipc_disconnect(char *out, size_t size, uint64_t seq)
{
	return write_line(out, size,
			  "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"disconnect\",\"seq\":%llu}\n",
			  (unsigned long long)seq);
}

size_t node_ipc_handle_ack(char *out, size_t size)
{
	return write_line(out, size, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
}
