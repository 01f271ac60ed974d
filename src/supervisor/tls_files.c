/* Why: see the header. SPDX-License-Identifier: ISC */
#include "supervisor/tls_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/shutdown.h"
#include "supervisor/supervisor.h"
#include "wire/tls_path.h"

#define DAY_MS    (24 * 3600 * 1000LL)
#define DAY_S     (24 * 3600)
#define WARN_DAYS 14

/* One [tls] section that relays use. */
struct section {
	struct tls_files *files;
	const struct tls_config *config;
	char name[80];                /* "tls:NAME", for logs */
	struct event *watch;          /* NULL: never looked at */
	uint64_t fingerprint;         /* of the files as last sent; see look */
	uint32_t serial;              /* of the last load */
	uint32_t said_good, said_bad; /* serials whose result is in the log */
	int64_t expires;              /* seconds since 1970; 0: not known */
	bool was_loaded;              /* by some relay, ever */
};

struct tls_files {
	struct supervisor *supervisor;
	struct section *sections; /* a place for every [tls] section; config NULL: not used */
	size_t count;
	struct event *daily;
};

/* FNV-1a: files are compared with themselves, by nobody's choice. */
static void mix(uint64_t *hash, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		*hash = (*hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}

static bool look_at(const struct tls_path *path, void *arg, struct error *e)
{
	uint64_t *hash = arg;
	struct stat st;

	(void)e;
	mix(hash, path->path, strlen(path->path) + 1);
	if (stat(path->path, &st) < 0)
		return true; /* a missing file is a state like any other */
	mix(hash, &st.st_dev, sizeof st.st_dev);
	mix(hash, &st.st_ino, sizeof st.st_ino);
	mix(hash, &st.st_size, sizeof st.st_size);
	mix(hash, &st.st_mtim, sizeof st.st_mtim);
	mix(hash, &st.st_ctim, sizeof st.st_ctim);
	return true;
}

/* One number that changes with any of the section's files, their names, times or sizes. */
static uint64_t look(const struct section *section)
{
	uint64_t hash = 0xcbf29ce484222325;
	struct error ignored = { "" };

	tls_path_each(section->config, look_at, &hash, &ignored);
	return hash;
}

/* All files are opened before the first is sent: half a section would be worse than none. */
struct opened {
	struct message_tls_file file;
	int fd;
};
struct parcel {
	struct opened *items;
	size_t count;
};

static bool open_one(const struct tls_path *path, void *arg, struct error *e)
{
	struct parcel *parcel = arg;
	int fd = -1;
	struct opened *item;

	if (!tls_path_open(path, &fd, e))
		return false;
	parcel->items = reallocarray(parcel->items, parcel->count + 1, sizeof *parcel->items);
	if (!parcel->items)
		fatal("out of memory");
	item = &parcel->items[parcel->count++];
	item->file = path->file;
	item->fd = fd;
	return true;
}

static bool parcel_open(struct parcel *parcel, const struct section *section, struct error *e)
{
	*parcel = (struct parcel){ .items = NULL };
	return tls_path_each(section->config, open_one, parcel, e);
}

static void parcel_close(struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->count; i++)
		fd_close(&parcel->items[i].fd);
	free(parcel->items);
}

static void send_parcel(const struct parcel *parcel, const struct section *section,
			struct role_process *relay)
{
	struct message file = { .type = MESSAGE_TLS_FILE }, load = { .type = MESSAGE_TLS_LOAD };

	for (size_t i = 0; i < parcel->count; i++) {
		file.TLS_FILE = parcel->items[i].file;
		role_process_tell(relay, &file, parcel->items[i].fd);
	}
	load.TLS_LOAD = (struct message_tls){
		.tls = (uint32_t)section->config->index,
		.serial = section->serial,
	};
	role_process_tell(relay, &load, -1);
}

static void complain(struct section *section, const char *text)
{
	if (section->was_loaded)
		log_line(LOG_WARNING, section->name, "%s: going on with what was loaded before",
			 text);
	else
		log_line(LOG_ERROR, section->name, "%s", text);
	section->said_bad = section->serial;
}

/* At the start of Limpet nothing older is there to go on with. */
static void fail(struct section *section, const char *text)
{
	struct supervisor *s = section->files->supervisor;
	char why[512];

	if (s->state == STARTING && !section->was_loaded) {
		snprintf(why, sizeof why, "%s: %s", section->name, text);
		shutdown_fail(s, why);
	} else {
		complain(section, text);
	}
}

static void reload(struct section *section)
{
	struct supervisor *s = section->files->supervisor;
	struct error e = { "" };
	struct parcel parcel;

	section->serial++;
	section->fingerprint = look(section);
	if (!parcel_open(&parcel, section, &e)) {
		complain(section, e.text);
	} else {
		for (size_t i = 0; i < s->relay_count; i++)
			send_parcel(&parcel, section, &s->relays[i]);
	}
	parcel_close(&parcel);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct section *section = arg;

	(void)fd, (void)what;
	if (look(section) != section->fingerprint)
		reload(section);
}

static void on_day(evutil_socket_t fd, short what, void *arg)
{
	const struct tls_files *files = arg;

	(void)fd, (void)what;
	for (size_t i = 0; i < files->count; i++) {
		const struct section *section = &files->sections[i];
		const int64_t left = section->expires - (int64_t)time(NULL);

		if (!section->config || section->expires == 0 || left > WARN_DAYS * DAY_S)
			continue;
		if (left <= 0)
			log_line(LOG_WARNING, section->name, "a certificate has expired");
		else
			log_line(LOG_WARNING, section->name, "a certificate expires in %lld days",
				 (long long)(left / DAY_S));
	}
}

static void section_begin(struct section *section, struct tls_files *files,
			  const struct tls_config *config)
{
	struct timeval period = clock_timeval(config->watch_interval);

	*section = (struct section){ .files = files, .config = config, .serial = 1 };
	snprintf(section->name, sizeof section->name, "tls:%s", config->name);
	section->fingerprint = look(section);
	if (config->watch_interval == 0)
		return;
	section->watch = event_new(files->supervisor->base, -1, EV_PERSIST, on_watch, section);
	if (!section->watch || event_add(section->watch, &period) < 0)
		fatal("no timer");
}

struct tls_files *tls_files_new(struct supervisor *s)
{
	const struct timeval day = clock_timeval(DAY_MS);
	struct tls_files *files = calloc(1, sizeof *files);
	bool is_used = false;

	if (!files)
		fatal("out of memory");
	files->supervisor = s;
	files->count = s->config->tls_count;
	files->sections = calloc(files->count + 1, sizeof *files->sections);
	if (!files->sections)
		fatal("out of memory");
	for (size_t i = 0; i < s->config->listen_count; i++) {
		const struct listen_config *listen = &s->config->listens[i];

		if (!listen->relayed || listen->tls_index >= files->count)
			continue;
		is_used = true;
		if (!files->sections[listen->tls_index].config)
			section_begin(&files->sections[listen->tls_index], files,
				      &s->config->tlss[listen->tls_index]);
	}
	files->daily = event_new(s->base, -1, EV_PERSIST, on_day, files);
	if (!files->daily || event_add(files->daily, &day) < 0)
		fatal("no timer");
	if (!is_used)
		tls_files_free(&files);
	return files;
}

void tls_files_free(struct tls_files **files)
{
	struct tls_files *f = *files;

	*files = NULL;
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++) {
		if (f->sections[i].watch)
			event_free(f->sections[i].watch);
	}
	event_free(f->daily);
	free(f->sections);
	free(f);
}

/* Opened anew: what is on disk now is newer than what its predecessor had. */
void tls_files_introduce(struct tls_files *files, struct role_process *relay)
{
	for (size_t i = 0; files && i < files->count; i++) {
		struct section *section = &files->sections[i];
		struct error e = { "" };
		struct parcel parcel;

		if (!section->config)
			continue;
		if (parcel_open(&parcel, section, &e))
			send_parcel(&parcel, section, relay);
		else
			fail(section, e.text);
		parcel_close(&parcel);
	}
}

bool tls_files_reload(struct tls_files *files)
{
	for (size_t i = 0; files && i < files->count; i++) {
		if (files->sections[i].config)
			reload(&files->sections[i]);
	}
	return files != NULL;
}

static void say_good(struct section *section, const struct message_tls_loaded *loaded)
{
	if (section->said_good == loaded->serial)
		return;
	if (loaded->text[0])
		log_line(LOG_WARNING, section->name, "%s", loaded->text);
	if (loaded->serial > 1)
		log_line(LOG_NOTICE, section->name,
			 "the relays use the new files; running connections go on");
	section->said_good = loaded->serial;
}

bool tls_files_loaded(struct tls_files *files, const struct role_process *relay,
		      const struct message_tls_loaded *loaded)
{
	struct section *section;

	if (!files || loaded->tls >= files->count || !files->sections[loaded->tls].config ||
	    !memchr(loaded->text, '\0', sizeof loaded->text))
		return false;
	section = &files->sections[loaded->tls];
	if (loaded->good) {
		section->was_loaded = true;
		section->expires = loaded->expires;
		say_good(section, loaded);
	} else if (section->said_bad != loaded->serial) {
		log_debug("%s could not load %s", relay->child.name, section->name);
		fail(section, loaded->text);
	}
	return true;
}
