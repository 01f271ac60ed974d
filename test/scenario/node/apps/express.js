// Why: the same as http.js in Express, which most applications are. Arguments: PORT.
// SPDX-License-Identifier: ISC
'use strict'
const express = require('express')

const app = express()
app.get('/whoami', (request, response) => {
  response.json({ pid: process.pid, address: request.ip, port: request.socket.remotePort })
})
app.listen(Number(process.argv[2]))
