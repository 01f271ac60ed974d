"""Worry: a relay crashes, and with it go connections that it had no part in, or its clients find a closed door.

Relays are killed with SIGKILL under load. Only the connections that they relayed end; the clients in their backlog
and new ones are served by the successors, by the same workers as before; WebSockets that were handed over to workers
notice nothing, nor does the acceptor.
SPDX-License-Identifier: ISC
"""
import http.client
import os
import signal

from client import HttpClient, WebSocket, http_get
from crowd import Crowd
from limpet import BINARY, client_address, free_port, is_sanitized, wait_until
from test_proxied_workers import WORKER

KILLS = 10
RELAYS = 3


def config(port, plain):
    return f"""
[limpet]
stats_period = 500ms
relays = {RELAYS}
[listen:web]
bind = 127.0.0.1:{port}
pool = web
[pool:web]
command = {WORKER}
instances = 3
delivery = proxy
port = {free_port(3)}
[listen:plain]
bind = 127.0.0.1:{plain}
pool = plain
[pool:plain]
command = {BINARY} @demo
instances = 2
"""


def kill_relay(limpet):
    """Kills one and waits for its successor."""
    before = limpet.relay_pids()
    assert len(before) == RELAYS
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: len(set(limpet.relay_pids()) - {before[0]}) == RELAYS, 10, "a successor")


def still_answers(client):
    try:
        return client.get_json("/")
    except (OSError, http.client.HTTPException):
        return None


def test_kill_under_load(limpet):
    port, plain = free_port(), free_port()
    limpet.start(config(port, plain))
    sockets = [WebSocket(plain, source=client_address(n)) for n in range(50)]
    for socket in sockets:
        socket.receive_json()
    homes = {client_address(n): http_get(port, source=client_address(n))["slot"] for n in range(64)}
    workers, acceptor = limpet.workers("web"), limpet.acceptor_pid()
    with Crowd(port, threads=4, seconds=180) as crowd:
        for n in range(KILLS):
            kill_relay(limpet)
            sockets[n].echo(f"after kill {n}")
            reached = crowd.answers + 10
            wait_until(lambda reached=reached: crowd.answers >= reached, 30)
    for n, socket in enumerate(sockets):
        socket.echo(f"number {n}")
        socket.socket.close()
    assert limpet.acceptor_pid() == acceptor and limpet.workers("web") == workers
    # What a dying relay held is lost with it: at most one connection of each of the 4 threads.
    assert len(crowd.failures) <= 4 * KILLS, crowd.failures
    for source, places in crowd.places.items():
        assert {slot for slot, _ in places} == {homes[source]}, source
    assert limpet.wait_counters(lambda c: c["relay_starts"] == RELAYS + KILLS)["acceptor_starts"] == 1


def test_only_its_own_connections_end(limpet):
    port, plain = free_port(), free_port()
    limpet.start(config(port, plain))
    count = 60 if is_sanitized() else 150
    clients = [HttpClient(port, client_address(n)) for n in range(count)]
    for client in clients:
        client.get_json("/")
    limpet.wait_counters(lambda c: c["relayed"] == count)
    kill_relay(limpet)
    left = sum(still_answers(client) is not None for client in clients)
    assert 0 < left < count, f"{left} of {count}: the kernel spreads them over {RELAYS} relays"
    limpet.wait_counters(lambda c: c["relayed"] == left)
    for n in range(count):
        assert http_get(port, source=client_address(n))["slot"] in (0, 1, 2)
    for client in clients:
        client.close()


def test_relay_0_and_what_it_knows(limpet):
    """Relay 0 looks after readiness for all: a worker that starts while it is away is found by its successor."""
    port, plain = free_port(), free_port()
    limpet.start(config(port, plain))
    relays = {int(line.split("relay/")[1].split(":")[0]): line for line in limpet.log_lines(r"relay/\d: ready")}
    assert sorted(relays) == list(range(RELAYS))
    for _ in range(3):
        position = limpet.log_position()
        for pid in limpet.relay_pids():
            os.kill(pid, signal.SIGKILL)
        limpet.kill_worker(1, pool="web")
        limpet.wait_log(r"web/1: ready after", 20, position)
        for n in range(12):
            http_get(port, source=client_address(n))


def test_all_relays_are_gone_for_a_moment(limpet):
    """Clients who connect meanwhile wait in the backlog, which the supervisor holds."""
    port, plain = free_port(), free_port()
    limpet.start(config(port, plain))
    relays = limpet.relay_pids()
    for pid in relays:
        os.kill(pid, signal.SIGSTOP)
    clients = [HttpClient(port, client_address(n)) for n in range(30)]
    for client in clients:
        client.connection.request("GET", "/")
    for pid in relays:
        os.kill(pid, signal.SIGKILL)
    assert sum(client.connection.getresponse().status == 200 for client in clients) == 30
    for client in clients:
        client.close()
