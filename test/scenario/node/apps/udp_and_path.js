// Why: what is shared whole with every worker: a UDP port and a path. Each answers with the pid. Arguments: PORT PATH.
// SPDX-License-Identifier: ISC
'use strict'
const dgram = require('dgram')
const http = require('http')

const socket = dgram.createSocket('udp4')
socket.on('message', (message, from) => socket.send(process.pid + ' ' + message, from.port, from.address))
socket.bind(Number(process.argv[2]), '127.0.0.1')
http.createServer((request, response) => response.end(JSON.stringify({ pid: process.pid }))).listen(process.argv[3])
