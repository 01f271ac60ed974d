"""The worry: does the whole thing work at all, for a stranger who types one command?

A demo pool is started. Forty clients, each with an address of its own, come three times each: every client
must meet the same worker process every time, the worker must see the client's own address, and each of the
workers must get some of the clients. A client that keeps a WebSocket open is served by the same process as
his plain requests. When a worker is killed, its clients come back to the same slot in its next generation,
and nobody else moves.
SPDX-License-Identifier: ISC
"""
import pytest

from client import WebSocket, http_get
from limpet import client_address, free_port

CLIENTS = [client_address(number) for number in range(40)]


@pytest.fixture
def demo(limpet):
    limpet.port = free_port()
    return limpet.start(["demo", "-b", f"127.0.0.1:{limpet.port}"])


def places(demo):
    """{client: (slot, pid)} of one request from each client."""
    found = {}
    for source in CLIENTS:
        me = http_get(demo.port, "/whoami", source)
        assert me["client"].startswith(source), me
        found[source] = (int(me["slot"]), int(me["pid"]))
    return found


def test_each_client_has_one_worker(demo):
    demo.watch_descriptors()
    first = places(demo)
    assert places(demo) == first
    assert places(demo) == first
    workers = demo.workers()
    assert len(workers) > 1
    assert set(first.values()) == set(workers.items()), "each of the workers has some of 40 clients"


def test_websocket_and_http_meet_in_one_process(demo):
    for source in CLIENTS[:8]:
        websocket = WebSocket(demo.port, source=source)
        hello = websocket.receive_json()
        assert hello["pid"] == http_get(demo.port, "/whoami", source)["pid"]
        websocket.echo("still here")
        websocket.close()


def test_killed_worker_gets_its_clients_back(demo):
    demo.watch_descriptors()
    before = places(demo)
    generations = demo.generations()
    slot = max(generations)
    killed = demo.kill_worker(slot)
    demo.wait_worker(slot, other_than=killed)
    after = places(demo)
    moved = {source for source in CLIENTS if after[source] != before[source]}
    assert moved == {source for source in CLIENTS if before[source] == (slot, killed)}
    assert all(after[source][0] == before[source][0] for source in CLIENTS), "slots are for life"
    assert demo.generations()[slot] == generations[slot] + 1
