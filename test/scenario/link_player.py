"""Why: plays Limpet's part of the contract in limpet_worker.h, so that a worker can be tested alone and at its
edges: a full link, a full descriptor table, records that no real client would cause.
SPDX-License-Identifier: ISC
"""
import array
import fcntl
import json
import os
import pathlib
import resource
import select
import socket
import struct
import subprocess
import sys
import termios
import time

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
READY = bytes(8)
NOT_ARRIVED, BUSY = 1, 2
PATIENCE = 20  # seconds; nothing here is expected to take one

# Puts descriptor argv[1] at 3 and becomes the worker: same pid, no shell between.
LAUNCHER = """
import os, sys
link = int(sys.argv[1])
if link != 3:
    os.dup2(link, 3)
    os.close(link)
os.set_inheritable(3, True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def wait_until(condition, seconds=PATIENCE, what="the condition"):
    """Asks again and again, never longer than needed; returns what the condition returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        select.select([], [], [], 0.005)


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def header(client_id, source=("127.0.0.1", 40000), target=("127.0.0.1", 3000), before=b"", after=b""):
    """A PROXY v2 header; source None stands for a client of a UNIX socket. before, after: TLVs around the id's."""
    if source is None:
        command, family, addresses = 0x20, 0x00, b""
    else:
        family = 0x21 if ":" in source[0] else 0x11
        kind = socket.AF_INET6 if family == 0x21 else socket.AF_INET
        command = 0x21
        addresses = socket.inet_pton(kind, source[0]) + socket.inet_pton(kind, target[0])
        addresses += struct.pack("!HH", source[1], target[1])
    rest = addresses + before + tlv(0x05, client_id) + after
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


class Client:
    """A TCP client, and the server's end of his connection, which is what gets handed over."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.socket = socket.create_connection(listener.getsockname())
            self.handed, _ = listener.accept()
        self.handed.setblocking(False)
        self.socket.settimeout(PATIENCE)

    def say(self, data):
        self.socket.sendall(data)

    def ask(self, path="/", extra="Connection: close\r\n"):
        self.say(f"GET {path} HTTP/1.1\r\nHost: test\r\n{extra}\r\n".encode())

    def unread(self):
        """Bytes that arrived at the server's end and that nobody has read."""
        count = array.array("i", [0])
        fcntl.ioctl(self.handed, termios.FIONREAD, count)
        return count[0]

    def let_go(self):
        """What Limpet does after an acknowledgement."""
        self.handed.close()

    def read_all(self):
        data = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                return data
            data += piece

    def read_answer(self):
        """(status, header lines, body) by Content-Length; the connection may stay open."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.socket.recv(1)
            assert piece, f"the connection ended within a header: {data!r}"
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        while len(body) < int(fields.get("content-length", 0)):
            piece = self.socket.recv(int(fields["content-length"]) - len(body))
            assert piece, "the connection ended within a body"
            body += piece
        return int(lines[0].split()[1]), fields, body

    def read_json(self):
        status, _, body = self.read_answer()
        assert status == 200, body
        return json.loads(body)

    def close(self):
        self.socket.close()
        self.handed.close()


class LinkPlayer:
    """Starts a worker as Limpet does and speaks to it over the link. Use as a context manager."""

    def __init__(self, command, slot=3, generation=7, pool="test", log=None, environment=None):
        self.link, self.worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(PATIENCE)
        self.worker_end.setblocking(False)
        self.clients = []
        self.last_id = 0
        env = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        env.update(LIMPET_LINK_FD="3", LIMPET_POOL=pool, LIMPET_SLOT=str(slot), LIMPET_GENERATION=str(generation))
        env.update(environment or {})
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(self.worker_end.fileno()), *command],
            pass_fds=[self.worker_end.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()
        self.link.close()
        self.worker_end.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)

    def record(self):
        """The worker's next answer."""
        return self.link.recv(64)

    def wait_ready(self):
        assert self.record() == READY
        self.forget_worker_end()

    def forget_worker_end(self):
        """From here on the worker alone holds its end, so that its death can be seen."""
        self.worker_end.close()

    def new_client(self):
        client = Client()
        self.clients.append(client)
        return client

    def new_id(self):
        self.last_id += 1
        return struct.pack("!Q", 0x1122334400000000 + self.last_id)

    def send(self, record, *descriptors):
        socket.send_fds(self.link, [record], [d.fileno() for d in descriptors])

    def hand_over(self, client, client_id=None, **header_arguments):
        client_id = client_id or self.new_id()
        self.send(header(client_id, **header_arguments), client.handed)
        return client_id

    def serve(self, **header_arguments):
        """A client who asked, was handed over and acknowledged; his answer is still to be read."""
        client = self.new_client()
        client.ask()
        client_id = self.hand_over(client, **header_arguments)
        assert self.record() == client_id
        client.let_go()
        return client

    def threads_sleep(self):
        """All threads of the worker wait for something."""
        states = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that ended meanwhile
        return all(state == "S" for state in states)

    def descriptors(self):
        """{number: what it is} of the worker's open descriptors."""
        found = {}
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found[int(name)] = os.readlink(f"/proc/{self.pid}/fd/{name}")
            except FileNotFoundError:
                continue  # closed meanwhile
        return found

    def socket_count(self):
        return sum(what.startswith("socket:") for what in self.descriptors().values())

    def fill_descriptor_table(self):
        """The worker's next descriptor would be one too many. Returns the limits to restore."""
        used = self.descriptors()
        lowest_free = next(n for n in range(1 << 16) if n not in used)
        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
        return resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (lowest_free, hard))

    def restore_descriptor_table(self, limits):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, limits)

    def end_link(self):
        """As Limpet stops a worker gently: no more clients, but answers are still read."""
        self.link.shutdown(socket.SHUT_WR)

    def vanish(self):
        """As if Limpet were killed: nobody reads the answers, all copies of the clients' sockets are gone."""
        self.link.close()
        self.worker_end.close()
        for client in self.clients:
            client.let_go()

    def wait_exit(self):
        return self.process.wait(PATIENCE)
