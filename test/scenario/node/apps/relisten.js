// Why: a server that is closed and opened again (/again), as applications do that reload their settings.
// Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const http = require('http')

let rounds = 0
const server = http.createServer((request, response) => {
  response.setHeader('Connection', 'close')
  response.end(JSON.stringify({ pid: process.pid, rounds }))
  if (request.url === '/again') {
    rounds++
    server.close(() => setTimeout(() => server.listen(Number(process.argv[2])), 200))
  }
})
server.listen(Number(process.argv[2]))
