// Why: an ordinary Node HTTP server that knows nothing of clusters or of Limpet; the same file runs
// under both. The answer is this process's id. SPDX-License-Identifier: ISC
'use strict';
const http = require('http');

const body = `${process.pid}\n`;

http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain');
  response.setHeader('Content-Length', body.length);
  response.end(body);
}).listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
