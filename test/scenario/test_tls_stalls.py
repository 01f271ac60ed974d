"""The worry: clients that begin a handshake and say no more, or that never read, take the place or the memory of others.

The story: 5,000 clients stop in the middle of their handshakes, each after another byte. Others are served meanwhile; the
stalled ones are closed by handshake_timeout, are counted by their reason and leave nothing behind. Another crowd asks for
much and reads nothing: the relay's memory stays within what relay_buffer allows.
SPDX-License-Identifier: ISC
"""
import contextlib
import socket
import ssl
import sys

import psutil

from certificates import Authority, tls_config
from client import http_get
from limpet import client_address, free_port, is_sanitized, wait_until, web_config
from test_tls_clients import ask

STALLED = 1000 if is_sanitized() else 5000
GREEDY = 100
BUFFER = 64 << 10


def client_hello(context):
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_stalled_handshakes(limpet, tmp_path):
    authority, port = Authority(tmp_path / "ca"), free_port()
    limpet.start(tls_config(port, [authority.issue("site")], tls="handshake_timeout = 4s\nmax_handshakes = 10000"))
    context = authority.client_context()
    hello = client_hello(context)
    with contextlib.ExitStack() as crowd:
        for number in range(STALLED):
            stalled = crowd.enter_context(socket.create_connection(("127.0.0.1", port), 30, (client_address(number), 0)))
            stalled.sendall(hello[:number % len(hello)])
            if number % (STALLED // 50) == 0:
                assert ask(port, context)[0]["pid"]
        limpet.wait_counters(lambda now: now["handshaking"] == 0, 60)
        assert ask(port, context)[0]["pid"]
    counters = limpet.wait_counters(lambda now: now["relayed"] == 0)
    assert counters["ended_tls_late"] + counters["ended_tls_failed"] >= STALLED


def test_a_crowd_of_handshakes_is_bounded(limpet, tmp_path):
    authority, port = Authority(tmp_path / "ca"), free_port()
    limpet.start(tls_config(port, [authority.issue("site")], tls="max_handshakes = 10\nhandshake_timeout = 30s",
                            limits="relays = 1\nstats_period = 100ms"))
    with contextlib.ExitStack() as crowd:
        for number in range(30):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10, (client_address(number), 0)))
        counters = limpet.wait_counters(lambda now: now["ended_tls_crowd"] >= 20)
        assert counters["handshaking"] == 10
    limpet.wait_counters(lambda now: now["handshaking"] == 0)
    assert ask(port, authority.client_context())[0]["pid"]


def relay_memory(limpet):
    return sum(psutil.Process(child.pid).memory_info().rss for child in limpet.children() if "@relay" in child.cmdline()[1:2])


def test_who_never_reads(limpet):
    """Each asks a worker for 1 GB and reads nothing."""
    port, own = free_port(), free_port(2)
    program = limpet.write("pours.py", """
import os, socketserver
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(100)
        try:
            for _ in range(1 << 14):
                self.request.sendall(bytes(1 << 16))
        except OSError:
            pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 1024
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
""")
    limpet.start(web_config(port, f"{sys.executable} {program}", limits="relays = 1\nstats_period = 100ms",
                            more=f"delivery = proxy\nport = {own}\nrelay_buffer = {BUFFER}"))
    before = relay_memory(limpet)
    with contextlib.ExitStack() as crowd:
        for number in range(GREEDY):
            greedy = crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10, (client_address(number), 0)))
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.sendall(b"pour")
        settled = []

        def bytes_stand_still():
            settled.append(limpet.wait_counters(lambda now: now["relayed"] == GREEDY)["bytes_out"])
            return len(settled) > 3 and settled[-1] == settled[-4]
        wait_until(bytes_stand_still, 60, "every direction is full")
        grown = relay_memory(limpet) - before
        allowed = GREEDY * BUFFER * (4 if is_sanitized() else 1.5) + (8 << 20)
        assert grown < allowed, f"{grown} bytes more for {GREEDY} connections"
    limpet.wait_counters(lambda now: now["relayed"] == 0)


def test_plain_clients_of_another_listener_notice_nothing(limpet, tmp_path):
    """Handed-over plain connections never visit a relay."""
    authority, port, plain = Authority(tmp_path / "ca"), free_port(), free_port()
    limpet.start(tls_config(port, [authority.issue("site")]) + f"\n[listen:plain]\nbind = 127.0.0.1:{plain}\npool = web\n")
    hello = client_hello(authority.client_context())
    with contextlib.ExitStack() as crowd:
        for number in range(200):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10)).sendall(hello[:number])
        for number in range(50):
            source = client_address(number)
            assert http_get(plain, source=source)["client"] == source
