// Why: the same as http.js with express, unmodified as well. To try it:
//
//   npm install express
//   limpet run -b 127.0.0.1:3000 -i 2 -- node examples/node/express.js
//   curl http://127.0.0.1:3000/
//
// SPDX-License-Identifier: ISC
"use strict";
const express = require("express");

const app = express();
app.get("/", (request, response) => {
  response.json({ pid: process.pid, slot: Number(process.env.LIMPET_SLOT), client: request.socket.remoteAddress });
});
app.listen(3000, "127.0.0.1");
