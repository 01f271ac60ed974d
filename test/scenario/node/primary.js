// Why: Node's own cluster primary, which the tests compare Limpet with. Arguments: WORKERS APP [ARGUMENT]...
// SPDX-License-Identifier: ISC
'use strict'
const cluster = require('cluster')

const [workers, app, ...args] = process.argv.slice(2)
cluster.setupMaster({ exec: app, args })
for (let i = 0; i < Number(workers); i++) cluster.fork()
