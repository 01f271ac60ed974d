"""Worry: programs that expect their socket from systemd do not get it as systemd gives it, or clients are refused
while such a worker is away.

delivery = listen with unmodified servers: gunicorn, uvicorn, puma, node and a Go program inherit a socket that the
supervisor holds (LISTEN_FDS, descriptor 3). Every client finds its own worker; while a worker is killed and started
again clients wait in its backlog, and none is refused.
SPDX-License-Identifier: ISC
"""
import os
import subprocess
import sys
import threading

import pytest

from client import http_get
from crowd import Crowd, addresses_of
from limpet import client_address, free_port
from test_proxied_workers import WORKER
from workers import need

WSGI = """
import json, os
def app(environ, start_response):
    body = json.dumps({"slot": int(os.environ["LIMPET_SLOT"]), "pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import json, os
async def app(scope, receive, send):
    body = json.dumps({"slot": int(os.environ["LIMPET_SLOT"]), "pid": os.getpid()}).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""
RACK = """
require 'json'
run lambda { |env| [200, {'Content-Type' => 'application/json'},
                    [{slot: ENV['LIMPET_SLOT'].to_i, pid: Process.pid}.to_json]] }
"""
NODE = """
const body = JSON.stringify({slot: Number(process.env.LIMPET_SLOT), pid: process.pid});
require('http').createServer((request, response) => response.end(body)).listen({fd: 3});
"""
GO = """
package main

import ("fmt"; "net"; "net/http"; "os")

func main() {
	listener, err := net.FileListener(os.NewFile(3, "limpet"))
	if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"slot": %s, "pid": %d}`, os.Getenv("LIMPET_SLOT"), os.Getpid())
	}))
}
"""


def gunicorn(limpet):
    need("gunicorn")
    limpet.write("wsgi.py", WSGI)
    return f"/usr/bin/gunicorn --chdir {limpet.directory} --workers 1 wsgi:app"


def uvicorn(limpet):
    pytest.importorskip("uvicorn")
    limpet.write("asgi.py", ASGI)
    return f"{sys.executable} -m uvicorn --app-dir {limpet.directory} --fd 3 --log-level warning asgi:app"


def puma(limpet):
    program = need("puma")
    return f"{program} --bind-to-activated-sockets only --threads 2:2 {limpet.write('config.ru', RACK)}"


def node(limpet):
    return f"{need('node')} {limpet.write('app.js', NODE)}"


def go(limpet):
    program = need("go")
    source, binary = limpet.write("app.go", GO), limpet.path("app")
    env = dict(os.environ, GOCACHE=limpet.path("go-cache"), GOFLAGS="-mod=mod", CGO_ENABLED="0")
    subprocess.run([program, "build", "-o", binary, source], env=env, check=True, timeout=150)
    return binary


def plain(_):
    return WORKER


def config(port, command, more="", instances=2):
    return f"""
[limpet]
stats_period = 500ms
relays = 2
[listen:web]
bind = 127.0.0.1:{port}
[pool:web]
command = {command}
instances = {instances}
delivery = listen
queue_timeout = 60s
connect_timeout = 60s
{more}"""


@pytest.mark.parametrize("program", [gunicorn, uvicorn, puma, node, go, plain])
def test_unmodified_servers(limpet, program):
    port = free_port()
    limpet.start(config(port, program(limpet)))
    sources = [client_address(n) for n in range(16)]
    first = {source: http_get(port, source=source, seconds=60)["slot"] for source in sources}
    assert set(first.values()) == {0, 1}
    limpet.kill_worker_dead(1)
    # Nobody listens in slot 1 for a while: its clients wait, the others notice nothing.
    assert {source: http_get(port, source=source, seconds=60)["slot"] for source in sources} == first


@pytest.mark.parametrize("where", ["", "port"])
def test_nobody_is_refused(limpet, where):
    """A worker is killed again and again under load. What it had accepted is lost with it, and nothing else."""
    port = free_port()
    limpet.start(config(port, WORKER, "min_uptime = 0\n" + (f"port = {free_port(2)}" if where else "")))
    kills = 6
    with Crowd(port, threads=4, seconds=180) as crowd:
        for _ in range(kills):
            limpet.wait_worker(1)
            limpet.kill_worker_dead(1)
            reached = crowd.answers + 20
            limpet.wait_counters(lambda _, reached=reached: crowd.answers >= reached, 60)
    assert len(crowd.failures) <= 4 * kills, crowd.failures
    assert all("refused" not in error for _, error in crowd.failures), crowd.failures
    assert {source: len({slot for slot, _ in places}) for source, places in crowd.places.items()} == \
        {source: 1 for source in crowd.places}


def test_clients_wait_in_the_backlog(limpet):
    """The worker opens its doors late: clients who came before are served, all by it."""
    port = free_port()
    limpet.start(config(port, f"{WORKER} --late 2", instances=1))       # ready at once: the socket is there
    answers = []

    def ask(n):
        answers.append(http_get(port, source=client_address(n), seconds=60)["slot"])
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [0] * 30


def test_ready_by_notify(limpet):
    """With ready = notify clients wait in our hands, not in a backlog of a worker that may never come."""
    port = free_port()
    limpet.start(config(port, f"{WORKER} --notify", "ready = notify", instances=1))
    assert http_get(port)["slot"] == 0
    source = addresses_of(port, 0, 1)[0]
    before = limpet.kill_worker_dead(0)
    assert http_get(port, source=source, seconds=60)["pid"] != before


def test_what_is_left(limpet):
    """The paths go with Limpet, and the socket is nobody else's."""
    port = free_port()
    limpet.start(config(port, WORKER))
    paths = [limpet.path(f"run/web-{slot}.sock") for slot in range(2)]
    assert [os.stat(path).st_mode & 0o777 for path in paths] == [0o600, 0o600]
    assert limpet.stop() == 0
    assert [os.path.exists(path) for path in paths] == [False, False]
