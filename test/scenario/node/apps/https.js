// Why: TLS in the worker: its server asks the primary for ticket keys, and falls over without an answer.
// Arguments: PORT KEY CERTIFICATE.
// SPDX-License-Identifier: ISC
'use strict'
const fs = require('fs')
const https = require('https')

const options = { key: fs.readFileSync(process.argv[3]), cert: fs.readFileSync(process.argv[4]) }
https.createServer(options, (request, response) => {
  const { remoteAddress, remotePort } = request.socket
  const resumed = request.socket.isSessionReused()
  response.end(JSON.stringify({ pid: process.pid, address: remoteAddress, port: remotePort, resumed }))
}).listen(Number(process.argv[2]))
