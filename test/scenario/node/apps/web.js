// Why: one unmodified application for every delivery: it listens where its environment says (a socket that it inherits, or
// PORT), answers every request with who asked whom, and echoes WebSockets. SPDX-License-Identifier: ISC
'use strict'
const http = require('http')
const { WebSocketServer } = require('ws')

const server = http.createServer((request, response) => {
  const { remoteAddress, remotePort, encrypted } = request.socket
  response.setHeader('Content-Type', 'application/json')
  response.end(JSON.stringify({ pid: process.pid, slot: process.env.LIMPET_SLOT, address: remoteAddress, port: remotePort,
    encrypted: Boolean(encrypted) }))
})
new WebSocketServer({ server }).on('connection', socket => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
})
server.listen(process.env.LISTEN_FDS ? { fd: 3 } : Number(process.env.PORT))
