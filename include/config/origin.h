/* Why: a fault that shows only when the whole is checked must still be blamed on a line. Which line
 * set which option is kept here, apart from the values, and counts for nothing when they are
 * compared. SPDX-License-Identifier: ISC */
#ifndef CONFIG_ORIGIN_H
#define CONFIG_ORIGIN_H

#include "config/ini.h"
#include "config/option.h"

struct origins;

struct origins *origins_new(void);
void origins_free(struct origins **origins);

/* The file that stands for the whole, where no line is to blame. */
void origins_set_file(struct origins *origins, const char *file);
struct ini_place origins_file(const struct origins *origins);

/* Sections are numbered per kind, in the order of their objects in struct config. */
void origins_add_section(struct origins *origins, enum section_kind kind, struct ini_place place);

/* One more assignment; or none any more, after an empty one to a list. */
void origins_add(struct origins *origins, enum section_kind kind, size_t section,
		 const struct option *option, struct ini_place place);
void origins_reset(struct origins *origins, enum section_kind kind, size_t section,
		   const struct option *option);

/* Number of assignments; the place of one of them, or of the section's head where there is
 * no such or `option` is NULL. */
size_t origins_count(const struct origins *origins, enum section_kind kind, size_t section,
		     const struct option *option);
struct ini_place origins_place(const struct origins *origins, enum section_kind kind,
			       size_t section, const struct option *option, size_t item);

#endif
