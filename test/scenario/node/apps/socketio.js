// Why: socket.io without WebSocket: a session is many connections, and lives in one process. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const http = require('http')
const { Server } = require('socket.io')

const server = http.createServer()
new Server(server, { transports: ['polling'] }).on('connection', (socket) => {
  const { address, secure } = socket.handshake
  socket.on('who', (answer) => answer({ pid: process.pid, address, secure }))
})
server.listen(Number(process.argv[2]))
