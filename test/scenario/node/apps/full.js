// Why: a worker that takes two connections and no more (maxConnections). Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const net = require('net')

const server = net.createServer((socket) => {
  socket.on('error', () => {})
  socket.write(process.pid + '\n')
})
server.maxConnections = 2
server.listen(Number(process.argv[2]))
