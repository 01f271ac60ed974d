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
from node_apps import VERSIONS, run_arguments

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
    port = start(limpet, "leave", version=version)
    slots = {pid: slot for slot, pid in limpet.workers().items()}
    before = http_get(port, f"/{way}", ME)["pid"]
    wait_until(lambda: before not in limpet.workers().values(), 10, f"the end of worker {before}")
    after = http_get(port, "/", ME)["pid"]
    assert after != before
    wait_until(lambda: len(limpet.workers()) == 2, 10, "two workers")
    assert not limpet.log_lines(r"(WARNING|ERROR) app/")
    limpet.wait_log(rf"app/{slots[before]}: exited with code 0")


def test_listen_again(limpet):
    """Clients of the moment between close() and listen() wait; nobody is refused."""
    port = start(limpet, "relisten", workers=2)
    with HttpClient(port, ME) as client:
        before = client.get_json("/again")
    for _ in range(10):
        assert http_get(port, "/", ME)["pid"] == before["pid"]
    assert http_get(port, "/", ME)["rounds"] == 1


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
