// Why: socket.io's own client, one session per source address, a new TCP connection for every request, so that nothing
// but the balancer holds a session together. Arguments: PORT COUNT ROUNDS [AUTHORITY], the last for TLS. Prints
// {address: [pids]} of the sessions that came through whole and were told their own address, and whether it is secure.
// SPDX-License-Identifier: ISC
'use strict'
const fs = require('fs')
const http = require('http')
const https = require('https')
const { io } = require('socket.io-client')

const [port, count, rounds] = process.argv.slice(2, 5).map(Number)
const ca = process.argv[5] && fs.readFileSync(process.argv[5])

function session (address) {
  return new Promise((resolve) => {
    const options = { keepAlive: false, localAddress: address }
    const agent = ca ? new https.Agent({ ...options, ca, servername: 'localhost' }) : new http.Agent(options)
    const socket = io((ca ? 'https' : 'http') + '://127.0.0.1:' + port,
      { transports: ['polling'], forceNew: true, reconnection: false, agent, timeout: 10000 })
    const answers = []
    const finish = (result) => { resolve(result); socket.disconnect() }
    const next = () => socket.emit('who', (answer) => {
      if (!answer.address.endsWith(address) || answer.secure !== Boolean(ca)) return finish(null)
      answers.push(answer)
      if (answers.length < rounds) next()
      else finish(answers)
    })
    socket.on('connect', next)
    socket.on('connect_error', () => finish(null))
    socket.on('disconnect', () => finish(null))
  })
}

const addresses = Array.from({ length: count }, (_, i) => '127.2.0.' + (i + 1))
Promise.all(addresses.map(session)).then((results) => {
  const whole = {}
  results.forEach((answers, i) => {
    if (answers) whole[addresses[i]] = [...new Set(answers.map((answer) => answer.pid))]
  })
  process.stdout.write(JSON.stringify(whole) + '\n', () => process.exit(0))
})
