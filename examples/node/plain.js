// Why: Node on the fd link, without the cluster protocol. Prefer http.js: Limpet's `delivery = node` needs no
// code. Node has no public call that receives a descriptor over a socket of one's own, so this file uses the
// pipe that Node's own child processes use, by process.binding(), which is internal and deprecated (DEP0111):
// a later Node may take it away. `limpet run` would choose `delivery = node`, so write an ini file:
//
//   [listen:web]
//   bind = 127.0.0.1:3000
//   [pool:web]
//   command = node examples/node/plain.js
//   delivery = fd
//
// SPDX-License-Identifier: ISC
"use strict";
const http = require("http");
const net = require("net");
const { Pipe, constants } = process.binding("pipe_wrap");
const { WriteWrap } = process.binding("stream_wrap");

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const ADDRESS_SIZES = [0, 12, 36, 216]; // none, IPv4, IPv6, UNIX
const NOT_ARRIVED = 1;

// { id, address } of a PROXY protocol header, version 2.
function parse(record) {
  if (record.length < 16 || !record.subarray(0, 12).equals(SIGNATURE) || record.length !== 16 + record.readUInt16BE(14))
    throw new Error("not a record of limpet_worker(3)");
  const size = ADDRESS_SIZES[record[13] >> 4];
  const has = record[12] === 0x21;
  const address = has && size === 12 ? record.subarray(16, 20).join(".") : has && size === 36 ? address6(record) : "unix";
  for (let at = 16 + size; at + 3 <= record.length; at += 3 + record.readUInt16BE(at + 1))
    if (record[at] === 0x05)
      return { id: record.subarray(at + 3, at + 11), address };
  throw new Error("a record without an id");
}

function address6(record) {
  const groups = [0, 1, 2, 3, 4, 5, 6, 7].map(i => record.readUInt16BE(16 + 2 * i).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1); // the short form
}

let unsent = 0; // answers that libuv keeps because the link is full
let ended = false;

// Calls `then` when the record is out; or when Limpet is gone, so that nobody else can serve this client.
function answer(record, then = () => {}) {
  const request = new WriteWrap();
  const done = () => {
    unsent--;
    then();
    closeWhenDone();
  };
  unsent++;
  request.oncomplete = done;
  if (link.writeBuffer(request, record) !== 0 || link.writeQueueSize === 0)
    done();
}

function closeWhenDone() {
  if (ended && unsent === 0)
    link.close();
}

const server = http.createServer((request, response) => {
  const body = JSON.stringify({
    pid: process.pid,
    slot: Number(process.env.LIMPET_SLOT),
    client: request.socket.limpetAddress,
  }) + "\n";
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    connection: "close",
  });
  response.end(body);
});

function onRecord(bytes) {
  const handle = link.pendingHandle;
  link.pendingHandle = null;
  if (!bytes) { // no more clients will come; Node ends when the last of ours has left
    ended = true;
    closeWhenDone();
    return;
  }
  const { id, address } = parse(Buffer.from(bytes));
  if (!handle) { // our descriptor table is full: another worker gets him
    answer(Buffer.concat([id, Buffer.of(NOT_ARRIVED)]));
    return;
  }
  answer(id, () => { // before anything is read from the socket
    const socket = new net.Socket({ handle, readable: true, writable: true });
    socket.limpetAddress = address;
    server.emit("connection", socket);
  });
}

const link = new Pipe(constants.IPC);
link.onread = onRecord;
link.open(Number(process.env.LIMPET_LINK_FD));
link.readStart();
answer(Buffer.alloc(8)); // clients may come
