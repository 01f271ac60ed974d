/* Why: ini.h. Reading is a loop over lines with a stack of files; each kind of line has its
 * function. SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/ini.h"

#define BLANKS " \t"
#define BOM    "\xef\xbb\xbf"

/* A file that is being read; `parent` is the one that includes it. */
struct source {
	const struct source *parent;
	const char *path;
	unsigned line, depth;
	dev_t device;
	ino_t inode;
};

struct reader {
	const struct ini_handler *handler;
	struct source *source; /* the innermost */
	char *section;         /* NULL before the first */
	size_t limit, used;    /* bytes */
	unsigned files;
	bool may_include;
};

bool ini_place_error(struct ini_place place, struct error *e)
{
	struct error sentence = *e;

	if (!place.file)
		return false;
	if (place.line == 0)
		return error_set(e, "%.400s: %s", place.file, sentence.text);
	return error_set(e, "%.400s:%u: %s", place.file, place.line, sentence.text);
}

static struct ini_place here(const struct reader *reader)
{
	return (struct ini_place){ .file = reader->source->path, .line = reader->source->line };
}

static bool blame(const struct reader *reader, struct error *e)
{
	return ini_place_error(here(reader), e);
}

static char *copy(const char *text, size_t length)
{
	char *fresh = strndup(text, length);

	if (!fresh)
		fatal("no memory for the configuration");
	return fresh;
}

/* Cuts blanks off both ends, in place. */
static char *trimmed(char *text)
{
	char *end;

	text += strspn(text, BLANKS);
	end = text + strlen(text);
	while (end > text && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return text;
}

static bool count_bytes(struct reader *reader, size_t bytes, struct error *e)
{
	if (bytes > reader->limit - reader->used)
		return error_set(e, "the configuration is longer than %zu bytes", reader->limit);
	reader->used += bytes;
	return true;
}

static bool enter_section(struct reader *reader, const char *name, struct error *e)
{
	char *fresh = name ? copy(name, strlen(name)) : NULL;

	free(reader->section);
	reader->section = fresh;
	return reader->handler->on_section(reader->handler->arg, name, here(reader), e);
}

static bool section_line(struct reader *reader, char *line, struct error *e)
{
	size_t length = strlen(line);

	if (line[length - 1] != ']')
		return error_set(e, "a section is written [NAME], with nothing behind the ]");
	line[length - 1] = '\0';
	return enter_section(reader, line + 1, e);
}

static bool value_line(struct reader *reader, char *line, struct error *e)
{
	char *equals = strchr(line, '=');
	char *key, *value;
	bool good;

	if (!equals)
		return error_set(e, "expected \"name = value\", a [section] or %%include");
	*equals = '\0';
	key = trimmed(line);
	if (*key == '\0' ||
	    key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")])
		return error_set(e, "\"%.80s\" is no name of an option", key);
	value = ini_expand(trimmed(equals + 1), e);
	if (!value)
		return false;
	good = count_bytes(reader, strlen(value), e) &&
	       reader->handler->on_value(reader->handler->arg, key, value, here(reader), e);
	free(value);
	return good;
}

static bool read_file(struct reader *reader, const char *path, struct error *e);

/* The text of `path` for glob(3), with what is special in the directory's name made plain. */
static char *include_pattern(const char *from, const char *path)
{
	const char *slash = strrchr(from, '/');
	char *pattern, *to;

	if (*path == '/' || !slash)
		return copy(path, strlen(path));
	pattern = malloc((size_t)(slash - from) * 2 + strlen(path) + 2);
	if (!pattern)
		fatal("no memory for the configuration");
	to = pattern;
	for (const char *c = from; c <= slash; c++) {
		if (strchr("*?[\\", *c))
			*to++ = '\\';
		*to++ = *c;
	}
	memcpy(to, path, strlen(path) + 1);
	return pattern;
}

/* Each file starts in the section of the %include; which is taken up again after the last. */
static bool read_matches(struct reader *reader, const glob_t *found, struct error *e)
{
	char *section = reader->section ? copy(reader->section, strlen(reader->section)) : NULL;
	bool good = true;

	for (size_t i = 0; good && i < found->gl_pathc; i++) {
		good = read_file(reader, found->gl_pathv[i], e);
		if (good)
			good = enter_section(reader, section, e) || blame(reader, e);
	}
	free(section);
	return good;
}

/* For glob(3): a directory that does not exist holds no files; one that cannot be read is a fault.
 */
static int on_glob_error(const char *path, int error)
{
	(void)path;
	return error != ENOENT && error != ENOTDIR;
}

static bool include_files(struct reader *reader, const char *path, struct error *e)
{
	bool is_pattern = path[strcspn(path, "*?[")] != '\0';
	char *pattern = include_pattern(reader->source->path, path);
	glob_t found = { 0 };
	int fault = glob(pattern, 0, on_glob_error, &found);
	bool good = true;

	if (fault == 0)
		good = read_matches(reader, &found, e);
	else if (fault != GLOB_NOMATCH || !is_pattern)
		good = error_set(e, "%%include %.400s: %s", path,
				 fault == GLOB_NOMATCH ? "there is no such file"
						       : "cannot be read") ||
		       blame(reader, e);
	globfree(&found);
	free(pattern);
	return good;
}

static bool include_line(struct reader *reader, char *line, struct error *e)
{
	size_t word = strcspn(line, BLANKS);
	char *path;
	bool good;

	if (word != strlen("%include") || strncmp(line, "%include", word) != 0)
		return error_set(e, "\"%.80s\" is unknown; the only word with %% is %%include",
				 line) ||
		       blame(reader, e);
	if (!reader->may_include)
		return error_set(e, "%%include is for files only") || blame(reader, e);
	path = ini_expand(trimmed(line + word), e);
	if (!path)
		return blame(reader, e);
	if (*path)
		good = include_files(reader, path, e);
	else
		good = error_set(e, "%%include needs a file name") || blame(reader, e);
	free(path);
	return good;
}

static bool bytes_check(const char *line, size_t length, struct error *e)
{
	if (length > INI_LINE_MOST)
		return error_set(e, "the line is longer than %d bytes", INI_LINE_MOST);
	for (size_t i = 0; i < length; i++) {
		uint8_t byte = (uint8_t)line[i];

		if (byte == 0)
			return error_set(e, "the line holds a NUL byte");
		if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			return error_set(e, "the line holds a control character (0x%02x)", byte);
	}
	return true;
}

static bool read_line(struct reader *reader, const char *bytes, size_t length, struct error *e)
{
	char *memory, *line;
	bool good = true;

	if (length > 0 && bytes[length - 1] == '\r')
		length--;
	if (!bytes_check(bytes, length, e))
		return blame(reader, e);
	memory = copy(bytes, length);
	line = trimmed(memory);
	if (*line == '[')
		good = section_line(reader, line, e) || blame(reader, e);
	else if (*line == '%')
		good = include_line(reader, line, e);
	else if (*line && *line != ';' && *line != '#')
		good = value_line(reader, line, e) || blame(reader, e);
	free(memory);
	return good;
}

static bool read_text(struct reader *reader, const char *text, size_t length, struct error *e)
{
	const char *end = text + length;

	if (!count_bytes(reader, length, e))
		return blame(reader, e);
	if (length >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0)
		text += strlen(BOM);
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;

		reader->source->line++;
		if (!read_line(reader, text, (size_t)(stop - text), e))
			return false;
		text = stop + 1;
	}
	return true;
}

/* Depth and number first: a file that includes itself twice would else be read 2^depth times. */
static bool source_check(const struct reader *reader, const struct source *source, struct error *e)
{
	if (source->depth > INI_DEPTH_MOST)
		return error_set(e, "%.400s is more than %d %%includes deep", source->path,
				 INI_DEPTH_MOST);
	if (reader->files > INI_FILES_MOST)
		return error_set(e, "more than %d files", INI_FILES_MOST);
	for (const struct source *s = source->parent; s; s = s->parent)
		if (s->device == source->device && s->inode == source->inode)
			return error_set(e, "%.400s includes itself", source->path);
	return true;
}

static char *source_load(struct reader *reader, struct source *source, int fd, size_t *length_r,
			 struct error *e)
{
	struct stat status;
	char *text;

	if (fd < 0 || fstat(fd, &status) < 0) {
		error_set(e, "%.400s: cannot be read: %s", source->path, strerror(errno));
		return NULL;
	}
	source->device = status.st_dev;
	source->inode = status.st_ino;
	if (!source_check(reader, source, e))
		return NULL;
	text = fd_read_all(fd, reader->limit, length_r);
	if (!text)
		error_set(e, "%.400s: cannot be read: %s", source->path,
			  errno == EFBIG    ? "it is too long"
			  : errno == EINVAL ? "it is no regular file"
					    : strerror(errno));
	return text;
}

/* O_NONBLOCK: a FIFO in a conf.d must not stop the start. */
static bool read_file(struct reader *reader, const char *path, struct error *e)
{
	struct source *parent = reader->source;
	struct source source = { .parent = parent,
				 .path = path,
				 .depth = parent ? parent->depth + 1 : 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t length = 0;
	char *text;
	bool good;

	reader->files++;
	text = source_load(reader, &source, fd, &length, e);
	fd_close(&fd);
	if (!text)
		return parent ? blame(reader, e) : false;
	reader->source = &source;
	good = read_text(reader, text, length, e);
	reader->source = parent;
	free(text);
	return good;
}

bool ini_read(const char *path, size_t limit, const struct ini_handler *handler, struct error *e)
{
	struct reader reader = { .handler = handler, .limit = limit, .may_include = true };
	bool good = read_file(&reader, path, e);

	free(reader.section);
	return good;
}

bool ini_parse(const char *name, const char *text, size_t length, size_t limit,
	       const struct ini_handler *handler, struct error *e)
{
	struct source source = { .path = name };
	struct reader reader = { .handler = handler, .limit = limit, .source = &source };
	bool good = read_text(&reader, text, length, e);

	free(reader.section);
	return good;
}
