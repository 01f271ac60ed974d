// Why: a worker that goes by its own will, the ways that Node has for it: /disconnect and /kill. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const cluster = require('cluster')
const http = require('http')

http.createServer((request, response) => {
  response.setHeader('Connection', 'close')
  response.end(JSON.stringify({ pid: process.pid }))
  if (request.url === '/disconnect') cluster.worker.disconnect()
  if (request.url === '/kill') cluster.worker.kill()
}).listen(Number(process.argv[2]))
