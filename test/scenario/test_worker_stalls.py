"""Worry: a worker that is stuck (not dead) keeps its clients for ever, or takes them from others when it wakes up, or the
balancer moves everybody.

One of two workers gets SIGSTOP. With `failover` its new clients are served by the other within stall_timeout; with `hold` they
wait and are answered when it goes on. Clients of the other worker notice nothing. After SIGCONT everybody is pinned as before.
SPDX-License-Identifier: ISC
"""
import os
import signal

import pytest

from client import WebSocket, connect_from, http_get
from crowd import addresses_of, answered, unread_requests
from limpet import BINARY, free_port, wait_until, web_config

NODE = """
require('http').createServer((request, response) => response.end(JSON.stringify({
  slot: Number(process.env.LIMPET_SLOT), pid: process.pid}))).listen(3000);
"""


def start(limpet, kind, policy, more=""):
    port = free_port()
    command = f"{BINARY} @demo" if kind == "fd" else f"node {limpet.write('app.js', NODE)}"
    limpet.start(web_config(port, command, more=f"on_down = {policy}\nstall_timeout = 300ms\n{more}"))
    return port


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_failover_and_return(limpet, kind):
    port = start(limpet, kind, "failover")
    theirs, others = addresses_of(port, 0, 5), addresses_of(port, 1, 5)
    pid = limpet.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    early = unread_requests(port, theirs[0], 3)  # sent before it is known to be stuck: they wait for it
    limpet.wait_log(r"web/0: has acknowledged none of 3 clients")
    for source in theirs:
        assert http_get(port, "/whoami", source)["slot"] == 1
    for source in others:
        assert http_get(port, "/whoami", source)["slot"] == 1
    os.kill(pid, signal.SIGCONT)
    assert answered(early) == 3, "never sent to a second worker, never lost"
    limpet.wait_log(r"web/0: acknowledges again")
    for source in theirs:
        assert http_get(port, "/whoami", source)["pid"] == pid
    counters = limpet.wait_counters(lambda c: c["unacknowledged"] == 0 and c["held"] == 0)
    assert counters["resent"] == 0 and counters["stalls"] == 1


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_hold_waits(limpet, kind):
    """More clients than the window of 256 come to the stopped worker: none is lost, none goes elsewhere."""
    port = start(limpet, kind, "hold", "queue_timeout = 60s\n")
    theirs, others = addresses_of(port, 0, 1), addresses_of(port, 1, 5)
    pid = limpet.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    waiting = unread_requests(port, theirs[0], 400)
    limpet.wait_counters(lambda c: c["unacknowledged"] == 256 and c["held"] == 144)
    for source in others:
        assert http_get(port, "/whoami", source)["slot"] == 1
    os.kill(pid, signal.SIGCONT)
    assert answered(waiting) == 400
    counters = limpet.wait_counters(lambda c: c["unacknowledged"] == 0 and c["held"] == 0)
    assert counters["rerouted"] == 0


def test_hold_ends_at_queue_timeout(limpet):
    """What was not sent yet goes to the next slot when its time is up; what was sent stays."""
    port = start(limpet, "fd", "hold", "queue_timeout = 500ms\n")
    theirs = addresses_of(port, 0, 1)[0]
    pid = limpet.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    waiting = unread_requests(port, theirs, 300)
    limpet.wait_counters(lambda c: c["rerouted"] == 300 - 256 and c["held"] == 0)
    assert answered(waiting[256:]) == 300 - 256
    os.kill(pid, signal.SIGCONT)
    assert answered(waiting[:256]) == 256


def test_established_connections_of_the_stopped_worker_go_on(limpet):
    port = start(limpet, "fd", "failover")
    source = addresses_of(port, 0, 1)[0]
    websocket = WebSocket(port, source=source)
    websocket.receive_json()
    pid = limpet.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    websocket.send("patience")
    late = connect_from(source, port)
    limpet.wait_log(r"web/0: has acknowledged none of 1 clients")
    os.kill(pid, signal.SIGCONT)
    assert websocket.receive() == "patience"
    wait_until(lambda: http_get(port, "/whoami", source)["pid"] == pid, 10)
    late.close()
    websocket.close()
