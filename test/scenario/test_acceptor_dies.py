"""Worry: the balancer itself crashes, and takes every connection with it.

The acceptor is killed with SIGKILL twenty times while 1,000 WebSockets are open (on C workers) and a crowd makes new
connections: no WebSocket drops, each new connection is served by the slot that it belongs to, since the
supervisor keeps the listening sockets and the links. The same with Node workers, whose channel must not end.
SPDX-License-Identifier: ISC
"""
import os
import signal

import pytest

from client import WebSocket, http_get
from crowd import Crowd
from limpet import client_address, free_port, is_sanitized, wait_until, web_config

KILLS = 20


def kill_acceptor(limpet):
    before = limpet.acceptor_pid()
    position = limpet.log_position()
    os.kill(before, signal.SIGKILL)
    limpet.wait_log(r"acceptor: ready after", after=position)
    return wait_until(lambda: limpet.acceptor_pid() not in (None, before) and limpet.acceptor_pid(), 10)


def test_open_websockets_and_new_connections(limpet):
    port = free_port()
    limpet.start(web_config(port, instances=4))
    count = 300 if is_sanitized() else 1000
    sockets = [WebSocket(port, source=client_address(n % 500)) for n in range(count)]
    homes = [socket.receive_json()["pid"] for socket in sockets]
    limpet.watch_descriptors()
    with Crowd(port, threads=2, seconds=180) as crowd:
        for n in range(KILLS):
            kill_acceptor(limpet)
            sockets[n * 7 % count].echo(f"after kill {n}")
            reached = crowd.answers + 10
            wait_until(lambda reached=reached: crowd.answers >= reached, 30)
    for n, socket in enumerate(sockets):
        socket.echo(f"number {n}")
    assert {s: len(p) for s, p in crowd.places.items() if len(p) != 1} == {}, "pinned over all acceptors"
    for n in range(0, count, 50):
        assert http_get(port, "/whoami", client_address(n % 500))["pid"] == homes[n]
    # A connection that the dying acceptor had accepted and not yet sent is the only one that may be lost.
    assert len(crowd.failures) <= KILLS, crowd.failures
    assert limpet.wait_counters(lambda c: c["held"] == 0)["acceptor_starts"] == KILLS + 1
    for socket in sockets:
        socket.socket.close()


NODE_APP = """
const http = require('http');
const server = http.createServer((request, response) => {
  if (request.url === '/slow') setTimeout(() => response.end(JSON.stringify({pid: process.pid})), 1500);
  else response.end(JSON.stringify({slot: Number(process.env.LIMPET_SLOT), pid: process.pid}));
});
server.listen(Number(process.argv[2]));
"""


@pytest.mark.parametrize("form", ["listen", "adopted"])
def test_node_workers_notice_nothing(limpet, form):
    """Workers keep their pids, a slow response completes, and a worker that starts under the new acceptor opens the
    same server again: what the dead one knew of the application's servers was kept."""
    port = free_port()
    app = limpet.write("app.js", NODE_APP)
    listen = f"[listen:web]\nbind = 127.0.0.1:{port}\n" if form == "listen" else ""
    adopt = "" if form == "listen" else "adopt_ports = on\n"
    limpet.start(f"{listen}[pool:web]\ncommand = node {app} {port}\ninstances = 2\n{adopt}")
    workers = limpet.workers()
    sources = [client_address(n) for n in range(20)]
    before = {source: http_get(port, "/", source)["pid"] for source in sources}
    slow = SlowRequest(port, sources[0])
    for _ in range(3):
        kill_acceptor(limpet)
        assert {source: http_get(port, "/", source)["pid"] for source in sources} == before
    assert slow.pid() == before[sources[0]]
    assert limpet.workers() == workers
    killed = limpet.kill_worker(0)
    new = limpet.wait_worker(0, other_than=killed)
    limpet.wait_log(r"web/0: ready after .* \(generation 2\)")
    after = {source: http_get(port, "/", source)["pid"] for source in sources}
    assert after == {source: new if pid == killed else pid for source, pid in before.items()}


class SlowRequest:
    """A request whose answer comes later than the next few deaths."""

    def __init__(self, port, source):
        from client import connect_from
        self.socket = connect_from(source, port)
        self.socket.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    def pid(self):
        import json
        data = b""
        while chunk := self.socket.recv(65536):
            data += chunk
        self.socket.close()
        return json.loads(data.partition(b"\r\n\r\n")[2])["pid"]
