// Why: an application that talks to its primary, as some do under pm2: small and large messages, handles, odd values.
// /send does it and answers when all is sent. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const http = require('http')
const net = require('net')

const send = (message, handle) => new Promise((resolve) => {
  process.send(message, handle, (error) => resolve(error ? error.code : 'sent'))
})

async function sendAll () {
  const results = [await send('ready'), await send(17), await send({ cmd: 'mine' })]
  results.push(await send({ large: 'x'.repeat(1 << 20) }))
  results.push(await send({ text: '\u0000\u2028"\\', numbers: [1e300, -0, 1e20] }))
  for (let i = 0; i < 3; i++) {
    const server = net.createServer()
    await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, resolve))
    results.push(await send({ number: i }, server))
    server.close()
  }
  results.push(await send('after the handles'))
  return results
}

http.createServer((request, response) => {
  const answer = (results) => response.end(JSON.stringify({ pid: process.pid, results }))
  if (request.url === '/send') sendAll().then(answer)
  else answer([])
}).listen(Number(process.argv[2]))
