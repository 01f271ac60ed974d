"""Why: the Node applications of test/scenario/node/apps as commands, under Limpet or under Node's own primary, named once
for all tests.
SPDX-License-Identifier: ISC
"""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from limpet import NODE_DIRECTORY, is_sanitized, node_program, wait_until

# What tests use that are not about versions.
USUAL = "22"
# What Node's versions do differently is Node's; a sanitizer looks at what Limpet does, which is the same for all.
VERSIONS = (USUAL,) if is_sanitized() else ("16", "18", "20", "22", "24")


def app(name):
    return os.path.join(NODE_DIRECTORY, "apps", f"{name}.js")


def need_node(version=USUAL):
    path = node_program(version)
    if not os.access(path, os.X_OK):
        pytest.fail(f"Node {version} is not installed: run script/test, or npm ci in test/scenario/node")
    return path


def run_arguments(name, *arguments, port=None, workers=4, version=USUAL):
    """Arguments of `limpet run` for an application; `port` None: its ports are adopted."""
    listeners = ["-b", f"127.0.0.1:{port}"] if port else []
    return ["run", *listeners, "-i", str(workers), "--", need_node(version), app(name), *map(str, arguments)]


def certificate(directory):
    """Paths of a key and a self-signed certificate for localhost."""
    key, cert = os.path.join(directory, "key.pem"), os.path.join(directory, "cert.pem")
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return key, cert


def can_connect(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


class OwnPrimary:
    """The same application under Node's own cluster primary."""

    def __init__(self, name, *arguments, workers=4, version=USUAL):
        self.process = subprocess.Popen(
            [need_node(version), os.path.join(NODE_DIRECTORY, "primary.js"), str(workers), app(name),
             *map(str, arguments)], stdin=subprocess.DEVNULL, start_new_session=True)

    def wait_port(self, port, seconds=20):
        wait_until(lambda: can_connect(port), seconds, f"port {port} of Node's primary")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def tls_get(connection, session=None):
    """One GET over TLS on a connected socket; (JSON of the answer, TLS session)."""
    context = tls_context() if session is None else session[0]
    with context.wrap_socket(connection, session=session and session[1]) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while True:
            data = tls.recv(65536)
            if not data:
                break
            answer += data
        return body_of(answer), (context, tls.session)


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2    # its tickets come with the handshake
    return context


def body_of(answer):
    """The JSON of a whole HTTP/1.1 answer, chunked or not."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = body.partition(b"\r\n")[2]
        body = body[:body.rindex(b"}") + 1]
    return json.loads(body)
