"""Why: clients with a source address of their own: plain sockets, HTTP and WebSocket, small enough that a
test can hold thousands and see exactly how a connection ended (answered, closed, reset).
SPDX-License-Identifier: ISC
"""
import base64
import hashlib
import http.client
import json
import os
import socket
import struct


def connect_from(source, port, host="127.0.0.1", seconds=10, context=None):
    """A TCP connection whose client address is `source` (None: the kernel's choice); with an ssl.SSLContext, TLS."""
    connection = socket.create_connection((host, port), seconds, (source, 0) if source else None)
    return context.wrap_socket(connection, server_hostname="localhost") if context else connection


def last_answer(connection, path="/"):
    """The JSON answer to one GET, the last on this connection, which is read to its end."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])


class HttpClient:
    """One keep-alive connection; it is never silently opened anew."""

    def __init__(self, port, source=None, host="127.0.0.1", seconds=10, context=None):
        self.socket = connect_from(source, port, host, seconds, context)
        self.connection = http.client.HTTPConnection(host, port)
        self.connection.sock = self.socket
        self.connection.auto_open = 0

    def request(self, path="/", method="GET", body=None, headers=None):
        """(status, headers, body)"""
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def get_json(self, path="/whoami"):
        status, _, body = self.request(path)
        assert status == 200, f"{path}: {status} {body[:200]!r}"
        return json.loads(body)

    def close(self):
        self.connection.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def http_get(port, path="/whoami", source=None, host="127.0.0.1", seconds=10):
    """The JSON answer to one GET over a connection of its own."""
    with HttpClient(port, source, host, seconds) as client:
        return client.get_json(path)


class WebSocketClosed(Exception):
    """The server ended the WebSocket; `code` is 1006 when it did so without a close frame."""

    def __init__(self, code):
        super().__init__(f"WebSocket closed with {code}")
        self.code = code


class WebSocket:
    """A blocking RFC 6455 client. Receives whole messages, answers pings."""

    GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

    def __init__(self, port, path="/ws", source=None, host="127.0.0.1", seconds=10, context=None):
        self.socket = connect_from(source, port, host, seconds, context)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        head = self._until(b"\r\n\r\n").decode("latin-1")
        assert head.startswith("HTTP/1.1 101 "), head
        accept = base64.b64encode(hashlib.sha1((key + self.GUID).encode()).digest()).decode()
        assert f"sec-websocket-accept: {accept.lower()}" in head.lower(), head

    def send(self, data, opcode=None):
        if isinstance(data, str):
            data, opcode = data.encode(), opcode or self.TEXT
        self._frame(opcode or self.BINARY, data)

    def receive(self):
        """The next text (str) or binary (bytes) message; raises WebSocketClosed at the end."""
        message, kind = b"", None
        while True:
            final, opcode, data = self._next_frame()
            if opcode == self.PING:
                self._frame(self.PONG, data)
            elif opcode == self.CLOSE:
                code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
                raise WebSocketClosed(code)
            elif opcode != self.PONG:
                kind = opcode or kind
                message += data
                if final:
                    return message.decode() if kind == self.TEXT else message

    def receive_json(self):
        return json.loads(self.receive())

    def echo(self, text):
        """Sends the text and asserts that it comes back."""
        self.send(text)
        answer = self.receive()
        assert answer == text, answer

    def close(self, code=1000):
        """Says goodbye and waits for the server's answer."""
        try:
            self._frame(self.CLOSE, struct.pack("!H", code))
            while True:
                self.receive()
        except (WebSocketClosed, OSError):
            pass
        self.socket.close()

    def _frame(self, opcode, data):
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def _next_frame(self):
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._exactly(8))[0]
        return bool(first & 0x80), first & 0x0F, self._exactly(size)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise WebSocketClosed(1006)
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data
