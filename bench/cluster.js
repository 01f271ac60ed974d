// Why: Node's own cluster primary (round-robin, its default) in front of app.js: what Limpet's
// `node` delivery is compared with. SPDX-License-Identifier: ISC
'use strict';
const cluster = require('cluster');
const path = require('path');

cluster.setupPrimary({ exec: path.join(__dirname, 'app.js') });
for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
