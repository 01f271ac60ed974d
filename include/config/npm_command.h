/* Why: "npm start" puts npm and a shell between us and the worker: signals stop there, and the pid
 * that we supervise is not the worker's. So the script's real command is read from package.json and
 * run itself, or the user is told what to write. Source: npm-run-script(1), package.json(5).
 * SPDX-License-Identifier: ISC */
#ifndef CONFIG_NPM_COMMAND_H
#define CONFIG_NPM_COMMAND_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

/* Replaces pool->command (npm, npx, yarn, pnpm) by what the script runs, and adds its assignments
 * to pool->environment; other commands are left alone. False with a sentence where the script is
 * more than one simple command of node. */
bool npm_command_resolve(struct pool_config *pool, struct error *e);

#endif
