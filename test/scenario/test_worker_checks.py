"""A worker that listens by itself is served as soon as it accepts, and not before; one that hangs, with its port
still open, is found out by asking it: its clients go elsewhere, and come back to it when it answers again.
SPDX-License-Identifier: ISC
"""
import os
import signal

from client import http_get
from limpet import client_address, free_port, wait_until

# Says who it is on $PORT, but only once the file named by its argument is there.
WORKER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"slot": os.environ["LIMPET_SLOT"], "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
os.open(sys.argv[1], os.O_RDONLY)      # a fifo: waits for its other end
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def start(limpet, port, lines):
    worker, gate = limpet.write("worker.py", WORKER), limpet.path("gate")
    os.mkfifo(gate)
    limpet.start(f"""
[limpet]
relays = 1
[listen:web]
bind = 127.0.0.1:{port}
[pool:web]
command = /usr/bin/python3 {worker} {gate}
instances = 2
delivery = proxy
port = {free_port(2)}
{lines}
""", ready=False)
    return gate


def places(port, count=40):
    return {source: http_get(port, "/", source)["slot"] for source in map(client_address, range(count))}


def open_gate(limpet, gate):
    """Both workers are in front of the gate; it stays open for those that come later."""
    wait_until(lambda: len(limpet.workers()) == 2)
    return os.open(gate, os.O_RDWR)


def test_a_worker_is_ready_when_it_accepts(limpet):
    port = free_port()
    gate = start(limpet, port, "")
    wait_until(lambda: len(limpet.workers()) == 2)
    assert not limpet.log_lines("ready: ")
    opened = open_gate(limpet, gate)
    limpet.wait_ready()
    assert set(places(port).values()) == {"0", "1"}
    os.close(opened)


def test_a_worker_that_hangs_is_found_out(limpet):
    port = free_port()
    gate = start(limpet, port, "check = http GET /\ncheck_interval = 300ms\ncheck_timeout = 300ms")
    opened = open_gate(limpet, gate)
    limpet.wait_ready()
    before = places(port)
    assert set(before.values()) == {"0", "1"}
    pid = limpet.kill_worker(0, signal.SIGSTOP)
    limpet.wait_log("web/0.* gets no new clients: .*no answer within 300 ms")
    wait_until(lambda: set(places(port).values()) == {"1"})
    os.kill(pid, signal.SIGCONT)
    limpet.wait_log("web/0.* is well again")
    wait_until(lambda: places(port) == before)

    os.kill(pid, signal.SIGSTOP)        # and one that dies while it is ill leaves no shadow on the next
    position = limpet.log_position()
    limpet.wait_log("web/0.* gets no new clients", after=position)
    os.kill(pid, signal.SIGKILL)
    limpet.wait_worker(0, other_than=pid)
    wait_until(lambda: places(port) == before)
    os.close(opened)
