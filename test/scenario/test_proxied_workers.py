"""Worry: workers that know nothing of Limpet, and open a port or a path by themselves, are not reached, are reached
too early, or their clients are spread by chance.

delivery = proxy with unmodified programs on $PORT and on a UNIX path: every client finds its own worker, also after
that worker was killed; a worker counts as ready when it accepts; limits are exact although several relays accept;
and a stop waits for the requests that run.
SPDX-License-Identifier: ISC
"""
import os
import signal
import stat
import sys
import threading
import time

import pytest

from client import HttpClient, connect_from, http_get
from crowd import addresses_of
from limpet import client_address, free_port, wait_until
from workers import need

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = f"{sys.executable} {HERE}/listening_worker.py"

NODE_APP = """
const body = JSON.stringify({slot: Number(process.env.LIMPET_SLOT), pid: process.pid});
require('http').createServer((request, response) => response.end(body)).listen(process.env.PORT, '127.0.0.1');
"""
PHP_APP = '<?php echo json_encode(["slot" => (int)getenv("LIMPET_SLOT"), "pid" => getmypid()]);'


def config(port, more, command=WORKER, instances=3, limpet="", listen=""):
    return f"""
[limpet]
stats_period = 500ms
relays = 2
{limpet}
[listen:web]
bind = 127.0.0.1:{port}
{listen}
[pool:web]
command = {command}
instances = {instances}
delivery = proxy
{more}"""


def ports(count=3):
    """A `port` line for that many workers."""
    return f"port = {free_port(count)}"


def php(limpet):
    limpet.write("index.php", PHP_APP)
    return f"{need('php')} -S 127.0.0.1:$PORT {limpet.path('index.php')}"


def python_files(limpet):
    """python3 -m http.server serves files: one directory per slot says who it is."""
    for slot in range(3):
        os.makedirs(limpet.path(f"files/{slot}"), exist_ok=True)
        limpet.write(f"files/{slot}/whoami", f'{{"slot": {slot}, "pid": 0}}')
    return f"{sys.executable} -m http.server --bind 127.0.0.1 --directory {limpet.path('files')}/%i $PORT"


def node_app(limpet):
    return f"{need('node')} {limpet.write('app.js', NODE_APP)}"


@pytest.mark.parametrize("program", [python_files, php, node_app])
def test_unmodified_programs(limpet, program):
    port = free_port()
    limpet.start(config(port, ports() + "\nshell = on", f"exec {program(limpet)}"))
    sources = [client_address(n) for n in range(24)]
    first = {source: http_get(port, source=source)["slot"] for source in sources}
    assert set(first.values()) == {0, 1, 2}
    assert {source: http_get(port, source=source)["slot"] for source in sources} == first
    limpet.kill_worker_dead(1)
    assert {source: http_get(port, source=source)["slot"] for source in sources} == first, "they wait for their own"


def test_unix_paths(limpet):
    """A killed worker leaves its path behind; the next one can bind it. A path with a living owner is nobody's."""
    port = free_port()
    os.makedirs(limpet.path("sockets"), mode=0o755)
    limpet.start(config(port, f"socket = {limpet.path('sockets')}/%n-%i.sock\nmin_uptime = 0"))
    assert sorted(os.listdir(limpet.path("sockets"))) == ["web-0.sock", "web-1.sock", "web-2.sock"]
    source = addresses_of(port, 1, 1)[0]
    for _ in range(3):
        before = limpet.kill_worker_dead(1)
        answer = http_get(port, source=source)
        assert answer["slot"] == 1 and answer["pid"] != before
    assert len(limpet.log_lines(r"web/1: removed .*web-1.sock")) == 3


def test_ready_means_that_it_accepts(limpet):
    port = free_port()
    start = time.monotonic()
    limpet.start(config(port, ports(1), f"{WORKER} --late 1", instances=1))
    assert time.monotonic() - start >= 1, "ready before it listened"
    before = limpet.kill_worker_dead(0)
    answer = http_get(port, source=client_address(1))       # held until the next one listens
    assert answer["pid"] != before


def test_ready_by_notify(limpet):
    """It accepts before it is ready: nobody may come before READY=1."""
    port = free_port()
    limpet.start(config(port, ports(1) + "\nready = notify", f"{WORKER} --notify", instances=1))
    lines = limpet.log_lines(r"web/0: ready after")
    assert len(lines) == 1
    assert http_get(port)["slot"] == 0


def connection_is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.setblocking(True)


def test_limits_per_client_are_exact(limpet):
    """Four relays, and 3 connections for each of 20 addresses: never 4, whoever accepts."""
    port = free_port()
    limpet.start(config(port, ports(), limpet="relays = 4", listen="max_per_client = 3").replace("relays = 2\n", ""))
    held = []
    for n in range(20):
        source = client_address(n)
        clients = [HttpClient(port, source) for _ in range(3)]
        assert {client.get_json("/")["slot"] for client in clients} == {clients[0].get_json("/")["slot"]}
        surplus = connect_from(source, port)
        wait_until(lambda surplus=surplus: not connection_is_open(surplus), 10, "the fourth is closed")
        surplus.close()
        held += clients
    assert limpet.wait_counters(lambda c: c["ended_max_per_client"] == 20)["relayed"] == 60
    held[0].close()
    assert wait_until(lambda: serves(port, client_address(0)), 10, "one left, one may come")
    for client in held[1:]:
        client.close()


def serves(port, source):
    try:
        return http_get(port, "/", source)
    except (OSError, ValueError):
        return None


def test_a_stop_waits_for_requests(limpet):
    port = free_port()
    limpet.start(config(port, ports(1), instances=1, limpet="drain_timeout = 30s"))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(http_get(port, "/slow/1.5", seconds=30)))
    thread.start()
    limpet.wait_counters(lambda c: c["relayed"] == 1)
    assert limpet.stop() == 0
    thread.join()
    assert [answer["slot"] for answer in answers] == [0]


def test_a_stop_has_a_deadline(limpet):
    """A client that never ends holds nobody for longer than drain_timeout; a second TERM does not wait at all."""
    port = free_port()
    for limit, signals in (("drain_timeout = 500ms", 1), ("drain_timeout = 10m", 2)):
        limpet.start(config(port, ports(1), instances=1, limpet=limit))
        client = HttpClient(port)
        client.get_json("/")
        if signals == 2:
            limpet.send_signal(signal.SIGTERM)
            limpet.wait_log("SIGTERM: stopping; the workers have 600.0 s")
        assert limpet.stop(seconds=20) == 0
        client.close()


def test_a_dead_supervisor(limpet):
    """Relays finish what they have and go; nobody is left, and the port is free."""
    port = free_port()
    limpet.start(config(port, ports(1), instances=1, limpet="drain_timeout = 20s"))
    client = HttpClient(port)
    client.get_json("/")
    limpet.remember_processes()
    os.kill(limpet.pid, signal.SIGKILL)
    limpet.process.wait()
    client.get_json("/")
    wait_until(lambda: not accepts(port), 10, "no new clients")
    client.get_json("/")
    client.close()
    wait_until(lambda: not limpet.processes(), 30, lambda: f"left over: {limpet.processes()}")


def accepts(port):
    try:
        connect_from(None, port).close()
    except OSError:
        return False
    return True


def test_relays_are_somebody_else(limpet):
    """As root, relays run as relay_user, with nothing more than they need."""
    if os.geteuid() != 0:
        pytest.skip("only root can start relays as another user")
    port = free_port()
    limpet.start(config(port, ports(1), instances=1, limpet="relay_user = daemon"))
    assert http_get(port)["slot"] == 0
    for pid in limpet.relay_pids():
        assert os.stat(f"/proc/{pid}").st_mode & stat.S_IFDIR
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
        assert status["Uid"].split() == ["1"] * 4
        assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"].strip() == "1"
