"""Why: a worker with a thread per client, served by the standard library's http.server. To try it:

    limpet run -b 127.0.0.1:3000 -i 2 -- python3 examples/python/threads_hello.py
    curl http://127.0.0.1:3000/

SPDX-License-Identifier: ISC
"""
import http.server
import json
import os
import select
import threading

import limpet_worker


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"pid": os.getpid(), "slot": int(os.environ["LIMPET_SLOT"]),
                           "client": self.client_address[0]}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(client):
    client.socket.settimeout(60)
    with client.socket:
        try:
            Hello(client.socket, client.address or ("unix", 0), None)
        except OSError:
            pass  # he left


link = limpet_worker.open_link()
limpet_worker.ready(link)
while True:
    select.select([link], [], [])
    try:
        client = limpet_worker.receive(link)
    except BlockingIOError:
        continue
    if client is None:
        break  # the process ends when the last thread has served its client
    threading.Thread(target=serve, args=(client,)).start()
