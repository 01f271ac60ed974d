"""Why: a worker that behaves as a test tells it, by words of its command and by requests: that ignores SIGTERM, prints
rubbish, is slow, falls silent, leaves children behind. It keeps the contract of limpet_worker(3) otherwise.

Words, obeyed in their order before the first client is taken:
    ignore-term, grandchild, quiet (no readiness by the link), say=TEXT, complain=TEXT (standard error),
    notify=TEXT (sd_notify), exit=CODE, exit-unless=FILE, wait-for=FILE, hang
    read-header (every client begins with a PROXY protocol header; /whoami tells it), tls=CERTIFICATE:KEY
Requests: /whoami, /environment, /slow (its second half comes when the file `finish` is in the working directory),
    /say?TEXT, /write?HEX (raw bytes to standard output), /notify?TEXT, /exit?CODE, /rubbish (prints for ever)

SPDX-License-Identifier: ISC
"""
import http.server
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "python"))
import limpet_worker  # noqa: E402

COMMAND = [sys.executable, os.path.abspath(__file__)]


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def wait_for(path):
    while not os.path.exists(path):
        select.select([], [], [], 0.01)


def hang():
    while True:
        select.select([], [], [], 60)


def print_bytes(data):
    while data:
        data = data[os.write(1, data):]


def print_for_ever():
    block = b"y" * 100 + b"\n"
    while True:
        print_bytes(block * 600)


def leave_a_grandchild():
    """It ignores what its parent obeys, and tells no one of itself."""
    subprocess.Popen([sys.executable, "-c",
                      "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the client left in the middle of his header")
        data += more
    return data


def read_header(connection):
    """A PROXY protocol header of either version, and no byte more."""
    header = exactly(connection, 15)
    if header.startswith(b"PROXY"):
        while not header.endswith(b"\r\n"):
            header += exactly(connection, 1)
        return header
    header += exactly(connection, 1)
    return header + exactly(connection, int.from_bytes(header[14:16], "big"))


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    reads_header = False
    tls = None

    def setup(self):
        self.header = read_header(self.request).hex() if self.reads_header else ""
        if self.tls:
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, *_):
        pass

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def slow(self):
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"begun")
        wait_for("finish")
        self.wfile.write(b"ended")

    def do_GET(self):
        path, _, argument = self.path.partition("?")
        argument = urllib.parse.unquote(argument)
        if path == "/slow":
            self.slow()
            return
        if path == "/say":
            print(argument, flush=True)
        elif path == "/write":
            print_bytes(bytes.fromhex(argument))
        elif path == "/rubbish":
            threading.Thread(target=print_for_ever, daemon=True).start()
        elif path == "/notify":
            notify(argument)
        elif path == "/exit":
            os._exit(int(argument))
        self.answer(dict(os.environ) if path == "/environment" else {
            "slot": int(os.environ["LIMPET_SLOT"]), "pid": os.getpid(), "client": self.client_address[0],
            "generation": int(os.environ["LIMPET_GENERATION"]), "header": self.header})


def obey(word):
    name, _, argument = word.partition("=")
    if name == "ignore-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif name == "grandchild":
        leave_a_grandchild()
    elif name == "say":
        print(argument, flush=True)
    elif name == "complain":
        print(argument, file=sys.stderr, flush=True)
    elif name == "notify":
        notify(argument)
    elif name == "exit":
        os._exit(int(argument))
    elif name == "exit-unless" and not os.path.exists(argument):
        os._exit(1)
    elif name == "wait-for":
        wait_for(argument)
    elif name == "hang":
        hang()
    elif name == "read-header":
        Service.reads_header = True
    elif name == "tls":
        Service.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        Service.tls.load_cert_chain(*argument.split(":"))


def serve(client):
    client.socket.settimeout(60)
    with client.socket:
        try:
            Service(client.socket, client.address or ("unix", 0), None)
        except OSError:
            pass


def main(words):
    for word in words:
        obey(word)
    link = limpet_worker.open_link()
    if "quiet" not in words:
        limpet_worker.ready(link)
    while True:
        select.select([link], [], [])
        try:
            client = limpet_worker.receive(link)
        except BlockingIOError:
            continue
        if client is None:
            break
        threading.Thread(target=serve, args=(client,)).start()


if __name__ == "__main__":
    main(sys.argv[1:])
