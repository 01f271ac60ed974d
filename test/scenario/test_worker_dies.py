"""Worry: a worker dies, and takes with it clients that it had not even read, or other workers' clients, or leaves
zombies and descriptors behind.

A stopped worker gets 200 connections with a request each, and is killed with SIGKILL: every one of them is answered, by the
slot's next process (hold) or by other slots (failover), because the balancer kept its copy of each socket until the worker
acknowledged it. Then workers are killed at random while a crowd makes requests: a worker's death ends its own established
connections at most, never somebody else's. SPDX-License-Identifier: ISC
"""
import os
import random
import signal
import time

import pytest

from client import WebSocket, WebSocketClosed
from crowd import Crowd, addresses_of, answered, unread_requests
from limpet import BINARY, free_port, is_sanitized, wait_until, web_config

APP = """
const http = require('http');
http.createServer((request, response) => response.end(JSON.stringify({
  slot: Number(process.env.LIMPET_SLOT), pid: process.pid, client: request.socket.remoteAddress
}))).listen(3000);
"""


@pytest.mark.parametrize("policy", ["hold", "failover"])
@pytest.mark.parametrize("kind", ["fd", "node"])
def test_unread_connections_survive(limpet, kind, policy):
    port = free_port()
    more = f"on_down = {policy}\nstall_timeout = 0\nqueue_timeout = 30s\n"
    command = f"{BINARY} @demo" if kind == "fd" else f"node {limpet.write('app.js', APP)}"
    limpet.start(web_config(port, command, more=more))
    victim = limpet.workers()[0]
    source = addresses_of(port, 0, 1)[0]
    limpet.watch_descriptors()
    os.kill(victim, signal.SIGSTOP)
    connections = unread_requests(port, source, 200)
    limpet.wait_counters(lambda c: c["unacknowledged"] == 200)
    os.kill(victim, signal.SIGKILL)
    assert answered(connections) == 200
    counters = limpet.wait_counters(lambda c: c["unacknowledged"] == 0 and c["held"] == 0)
    assert counters["resent"] == 200
    assert counters["ended_no_worker"] == counters["ended_queue_full"] == 0


def test_only_its_own_established_connections_end(limpet):
    """WebSockets on every worker; one worker is killed: its own end, every other one goes on."""
    port = free_port()
    limpet.start(web_config(port, instances=4))
    sockets = {slot: [WebSocket(port, source=s) for s in addresses_of(port, slot, 10)] for slot in range(4)}
    for group in sockets.values():
        for socket in group:
            socket.receive_json()
    limpet.wait_worker(2, other_than=limpet.kill_worker(2))
    for socket in sockets[2]:
        with pytest.raises((WebSocketClosed, OSError)):
            socket.receive()
    for slot in (0, 1, 3):
        for socket in sockets[slot]:
            socket.echo("still here")


def test_random_kills_under_load(limpet):
    """For a minute workers are killed at random while a crowd makes requests. A request may fail only if its own
    worker was the one that died; there is no zombie, no descriptor more, and every gauge returns to 0."""
    port = free_port()
    limpet.start(web_config(port, instances=4, more="min_uptime = 10ms\nrestart_delay = 1ms\nrestart_delay_max = 1ms\n"))
    limpet.watch_descriptors()
    seconds = 15 if is_sanitized() else 60
    bystanders = [WebSocket(port, source=s) for s in addresses_of(port, 3, 10)]
    kills = 0
    with Crowd(port, threads=3, seconds=seconds + 30) as crowd:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            slot = random.randrange(3)  # slot 3 is never killed: its clients must notice nothing
            before = limpet.workers().get(slot)
            if before:
                os.kill(before, signal.SIGKILL)
                kills += 1
                limpet.wait_worker(slot, other_than=before)
            reached = crowd.answers + 20
            wait_until(lambda reached=reached: crowd.answers >= reached or time.monotonic() > deadline, 30)
    assert kills >= 10 and crowd.answers > 20 * kills / 2
    # A request that a worker had read when it was killed ends with it; nothing else may.
    assert len(crowd.failures) <= 3 * kills, crowd.failures[:5]
    of_slot_3 = {source for source, places in crowd.places.items() if {slot for slot, _ in places} == {3}}
    assert of_slot_3 and not [f for f in crowd.failures if f[0] in of_slot_3]
    for socket in bystanders:
        socket.receive_json()
        socket.echo("still here")
        socket.close()
    assert not limpet.zombies()
    limpet.wait_counters(lambda c: c["held"] == 0 and c["unacknowledged"] == 0)
