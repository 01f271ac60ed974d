"""The worry: what a Node worker says to its primary besides "give me clients" freezes it, floods Limpet, or costs a client.

A full worker (maxConnections) refuses a third client: he waits and is served when there is room. Workers go by their own
will, by cluster.worker.disconnect() and kill(): they end at once with code 0, count as no failure, and their clients find
the successor. A server is closed and opened again in all workers: clients that come meanwhile wait. Applications send
their primary messages of a megabyte, and handles: they are told that all was sent, and go on.
SPDX-License-Identifier: ISC
"""
import os

import pytest

from client import HttpClient, connect_from, http_get
from limpet import client_address, free_port, wait_until
from node_apps import VERSIONS, app, need_node, run_arguments

ME = client_address(7)


def start(limpet, name, workers=2, version="22"):
    limpet.port = free_port()
    limpet.start(run_arguments(name, limpet.port, port=limpet.port, workers=workers, version=version))
    return limpet.port


@pytest.mark.parametrize("version", VERSIONS)
def test_full_worker(limpet, version):
    port = start(limpet, "full", workers=1, version=version)
    first, second = connect_from(ME, port), connect_from(ME, port)
    pid = first.recv(100)
    assert second.recv(100) == pid
    third = connect_from(ME, port)
    third.settimeout(0.5)
    with pytest.raises(TimeoutError):
        third.recv(100)
    third.settimeout(10)
    first.close()
    assert third.recv(100) == pid
    second.close()
    third.close()


def test_full_workers_overflow_to_the_next(limpet):
    """Four clients of one address and two workers for two clients each: all are served, none is refused for good."""
    port = start(limpet, "full", workers=2)
    connections = [connect_from(ME, port) for _ in range(4)]
    pids = [connection.recv(100) for connection in connections]
    assert pids.count(pids[0]) == 2 and len(set(pids)) == 2, pids
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("way", ["disconnect", "kill"])
@pytest.mark.parametrize("version", VERSIONS)
def test_worker_leaves(limpet, way, version):
    port = free_port()
    limpet.start(f"[pool:web]\ncommand = {need_node(version)} {app('leave')} {port}\ninstances = 2\n"
                 f"min_uptime = 1ms\n[listen:front]\nbind = 127.0.0.1:{port}\n")
    slots = {pid: slot for slot, pid in limpet.workers().items()}
    before = http_get(port, f"/{way}", ME)["pid"]
    wait_until(lambda: before not in limpet.workers().values(), 10, f"the end of worker {before}")
    after = http_get(port, "/", ME)["pid"]
    assert after != before
    wait_until(lambda: len(limpet.workers()) == 2, 10, "two workers")
    limpet.wait_log(rf"NOTICE web/{slots[before]}: left by its own will \(exited with code 0")
    assert not limpet.log_lines(r"(WARNING|ERROR) web/")


@pytest.mark.parametrize("workers", [1, 2])
def test_listen_again(limpet, workers):
    """Clients of the moment between close() and listen() wait or meet another worker; nobody is refused, and once it
    listens again the client is back at his own."""
    port = start(limpet, "relisten", workers=workers)
    before = http_get(port, "/again", ME)["pid"]
    for _ in range(10):
        assert http_get(port, "/", ME)["pid"] == before or workers > 1

    def is_back():
        said = http_get(port, "/", ME)
        return said["pid"] == before and said["rounds"] == 1
    wait_until(is_back, 10, "the worker that listens again")


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_to_the_primary(limpet, version):
    port = start(limpet, "messages", workers=1, version=version)
    acceptor = limpet.acceptor_pid()
    before = len(os.listdir(f"/proc/{acceptor}/fd"))
    for _ in range(3):
        with HttpClient(port, ME, seconds=20) as client:
            results = client.get_json("/send")["results"]
        assert results == ["sent"] * 9, results
    wait_until(lambda: len(os.listdir(f"/proc/{acceptor}/fd")) <= before, 5, "handles are closed by the acceptor")
    assert not limpet.log_lines("not of Node's protocol")
