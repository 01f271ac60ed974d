"""Why: pools may have servers that are no workers of ours, found by name. Here are such servers, small HTTP ones
in the test's own process that can be well, ill or gone, and a name server that says where they are.
SPDX-License-Identifier: ISC
"""
import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from limpet import free_port, wait_until


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        is_check = self.path == "/health"
        self.server.checks += is_check
        body = json.dumps({"slot": self.server.name, "pid": os.getpid()}).encode()
        self.send_response(self.server.health if is_check else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_):
        """A reset, by a check or by a client: both are part of the stories."""


class Server:
    """`GET /` answers {"slot": its address}, /health with the status `health`."""

    def __init__(self, address, port):
        self.name, self._where, self._listener, self._thread = address, (address, port), None, None
        self.open()

    def open(self):
        self._listener = _Listener(self._where, _Handler)
        self._listener.name, self._listener.health, self._listener.checks = self.name, 200, 0
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        """Nobody listens any more; connections go on."""
        if self._listener:
            self._listener.shutdown()
            self._thread.join()
            self._listener.server_close()
            self._listener = None

    @property
    def checks(self):
        return self._listener.checks

    @property
    def health(self):
        return self._listener.health

    @health.setter
    def health(self, status):
        self._listener.health = status


class NameServer:
    """dnsmasq. `hosts` is {name: [addresses]}; `options` are further ones of its own."""

    def __init__(self, hosts, *options):
        program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
        if not os.access(program, os.X_OK):
            pytest.skip("dnsmasq is not installed")
        self._directory = tempfile.mkdtemp(prefix="limpet-dns-")
        os.chmod(self._directory, 0o755)
        self.port = free_port()
        self._log = os.path.join(self._directory, "log")
        self._hosts = os.path.join(self._directory, "hosts")
        self.write(hosts)
        self._command = [program, "--no-daemon", "--conf-file=/dev/null", "--pid-file=", f"--port={self.port}",
                         "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
                         "--local=/example/", "--user=" if os.getuid() else "--user=root",
                         f"--addn-hosts={self._hosts}", *options]
        self._process = None
        self.start()

    def write(self, hosts):
        """What it answers after the next start."""
        with open(self._hosts, "w", encoding="ascii") as file:
            file.writelines(f"{address} {name}\n" for name, addresses in hosts.items() for address in addresses)

    def _log_text(self):
        with open(self._log, encoding="utf-8") as file:
            return file.read()

    def start(self):
        with open(self._log, "w", encoding="ascii") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: f"read {self._hosts}" in self._log_text(), 10, self._log_text)

    def stop(self):
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def set(self, hosts):
        """What it answers from now on."""
        self.write(hosts)
        self._process.send_signal(signal.SIGHUP)

    def destroy(self):
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def servers(*addresses, port=None):
    """(port, [Server, ...]) of servers at these addresses, all at one free port."""
    port = port or free_port()
    made = []
    try:
        for address in addresses:
            made.append(Server(address, port))
        yield port, made
    finally:
        for server in made:
            server.close()


@contextlib.contextmanager
def name_server(hosts, *options):
    made = NameServer(hosts, *options)
    try:
        yield made
    finally:
        made.destroy()
