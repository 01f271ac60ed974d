// Why: the plainest application: it knows nothing of Limpet and tells who answered whom, how long a body was, and gives
// bodies as long as asked (/bytes?N). Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const http = require('http')

http.createServer((request, response) => {
  const { remoteAddress, remotePort, encrypted, alpnProtocol, servername } = request.socket
  const [path, count] = request.url.split('?')
  let received = 0
  if (path === '/bytes') {
    response.end(Buffer.alloc(Number(count), 'x'))
    return
  }
  request.on('data', (chunk) => { received += chunk.length })
  request.on('end', () => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({
      pid: process.pid, address: remoteAddress, port: remotePort, encrypted: Boolean(encrypted), alpn: alpnProtocol, servername, received
    }))
  })
}).listen(Number(process.argv[2]))
