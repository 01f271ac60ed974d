"""The worry: an unmodified Node application, of whatever version and framework, gets its clients spread over its workers
so that sessions break, or sees Limpet's address in place of the client's.

240 clients with an address of their own come three times each. Every client must meet one process only, 240 pairs of
address and process in all; the application must see the client's address and port; every worker must have clients. The
same with Express 5, with WebSockets, with TLS in the worker (whose tickets must be good in every worker), on five
versions of Node. And socket.io by polling alone, a new connection for every request: all of 24 sessions stay whole, while
under Node's own cluster primary, shown beside it, none does.
SPDX-License-Identifier: ISC
"""
import json
import os
import subprocess

import pytest

from client import HttpClient, WebSocket, connect_from
from limpet import NODE_DIRECTORY, client_address, free_port, is_sanitized
from node_apps import VERSIONS, OwnPrimary, app, certificate, need_node, run_arguments, tls_get

CLIENTS = [client_address(number) for number in range(240)]
ROUNDS = 3
WORKERS = 4


def start(limpet, name, *arguments, version="22"):
    limpet.port = free_port()
    limpet.start(run_arguments(name, limpet.port, *arguments, port=limpet.port, workers=WORKERS, version=version))
    return limpet.port


def check_pairs(limpet, visit):
    """`visit(source)` gives what the application says of a client, and the client's real port."""
    pairs = set()
    for _ in range(ROUNDS):
        for source in CLIENTS:
            said, port = visit(source)
            assert said["address"].removeprefix("::ffff:") == source, said
            assert said["port"] == port, said
            pairs.add((source, said["pid"]))
    assert len(pairs) == len(CLIENTS), f"{len(pairs)} pairs of address and process for {len(CLIENTS)} addresses"
    assert {pid for _, pid in pairs} == set(limpet.workers().values()), "every worker has clients"


def visit_http(port):
    def visit(source):
        with HttpClient(port, source) as client:
            return client.get_json("/whoami"), client.socket.getsockname()[1]
    return visit


@pytest.mark.parametrize("version", VERSIONS)
def test_http(limpet, version):
    port = start(limpet, "http", version=version)
    check_pairs(limpet, visit_http(port))


def test_express(limpet):
    check_pairs(limpet, visit_http(start(limpet, "express")))


def test_websocket(limpet):
    port = start(limpet, "ws")

    def visit(source):
        websocket = WebSocket(port, "/", source)
        said = websocket.receive_json()
        local = websocket.socket.getsockname()[1]
        websocket.echo("x" * 70000)
        websocket.close()
        return said, local
    check_pairs(limpet, visit)


def test_https(limpet):
    port = start(limpet, "https", *certificate(limpet.directory))

    def visit(source):
        connection = connect_from(source, port)
        local = connection.getsockname()[1]
        return tls_get(connection)[0], local
    check_pairs(limpet, visit)


def test_tls_ticket_is_good_in_every_worker(limpet):
    """The tickets of one worker's TLS server are the others', as under Node's own primary."""
    port = start(limpet, "https", *certificate(limpet.directory))
    _, session = tls_get(connect_from(CLIENTS[0], port))
    resumed_in = set()
    for source in CLIENTS[:40]:
        said, _ = tls_get(connect_from(source, port), session)
        assert said["resumed"], said
        resumed_in.add(said["pid"])
    assert resumed_in == set(limpet.workers().values())


def sessions(port, count=24, rounds=10):
    """{address: [pids]} of the socket.io sessions that came through whole."""
    done = subprocess.run([need_node(), os.path.join(NODE_DIRECTORY, "socketio_client.js"), str(port), str(count),
                           str(rounds)], stdout=subprocess.PIPE, timeout=90, check=True, text=True)
    return json.loads(done.stdout)


def test_socketio_polling_only(limpet):
    port = start(limpet, "socketio")
    whole = sessions(port)
    assert len(whole) == 24, f"{len(whole)} of 24 sessions"
    assert all(len(pids) == 1 for pids in whole.values()), whole
    if is_sanitized():
        return          # the rest does not concern our own binary
    with OwnPrimary("socketio", free_port(), workers=WORKERS) as own:
        other = int(own.process.args[-1])
        own.wait_port(other)
        whole = sessions(other)
        assert not whole, f"Node's own primary keeps {len(whole)} of 24 sessions: nothing is shown by this test"


def test_without_listener_the_applications_port_is_opened(limpet):
    """`limpet run -- node app.js`, without -b, serves the port that the application asks for."""
    port = free_port()
    limpet.start(["run", "-i", "2", "--", need_node(), app("http"), str(port)])
    with HttpClient(port, CLIENTS[0]) as client:
        assert client.get_json()["address"] == f"::ffff:{CLIENTS[0]}"       # [::]:port, as Node itself binds
    limpet.wait_log(rf"opened \[::\]:{port} for the application")


def test_virtual_port(limpet):
    """An application that listens on 3000 serves the clients of two other listeners, one of them a path."""
    port, path = free_port(), limpet.path("front.sock")
    limpet.start(f"[pool:web]\ncommand = {need_node()} {app('http')} 3000\ninstances = 2\n"
                 f"[listen:front]\nbind = 127.0.0.1:{port}\nbind = unix:{path}\n")
    with HttpClient(port, CLIENTS[0]) as client:
        assert client.get_json()["address"] == CLIENTS[0]
    done = subprocess.run(["curl", "-s", "--unix-socket", path, "http://localhost/"], stdout=subprocess.PIPE,
                          timeout=20, check=True)
    assert json.loads(done.stdout)["pid"] in limpet.workers().values()
