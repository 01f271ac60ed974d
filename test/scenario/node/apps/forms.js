// Why: every way to listen, and what became of it, as one JSON file per worker: the same under Limpet as under Node's own
// primary, or Limpet is not transparent. Arguments: DIRECTORY FIRST_PORT KEY CERTIFICATE.
// SPDX-License-Identifier: ISC
'use strict'
const cluster = require('cluster')
const dgram = require('dgram')
const fs = require('fs')
const https = require('https')
const net = require('net')
const path = require('path')

const [directory, first, key, cert] = process.argv.slice(2)
const port = (n) => Number(first) + n
const tls = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) }
const results = {}

function listening (server, ...args) {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve({ error: error.code, call: error.syscall }))
    server.listen(...args, () => resolve(server.address()))
  })
}

function bound (type, ...args) {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(type)
    socket.once('error', (error) => resolve({ error: error.code, call: error.syscall }))
    socket.bind(...args, () => resolve(socket.address()))
  })
}

const tcp = (...args) => () => listening(net.createServer(), ...args)
const udp = (...args) => () => bound(...args)

const forms = {
  port: tcp(port(0)),
  'port again': tcp(port(0)),
  'port and host': tcp(port(1), '127.0.0.1'),
  'port and name': tcp(port(2), 'localhost'),
  'IPv6': tcp(port(3), '::1'),
  'IPv6 only': tcp({ port: port(4), host: '::', ipv6Only: true }),
  'any of IPv4': tcp(port(5), '0.0.0.0'),
  'backlog': tcp(port(6), '127.0.0.1', 7),
  'port 0': tcp(0, '127.0.0.1'),
  'port 0 again': tcp(0, '127.0.0.1'),
  'busy port': tcp(port(7), '127.0.0.1'),
  'not our address': tcp(port(8), '203.0.113.1'),
  'no such descriptor': tcp({ fd: 77 }),
  path: tcp({ path: path.join(directory, 'a.sock'), readableAll: true, writableAll: true }),
  'path that cannot be': tcp(path.join(directory, 'no', 'such', 'directory.sock')),
  https: () => listening(https.createServer(tls), port(9)),
  'https again': () => listening(https.createServer(tls), port(9)),
  udp4: udp('udp4', port(10), '127.0.0.1'),
  udp6: udp('udp6', port(10), '::1'),
  'udp port 0': udp('udp4', 0, '127.0.0.1'),
  'port by text': tcp({ port: String(port(11)), host: '127.0.0.1' })
}

async function run () {
  for (const name of Object.keys(forms)) results[name] = await forms[name]()
  const file = path.join(directory, 'worker' + cluster.worker.id + '.json')
  fs.writeFileSync(file + '.new', JSON.stringify(results))
  fs.renameSync(file + '.new', file)
}
run()
