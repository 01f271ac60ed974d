"""Why: several scenarios need many clients that come and go while something dies: a bounded load whose every
connection is accounted for.
SPDX-License-Identifier: ISC
"""
import http.client
import random
import socket
import struct
import threading
import time

from client import HttpClient, connect_from, http_get
from limpet import client_address


def reset(connection):
    """Closes with a reset instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def addresses_of(port, slot, count, first=0, path="/whoami", host="127.0.0.1"):
    """`count` client addresses whose clients go to the slot."""
    found = []
    for number in range(first, first + 2000):
        if len(found) == count:
            break
        source = client_address(number)
        if int(http_get(port, path, source, host)["slot"]) == slot:
            found.append(source)
    assert len(found) == count, f"only {len(found)} addresses for slot {slot}"
    return found


class Crowd:
    """Threads that make requests on fresh connections, each from its own addresses, until told to stop; at most
    `seconds`. `failures` are (source, error) of connections that were not answered, `answers` counts the rest,
    `places` is {source: set of (slot, pid)}."""

    def __init__(self, port, threads=4, addresses=64, seconds=120, path="/whoami"):
        self.port, self.path = port, path
        self.answers, self.failures, self.places = 0, [], {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._deadline = time.monotonic() + seconds
        per_thread = max(1, addresses // threads)
        self._threads = [threading.Thread(target=self._run, args=(n * per_thread, per_thread)) for n in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _one(self, source):
        try:
            me = http_get(self.port, self.path, source, seconds=30)
        except (OSError, ValueError, AssertionError, http.client.HTTPException) as error:
            with self._lock:
                self.failures.append((source, repr(error)))
            return
        with self._lock:
            self.answers += 1
            self.places.setdefault(source, set()).add((int(me["slot"]), int(me["pid"])))

    def _run(self, first, count):
        sources = [client_address(first + n) for n in range(count)]
        while not self._stop.is_set() and time.monotonic() < self._deadline:
            self._one(random.choice(sources))


def unread_requests(port, source, count, path="/whoami", host="127.0.0.1"):
    """`count` connections that have sent a whole request and read nothing yet."""
    connections = []
    for _ in range(count):
        connection = connect_from(source, port, host, 30)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        connections.append(connection)
    return connections


def answered(connections):
    """How many of them get a whole answer with status 200; closes all."""
    good = 0
    for connection in connections:
        data = b""
        try:
            while chunk := connection.recv(65536):
                data += chunk
        except OSError:
            pass
        good += data.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\n" in data
        connection.close()
    return good


__all__ = ["Crowd", "HttpClient", "addresses_of", "answered", "reset", "unread_requests"]
