"""Why: the far end of transfers whose every byte and every end is checked: a worker that listens on $PORT, does what
the first line of a connection asks for, and writes down what it saw in a file of that name.

A line is JSON: id, up and down (bytes each way), seed (of the bytes), first ("client" or "server": who ends its sending
first), how ("fin", "rst": the end of the one who is first), pending (the other way still flows then), pause (seconds).

SPDX-License-Identifier: ISC
"""
import hashlib
import json
import os
import pathlib
import random
import select
import socket
import socketserver
import struct

CHUNK = 1 << 16
EARLY = 1 << 17


def chunks(seed, length):
    """`length` bytes that only the seed decides, in pieces of different sizes."""
    numbers = random.Random(seed)
    block = numbers.randbytes(CHUNK)
    while length > 0:
        piece = block[:min(length, numbers.choice((1, 100, 1460, 16384, CHUNK)) if length < 4 * CHUNK else CHUNK)]
        yield piece
        length -= len(piece)


def digest(seed, length):
    total = hashlib.sha256()
    for piece in chunks(seed, length):
        total.update(piece)
    return total.hexdigest()


def reset(connection):
    """Closes with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Transfer:
    """One side of one transfer over a plain socket; `seen` is how its receiving ended: "eof" or "reset"."""

    def __init__(self, connection, plan):
        self.connection, self.plan = connection, plan
        self.total, self.received, self.seen = hashlib.sha256(), 0, None

    def send(self, seed, length, part="all"):
        """All, or the "early" part that no receiver need have room for, or the "late" rest."""
        sent = 0
        for number, piece in enumerate(chunks(seed, length)):
            is_early = sent + len(piece) <= EARLY
            sent += len(piece)
            if part == ("late" if is_early else "early"):
                continue
            self.connection.sendall(piece)
            if self.plan["pause"] and number < 3:
                select.select([self.connection], [], [], self.plan["pause"])

    def receive(self, early=b""):
        self.total.update(early)
        self.received += len(early)
        try:
            while data := self.connection.recv(CHUNK):
                self.total.update(data)
                self.received += len(data)
            self.seen = "eof"
        except ConnectionResetError:
            self.seen = "reset"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\n" not in head:
            data = self.request.recv(4096)
            if not data:
                return
            head += data
        line, _, early = head.partition(b"\n")
        plan = json.loads(line)
        transfer = Transfer(self.request, plan)
        try:
            self.request.sendall(b"+")      # from here on an RST cannot destroy the plan itself
            self.play(transfer, plan, early)
        except (ConnectionResetError, BrokenPipeError):
            transfer.seen = "reset"
        self.write_down(transfer, plan)

    def play(self, transfer, plan, early):
        down = plan["seed"] + 1, plan["down"]
        if plan["first"] == "client":
            if plan["pending"]:
                transfer.send(*down, part="early")
            transfer.receive(early)
            if transfer.seen == "eof":
                transfer.send(*down, part="late" if plan["pending"] else "all")
                self.request.shutdown(socket.SHUT_WR)
            return
        transfer.send(*down)
        if plan["how"] == "rst":
            reset(self.request)
            return
        self.request.shutdown(socket.SHUT_WR)
        transfer.receive(early)

    def write_down(self, transfer, plan):
        place = pathlib.Path(os.environ["RESULTS"], str(plan["id"]))
        place.with_suffix(".new").write_text(json.dumps(
            {"seen": transfer.seen, "received": transfer.received, "digest": transfer.total.hexdigest()}))
        place.with_suffix(".new").rename(place)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
