"""Worry: the supervisor is killed with SIGKILL and takes clients with it, or leaves processes, ports and files behind that
the next start trips over.

Nobody is left who could restart anything, so what lives may only finish: established connections go on, clients whom the
kernel had queued are served, the ports are free for the next start at once, and when the clients have left, or drain_timeout
is over, nothing remains: no worker that ignores SIGTERM, no grandchild of one.
SPDX-License-Identifier: ISC
"""
import os
import signal

import pytest

from client import HttpClient, WebSocket, http_get
from crowd import answered, unread_requests
from limpet import BINARY, client_address, free_port, wait_until, web_config
from node_apps import app, need_node
from odd_worker import COMMAND

ODD = " ".join(COMMAND)

SLOW_NODE = """
const http = require('http');
const fs = require('fs');
const identity = () => JSON.stringify({ slot: Number(process.env.LIMPET_SLOT), pid: process.pid });
http.createServer((request, response) => {
  if (request.url !== '/slow') return response.end(identity());
  response.writeHead(200, { 'Content-Length': 10 });
  response.write('begun');
  const timer = setInterval(() => {
    if (!fs.existsSync('finish')) return;
    clearInterval(timer);
    response.end('ended');
  }, 10);
}).listen(3000);
"""


def config(port, command, instances=2, drain="60s", more=""):
    return web_config(port, command, instances, f"drain_timeout = {drain}", more=more)


def command_of(limpet, kind):
    if kind == "node":
        return f"{need_node()} {limpet.write('app.js', SLOW_NODE)}"
    return ODD


def kill_supervisor(limpet):
    """Kills it and waits until it is dead; returns the acceptor's pid."""
    limpet.remember_processes()
    acceptor = limpet.acceptor_pid()
    os.kill(limpet.pid, signal.SIGKILL)
    assert limpet.wait_exit() == -signal.SIGKILL
    return acceptor


def all_gone(limpet, seconds=30):
    wait_until(lambda: not limpet.processes(), seconds, lambda: f"left over: {limpet.processes()}")


def slow_request(port, source):
    """A connection that has read the first half of its answer."""
    connection = unread_requests(port, source, 1, "/slow")[0]
    data = b""
    while not data.endswith(b"begun"):
        piece = connection.recv(4096)
        assert piece, data
        data += piece
    return connection


def rest_of(connection):
    data = b""
    while piece := connection.recv(4096):
        data += piece
    connection.close()
    return data


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_slow_answers_are_finished(limpet, kind):
    port = free_port()
    limpet.start(config(port, command_of(limpet, kind)))
    slow = [slow_request(port, client_address(n)) for n in range(12)]
    kill_supervisor(limpet)
    limpet.write("finish", "")
    assert [rest_of(connection) for connection in slow] == [b"ended"] * 12
    all_gone(limpet)


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_websockets_go_on_while_the_next_start_serves(limpets, kind):
    """The port is free at once; the old workers keep their clients beside the new ones, and leave with the last."""
    port = free_port()
    command = f"{need_node()} {app('ws')} {port}" if kind == "node" else f"{BINARY} @demo"
    old, new = limpets(), limpets()
    old.start(config(port, command))
    sockets = [WebSocket(port, source=client_address(n)) for n in range(20)]
    for socket in sockets:
        assert socket.receive_json()["pid"] in old.workers().values()
    kill_supervisor(old)
    new.start(config(port, command))
    with HttpClient(port, client_address(1)) as client:
        assert client.request("/")[0] in (200, 404, 426)
    for socket in sockets:
        socket.echo("still here")
    for socket in sockets:
        socket.close()
    all_gone(old)
    assert new.is_running()


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_queued_clients_are_served(limpet, kind):
    """The acceptor is stopped, so its clients wait in the kernel's queue; then the supervisor is killed."""
    port = free_port()
    limpet.start(config(port, command_of(limpet, kind)))
    os.kill(limpet.acceptor_pid(), signal.SIGSTOP)
    queued = [c for n in range(40) for c in unread_requests(port, client_address(n), 1)]
    acceptor = kill_supervisor(limpet)
    os.kill(acceptor, signal.SIGCONT)
    assert answered(queued) == 40
    all_gone(limpet)


def test_the_port_is_free_at_once(limpet):
    """Ten times in a row, under clients: whoever restarts Limpet after its death must not have to try twice, nor remove
    a pid file or a socket's path first."""
    port = free_port()
    text = config(port, f"{BINARY} @demo").replace("[listen:web]", f"pid_file = {limpet.path('pid')}\n[listen:web]\n"
                                                   f"bind = unix:{limpet.path('socket')}")
    for _ in range(10):
        limpet.start(text)
        for number in range(20):
            assert "slot" in http_get(port, source=client_address(number))
        kill_supervisor(limpet)
    all_gone(limpet)


def test_drain_timeout_ends_those_who_do_not_leave(limpet):
    """Clients stay, SIGTERM is ignored, a grandchild hides in the group: after drain_timeout nothing is left of it."""
    port = free_port()
    limpet.start(config(port, f"{ODD} ignore-term grandchild", drain="3s", more="stop_timeout = 1s"))
    clients = [HttpClient(port, client_address(n)) for n in range(8)]
    pids = {client.get_json()["pid"] for client in clients}
    assert pids == set(limpet.workers().values())
    kill_supervisor(limpet)
    assert len(limpet.processes()) >= 2 + 2 * len(pids)  # acceptor, warden, workers and their children
    assert {client.get_json()["pid"] for client in clients} == pids
    all_gone(limpet)
    assert limpet.log_lines("did not end in time: killed")
    for client in clients:
        client.close()


@pytest.mark.parametrize("kind, role", [("fd", "@acceptor"), ("fd", "@warden"), ("node", "@warden"), ("node", "@acceptor")])
def test_a_role_dies_with_it(limpet, kind, role):
    """The out-of-memory killer took two. Established connections do not notice, and all ends when the clients leave. Only
    Node's own rule is stronger: a cluster worker exits when its channel has nobody at the other end."""
    port = free_port()
    limpet.start(config(port, command_of(limpet, kind)))
    slow = [slow_request(port, client_address(n)) for n in range(6)]
    limpet.remember_processes()
    for pid in (limpet.role_pid(role), limpet.pid):
        os.kill(pid, signal.SIGSTOP)    # neither sees the other one's death
    for pid in (limpet.role_pid(role), limpet.pid):
        os.kill(pid, signal.SIGKILL)
    limpet.wait_exit()
    limpet.write("finish", "")
    if (kind, role) != ("node", "@acceptor"):
        assert [rest_of(connection) for connection in slow] == [b"ended"] * 6
    all_gone(limpet)


def test_a_worker_that_prints_goes_on(limpet):
    """The reader of its output is dead. More lines than a pipe holds must neither stop it nor end it, and are logged."""
    port = free_port()
    limpet.start(config(port, ODD, instances=1))
    client = HttpClient(port)
    pid = client.get_json()["pid"]
    kill_supervisor(limpet)
    for number in range(200):
        assert client.get_json(f"/say?line-{number}-{'x' * 1000}")["pid"] == pid
    wait_until(lambda: limpet.log_lines("line-199-"))
    assert len(set(limpet.log_lines(r"line-\d+-x"))) == 200
    client.close()
    all_gone(limpet)


def test_nothing_stays_in_the_runtime_directory(limpet):
    """Each life has a socket there with its pid in the name; those of the dead are cleared away by the next one."""
    port = free_port()
    for _ in range(3):
        limpet.start(config(port, f"{BINARY} @demo"))
        kill_supervisor(limpet)
    all_gone(limpet)
    limpet.start(config(port, f"{BINARY} @demo"))
    assert os.listdir(limpet.path("run")) == [f"notify.{limpet.pid}"]
    assert limpet.stop() == 0
    assert os.listdir(limpet.path("run")) == []
