// Why: WebSockets: the first message says who serves whom, the others come back. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const { WebSocketServer } = require('ws')

new WebSocketServer({ port: Number(process.argv[2]) }).on('connection', (socket, request) => {
  const { remoteAddress, remotePort, encrypted } = request.socket
  socket.send(JSON.stringify({ pid: process.pid, address: remoteAddress, port: remotePort, encrypted: Boolean(encrypted) }))
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
})
