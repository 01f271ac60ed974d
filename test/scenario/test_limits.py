"""Worry: limits that count only what the acceptor still holds are no limits, for it hands every socket over at once.

max_connections and max_per_client count a connection until the worker's own socket is closed, and still know all of them after
the acceptor has died; allow and deny hold for every family; a client has one slot by whatever way he comes.
SPDX-License-Identifier: ISC
"""
import http.client
import json
import os
import signal
import socket
import stat

import pytest

from client import HttpClient, WebSocket, WebSocketClosed, connect_from, http_get
from crowd import answered, unread_requests
from limpet import BINARY, client_address, free_port, wait_until

ENDED = (WebSocketClosed, OSError)


def config(binds, listen="", more="", instances=2):
    lines = "\n".join(f"bind = {bind}" for bind in binds)
    return f"""
[limpet]
stats_period = 100ms
[listen:web]
{lines}
{listen}
[pool:web]
command = {BINARY} @demo
instances = {instances}
{more}"""


def kill_acceptor(limpet):
    mark, old = limpet.log_position(), limpet.acceptor_pid()
    os.kill(old, signal.SIGKILL)
    limpet.wait_log("acceptor: ready after", 20, mark)


def is_refused(port, source):
    """Closed at once, unanswered."""
    return answered(unread_requests(port, source, 1)) == 0


@pytest.mark.parametrize("acceptor", ["lives", "dies"])
def test_max_per_client(limpet, acceptor):
    """One address over two listeners of the section has three; another address is not concerned; who leaves makes room."""
    ports = [free_port(), free_port()]
    limpet.start(config([f"127.0.0.1:{port}" for port in ports], "max_per_client = 3"))
    greedy, modest = client_address(1), client_address(2)
    sockets = [WebSocket(ports[n % 2], source=greedy) for n in range(3)]
    if acceptor == "dies":
        kill_acceptor(limpet)
    limpet.wait_counters(lambda c: c["counted"] == 3)
    for port in ports:
        with pytest.raises(ENDED):
            WebSocket(port, source=greedy)
    assert http_get(ports[0], source=modest)
    sockets.pop().close()
    wait_until(lambda: not is_refused(ports[1], greedy))
    for websocket in sockets:
        websocket.receive_json()
        websocket.echo("still here")
        websocket.close()
    assert limpet.wait_counters(lambda c: c["counted"] == 0)["ended_max_per_client"] >= 2


@pytest.mark.parametrize("acceptor", ["lives", "dies"])
def test_max_connections(limpet, acceptor):
    """The sixth client waits in the kernel's queue, unanswered, until one of the five has left his worker."""
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"], "max_connections = 5"))
    sockets = [WebSocket(port, source=client_address(n)) for n in range(5)]
    if acceptor == "dies":
        kill_acceptor(limpet)
    limpet.wait_counters(lambda c: c["counted"] == 5)
    waiting = unread_requests(port, client_address(9), 1)
    waiting[0].settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting[0].recv(1)
    sockets.pop().close()
    waiting[0].settimeout(20)
    assert answered(waiting) == 1
    for websocket in sockets:
        websocket.receive_json()
        websocket.echo("still here")
        websocket.close()
    limpet.wait_counters(lambda c: c["counted"] == 0)


def test_a_dead_workers_clients_do_not_count(limpet):
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"], "max_connections = 4", instances=1))
    sockets = [WebSocket(port, source=client_address(n)) for n in range(4)]
    limpet.wait_counters(lambda c: c["counted"] == 4)
    limpet.kill_worker(0)
    limpet.wait_counters(lambda c: c["counted"] == 0)
    for websocket in sockets:
        websocket.socket.close()
    assert http_get(port)["generation"] == 2


def test_unread_clients_count_too(limpet):
    """Those who were accepted and wait for a stopped worker are connections like others."""
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"], "max_connections = 10", "stall_timeout = 0", instances=1))
    os.kill(limpet.workers()[0], signal.SIGSTOP)
    requests = unread_requests(port, client_address(1), 15)
    counters = limpet.wait_counters(lambda c: c["limit_pauses"] > 0)
    assert counters["accepted"] == counters["counted"] == 10
    os.kill(limpet.workers()[0], signal.SIGCONT)
    assert answered(requests) == 15


@pytest.mark.parametrize("rules, allowed, denied", [
    ("allow = 127.1.0.1 127.1.0.4/31", (1, 4, 5), (2, 3, 6)),
    ("deny = 127.1.0.0/30", (4, 5), (1, 2, 3)),
    ("allow = 127.1.0.0/24\ndeny = 127.1.0.2\ndeny = 127.1.0.3", (1, 4), (2, 3)),
    ("allow = ::1", (), (1, 2)),
])
@pytest.mark.parametrize("bind", ["127.0.0.1", ""])
def test_allow_and_deny(limpet, bind, rules, allowed, denied):
    """Also for an IPv4 client of a dual-stack listener, whom the kernel shows as an IPv6 address."""
    port = free_port()
    limpet.start(config([f"{bind}:{port}"], rules, instances=1))
    for last in allowed:
        assert http_get(port, source=f"127.1.0.{last}")["client"] == f"127.1.0.{last}"
    for last in denied:
        assert is_refused(port, f"127.1.0.{last}")
    assert limpet.wait_counters(lambda c: c["ended_denied"] == len(denied))["ended_handed_over"] == len(allowed)


def test_a_client_has_one_slot_by_every_way(limpet):
    """IPv4, IPv4 by a dual-stack listener, another port, another bind, another connection: the key is his address."""
    plain, dual = free_port(), free_port()
    limpet.start(config([f"127.0.0.1:{plain}", f":{dual}"], instances=4))
    seen = set()
    for number in range(40):
        source = client_address(number)
        ways = [http_get(port, source=source) for port in (plain, dual, plain, dual)]
        assert {way["client"] for way in ways} == {source}
        assert len({way["pid"] for way in ways}) == 1
        seen.add(ways[0]["slot"])
    assert seen == {0, 1, 2, 3}
    six = [http_get(dual, host="::1") for _ in range(4)]
    assert {answer["client"] for answer in six} == {"::1"}
    assert len({answer["pid"] for answer in six}) == 1


def test_v6only(limpet):
    port = free_port()
    limpet.start(config([f":{port}"], "v6only = on", instances=1))
    assert http_get(port, host="::1")["client"] == "::1"
    with pytest.raises(ConnectionRefusedError):
        connect_from(None, port)


def unix_get(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        exchange = http.client.HTTPConnection("localhost")
        exchange.sock = connection
        exchange.request("GET", "/whoami")
        return json.loads(exchange.getresponse().read())


def test_a_unix_listener(limpet):
    """It serves, beside a port and through the acceptor's death; a stale path is replaced; at the end the path is gone."""
    port, path = free_port(), limpet.path("socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    limpet.start(config([f"127.0.0.1:{port}", f"unix:{path}"], instances=1))
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    assert unix_get(path)["client"] == "unix"
    assert http_get(port)["client"] == "127.0.0.1"
    kill_acceptor(limpet)
    assert unix_get(path)["client"] == "unix"
    assert limpet.stop() == 0
    assert not os.path.exists(path)


def test_listeners_of_two_pools(limpet):
    """Each [listen] feeds its pool and has its own limits."""
    first, second = free_port(), free_port()
    limpet.start(f"""
[limpet]
stats_period = 100ms
[listen:one]
bind = 127.0.0.1:{first}
pool = a
max_per_client = 1
[listen:two]
bind = 127.0.0.1:{second}
pool = b
[pool:a]
command = {BINARY} @demo
instances = 1
[pool:b]
command = {BINARY} @demo
instances = 1
""")
    with HttpClient(first) as one, HttpClient(second) as two, HttpClient(second) as three:
        assert [client.get_json()["pool"] for client in (one, two, three)] == ["a", "b", "b"]
        limpet.wait_counters(lambda c: c["counted"] == 1)
        assert is_refused(first, None)
