"""The worry: a relay that touches every byte loses, repeats or reorders some of them, cuts an answer off at its end, or
makes a clean end out of a reset (the client believes that a torn file is whole) or a reset out of a clean end.

The story: clients and workers transfer from 1 byte to 10 MB each way through a relay, plain and by TLS, with pauses. Either
side finishes first, by FIN or by RST, with or without bytes of the other direction still on their way: 16 orders. What
arrives has the right SHA-256, a finished direction is seen as finished while the other one goes on, and a reset is seen as
a reset.
SPDX-License-Identifier: ISC
"""
import concurrent.futures
import itertools
import json
import random
import socket
import ssl
import sys

import pytest

from certificates import Authority, tls_config
from limpet import is_sanitized, free_port, wait_until, web_config
from transfer_worker import Transfer, digest, reset

TRANSFERS = 500 if is_sanitized() else 5000     # plain and TLS each
BIG = 10 << 20
AT_ONCE = 16
ORDERS = list(itertools.product(("client", "server"), ("fin", "rst"), (False, True), (0, 0.002)))


class TlsSocket:
    """A TLS client that can finish sending and go on receiving, which ssl.SSLSocket cannot."""

    def __init__(self, connection, context):
        self.raw, self.incoming, self.outgoing = connection, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.early = b""
        self._until_done(self.tls.do_handshake)

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.raw.sendall(data)

    def _fill(self):
        data = self.raw.recv(1 << 16)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def _until_done(self, action, *arguments):
        while True:
            try:
                result = action(*arguments)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()

    def sendall(self, data):
        self._until_done(self.tls.write, data)

    def recv(self, size):
        if self.early:
            early, self.early = self.early, b""
            return early
        try:
            return self._until_done(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError:
            raise ConnectionResetError("the TLS stream was cut off") from None

    def shutdown(self, _):
        """close_notify; what has come in is kept out of unwrap's sight, which would take it for an error."""
        waiting = self.incoming.read()
        while self.tls.pending():
            self.early += self.tls.read(self.tls.pending())
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()
        self.incoming.write(waiting)

    def setsockopt(self, *arguments):
        self.raw.setsockopt(*arguments)

    def fileno(self):
        return self.raw.fileno()

    def close(self):
        self.raw.close()


def make_plans(count):
    numbers = random.Random(4711)
    for number in range(count):
        first, how, pending, pause = ORDERS[number % len(ORDERS)]
        big = number % (count // 20) == 0
        up, down = (BIG if big else int(10 ** numbers.uniform(0, 5.3)) for _ in range(2))
        yield {"id": number, "up": up, "down": down, "seed": 3 * number, "first": first, "how": how,
               "pending": pending, "pause": 0 if big else pause}


def open_transfer(port, number, context):
    connection = socket.create_connection(("127.0.0.1", port), 60, (f"127.3.{number // 250 % 250}.{1 + number % 250}", 0))
    return TlsSocket(connection, context) if context else connection


def play(port, plan, context):
    """The client's part; what it saw, as the worker writes it down."""
    connection = open_transfer(port, plan["id"], context)
    transfer = Transfer(connection, plan)
    up = plan["seed"], plan["up"]
    try:
        connection.sendall(json.dumps(plan).encode() + b"\n")
        assert connection.recv(1) == b"+"
        if plan["first"] == "client":
            transfer.send(*up)
            if plan["how"] == "rst":
                reset(connection)
                return transfer
            connection.shutdown(socket.SHUT_WR)
            transfer.receive()
        else:
            if plan["pending"]:
                transfer.send(*up, part="early")
            transfer.receive()
            if transfer.seen == "eof":
                transfer.send(*up, part="late" if plan["pending"] else "all")
                connection.shutdown(socket.SHUT_WR)
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        transfer.seen = "reset"
    connection.close()
    return transfer


def written(results, number):
    place = results / str(number)
    return json.loads(place.read_text()) if place.exists() else None


def check(plan, transfer, results):
    story = f"{plan}"
    if plan["how"] == "rst" and plan["first"] == "server":
        assert transfer.seen == "reset", f"the worker's reset came as {transfer.seen}: {story}"
        assert transfer.received <= plan["down"], story
        return
    worker = wait_until(lambda: written(results, plan["id"]), 30, f"the worker saw the end of {story}")
    if plan["how"] == "rst":
        assert worker["seen"] == "reset", f"the client's reset came as {worker['seen']}: {story}"
        return
    assert worker == {"seen": "eof", "received": plan["up"], "digest": digest(plan["seed"], plan["up"])}, story
    assert (transfer.seen, transfer.received) == ("eof", plan["down"]), story


def expected_down(plan):
    return digest(plan["seed"] + 1, plan["down"])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_every_byte_and_every_end(limpet, tmp_path, tls):
    port, first = free_port(), free_port(2)
    results = tmp_path / "results"
    results.mkdir()
    worker = {"command": f"{sys.executable} {__file__.replace('test_relayed_bytes', 'transfer_worker')}", "instances": 2,
              "more": f"delivery = proxy\nport = {first}\nenvironment = RESULTS={results}"}
    context = None
    if tls:
        authority = Authority(tmp_path / "ca")
        context = authority.client_context()
        text = tls_config(port, [authority.issue("site")], **worker)
    else:
        text = web_config(port, **worker)
    limpet.start(text)
    plans = list(make_plans(TRANSFERS))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as crowd:
        for plan, transfer in zip(plans, crowd.map(lambda plan: play(port, plan, context), plans)):
            check(plan, transfer, results)
            if transfer.seen == "eof":
                assert transfer.total.hexdigest() == expected_down(plan), plan
    limpet.wait_counters(lambda now: now["relayed"] == 0)
