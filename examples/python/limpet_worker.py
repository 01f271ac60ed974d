"""Why: the contract of limpet_worker(3) for Python 3.9 and later, without anything but the standard library.
Copy this file into your program. asyncio_hello.py and threads_hello.py show both ways to use it.
SPDX-License-Identifier: ISC
"""
import os
import select
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
NOT_ARRIVED, BUSY = b"\1", b"\2"
ADDRESS_SIZES = (0, 12, 36, 216)  # none, IPv4, IPv6, UNIX


class Client:
    """One client: `socket` is connected and non-blocking; `address` is (host, port), or None by a UNIX socket."""

    def __init__(self, fd, address):
        self.socket = socket.socket(fileno=fd)
        self.address = address


def open_link():
    """The link to Limpet, a non-blocking socket."""
    link = socket.socket(fileno=int(os.environ["LIMPET_LINK_FD"]))
    link.set_inheritable(False)  # a copy in a child process would hide the end of the link
    return link


def ready(link):
    _answer(link, bytes(8))


def receive(link):
    """The next client, already acknowledged; None at the end of the link; BlockingIOError: none is there now."""
    while True:
        try:
            record, fds, flags, _ = socket.recv_fds(link, 4096, 8, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            continue  # Limpet is gone; there may be clients left, then comes the end
        if not record:
            return None
        for fd in fds[1:]:
            os.close(fd)
        try:
            client_id, address = _parse(record)
        except ValueError:
            for fd in fds[:1]:
                os.close(fd)
            raise
        if len(fds) == 1 and not flags & socket.MSG_CTRUNC:
            _answer(link, client_id)  # before anything is read from the socket
            return Client(fds[0], address)
        for fd in fds[:1]:
            os.close(fd)
        _answer(link, client_id + NOT_ARRIVED)  # our descriptor table is full: another worker gets him


def _answer(link, record):
    while True:
        try:
            link.send(record)
            return
        except BlockingIOError:
            select.select([], [link], [])
        except (BrokenPipeError, ConnectionResetError):
            return  # Limpet is gone: nobody else can serve this client


def _parse(record):
    """(id, address) of a PROXY protocol header, version 2."""
    command, family, length = struct.unpack_from("!BBH", record, 12)
    if not record.startswith(SIGNATURE) or command not in (0x20, 0x21) or len(record) != 16 + length:
        raise ValueError("not a record of limpet_worker(3)")
    size = ADDRESS_SIZES[family >> 4]
    address = None
    if command == 0x21 and size in (12, 36):
        half = (size - 4) // 2
        host = socket.inet_ntop(socket.AF_INET if size == 12 else socket.AF_INET6, record[16:16 + half])
        address = (host, *struct.unpack_from("!H", record, 16 + 2 * half))
    at = 16 + size
    while at < len(record):
        kind, length = struct.unpack_from("!BH", record, at)
        if kind == 0x05:
            return record[at + 3:at + 3 + length], address
        at += 3 + length  # later versions of Limpet say more
    raise ValueError("a record without an id")
