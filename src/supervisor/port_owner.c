/* Why: finds the process behind a port as ss(8) does: the socket's inode from the kernel's tables,
 * then the process that has a descriptor with that inode. SPDX-License-Identifier: ISC */
#include "supervisor/port_owner.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0A
#define ROW_SIZE     512

/* One row of /proc/net/tcp or tcp6. Words of the address are in host order, so they can be copied
 * as they stand. */
struct tcp_row {
	uint8_t bytes[16]; /* v4 in the first four */
	bool is_v6;
	unsigned port, state;
	unsigned long inode;
};

static bool parse_tcp_row(const char *text, bool is_v6, struct tcp_row *row_r)
{
	char hex[33];
	uint32_t words[4] = { 0 };

	if (sscanf(text, " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu",
		   hex, &row_r->port, &row_r->state, &row_r->inode) != 4 ||
	    strlen(hex) != (is_v6 ? 32u : 8u))
		return false;
	for (size_t i = 0; i < (is_v6 ? 4u : 1u); i++) {
		char word[9] = { 0 };

		memcpy(word, hex + 8 * i, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	row_r->is_v6 = is_v6;
	memcpy(row_r->bytes, words, sizeof words);
	return true;
}

static bool is_any(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i])
			return false;
	return true;
}

/* 0.0.0.0 and [::] collide with everything on their port, and with each other. */
static bool collides(const struct tcp_row *row, const struct address *address)
{
	const bool wants_v6 = address->any.sa_family == AF_INET6;
	const uint8_t *wanted =
		wants_v6 ? address->v6.sin6_addr.s6_addr : (const uint8_t *)&address->v4.sin_addr;

	if (row->port != address_port(address) || row->state != STATE_LISTEN)
		return false;
	if (is_any(row->bytes, row->is_v6 ? 16 : 4) || is_any(wanted, wants_v6 ? 16 : 4))
		return true;
	return row->is_v6 == wants_v6 && memcmp(row->bytes, wanted, wants_v6 ? 16 : 4) == 0;
}

static unsigned long inode_in_tcp(const char *table, bool is_v6, const struct address *address)
{
	FILE *f = fopen(table, "re");
	char text[ROW_SIZE];
	unsigned long inode = 0;
	struct tcp_row row;

	if (!f)
		return 0;
	while (inode == 0 && fgets(text, sizeof text, f))
		if (parse_tcp_row(text, is_v6, &row) && collides(&row, address))
			inode = row.inode;
	fclose(f);
	return inode;
}

/* Rows of /proc/net/unix end with the inode and the path. */
static unsigned long inode_in_unix(const char *path)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char text[ROW_SIZE];
	unsigned long inode = 0;

	if (!f)
		return 0;
	while (inode == 0 && fgets(text, sizeof text, f)) {
		unsigned long candidate;
		int at = 0;

		text[strcspn(text, "\n")] = '\0';
		if (sscanf(text, "%*s %*s %*s %*s %*s %*s %lu %n", &candidate, &at) == 1 &&
		    at > 0 && strcmp(text + at, path) == 0)
			inode = candidate;
	}
	fclose(f);
	return inode;
}

/* Has /proc/PID/fd a link "socket:[inode]"? Of other users' processes only root sees it. */
static bool holds(const char *pid, unsigned long inode)
{
	char path[64], link[64], wanted[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);

		if (n > 0) {
			link[n] = '\0';
			found = strcmp(link, wanted) == 0;
		}
	}
	closedir(dir);
	return found;
}

/* The name is the process's own choice: only plain characters of it are shown. */
static void describe(const char *pid, char *out, size_t size)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof name, f))
		name[0] = '\0';
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.:+/ ", *c))
			*c = '?';
	snprintf(out, size, "%s (pid %.20s)", name[0] ? name : "a process", pid);
}

static bool find_holder(unsigned long inode, char *out, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	if (!proc)
		return false;
	while (!found && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !holds(entry->d_name, inode))
			continue;
		describe(entry->d_name, out, size);
		found = true;
	}
	closedir(proc);
	return found;
}

bool port_owner(const struct address *address, char *out, size_t size)
{
	unsigned long inode;

	if (address->any.sa_family == AF_UNIX) {
		inode = inode_in_unix(address->local.sun_path);
	} else {
		inode = inode_in_tcp("/proc/net/tcp", false, address);
		if (inode == 0)
			inode = inode_in_tcp("/proc/net/tcp6", true, address);
	}
	return inode != 0 && find_holder(inode, out, size);
}
