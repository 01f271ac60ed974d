// Why: the same as http.js in Express, which most applications are. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const express = require('express')

const app = express()
app.get('/whoami', (request, response) => {
  const { ip, secure, protocol } = request
  response.json({ pid: process.pid, address: ip, port: request.socket.remotePort, secure, protocol })
})
app.listen(Number(process.argv[2]))
