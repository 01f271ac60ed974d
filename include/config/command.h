/* Why: a command is split and expanded by us and never by a shell: nothing in it can mean more than
 * it says. Source: quoting as in sh(1), without variables, globs and operators.
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_COMMAND_H
#define CONFIG_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Words by '..', "..", \. NULL-terminated fresh array for command_words_free; NULL with a sentence.
 */
char **command_split(const char *text, struct error *e);
void command_words_free(char ***words);

/* The word so that command_split reads it back; fresh memory. */
char *command_quote(const char *word);

/* %i %n %% are known; false with a sentence for any other. */
bool command_escapes_check(const char *text, struct error *e);

/* Fresh memory; the text must have passed the check. */
char *command_expand(const char *text, const char *pool, size_t slot);

#endif
