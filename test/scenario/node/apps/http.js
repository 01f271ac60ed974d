// Why: the plainest application: it knows nothing of Limpet and tells who answered whom. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const http = require('http')

http.createServer((request, response) => {
  const { remoteAddress, remotePort } = request.socket
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify({ pid: process.pid, address: remoteAddress, port: remotePort }))
}).listen(Number(process.argv[2]))
