// Why: shows that a Node application needs nothing at all for Limpet: this is a plain server that knows nothing
// of it. Limpet speaks Node's own cluster protocol to it (delivery = node). To try it:
//
//   limpet run -b 127.0.0.1:3000 -i 2 -- node examples/node/http.js
//   curl http://127.0.0.1:3000/
//
// SPDX-License-Identifier: ISC
"use strict";
const http = require("http");

const server = http.createServer((request, response) => {
  const body = JSON.stringify({
    pid: process.pid,
    slot: Number(process.env.LIMPET_SLOT),
    client: request.socket.remoteAddress,
  }) + "\n";
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
});
server.listen(3000, "127.0.0.1");
