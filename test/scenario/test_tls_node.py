"""The worry: behind TLS or a PROXY protocol header an unmodified Node application sees Limpet in place of its clients, takes
https for http, or stops to work as soon as it decrypts by itself.

http, Express, ws and socket.io on five versions of Node, with TLS ended by a relay and (tls_at = worker) by the worker: every
client meets one process, which knows his address and port and that he is safe. Bodies of megabytes go both ways, connections
are kept alive, tickets of one worker are good in all, certificates change while clients stay, and no TLS connection of a
worker ends because Limpet's processes are killed.
SPDX-License-Identifier: ISC
"""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess

import psutil
import pytest

from certificates import Authority, tls_config
from client import HttpClient, WebSocket, connect_from, last_answer
from limpet import NODE_DIRECTORY, client_address, free_port, wait_until
from node_apps import USUAL, VERSIONS, app, need_node

CLIENTS = [client_address(number) for number in range(40)]
PLACES = ("relay", "worker")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def start(limpet, authority):
    """start(application, place) -> its port."""
    def begin(name, place, version=USUAL, tls="", listen="", certificates=None, instances=3, more=""):
        port = free_port()
        pairs = certificates or [authority.issue("site")]
        limpet.start(tls_config(port, pairs, command=f"{need_node(version)} {app(name)} {port}", instances=instances,
                                tls=tls, listen=listen, limits="relays = 2\nstats_period = 100ms",
                                more=f"tls_at = {place}\n{more}"))
        return port
    return begin


def check_clients(limpet, visit):
    """`visit(source)` gives what the application says of a client, and the client's real port."""
    homes = {}
    for _ in range(2):
        for source in CLIENTS:
            said, port = visit(source)
            assert said["address"].removeprefix("::ffff:") == source, said
            assert said["port"] == port, said
            assert homes.setdefault(source, said["pid"]) == said["pid"], "a client met two processes"
    assert set(homes.values()) == set(limpet.workers().values()), "every worker has clients"


def get(port, context, source=None):
    with HttpClient(port, source, context=context) as client:
        return client.get_json(), client.socket.getsockname()[1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", VERSIONS)
def test_http(limpet, start, authority, version, place):
    port = start("http", place, version, tls="alpn = http/1.1")
    context = authority.client_context(alpn=["http/1.1"])

    def visit(source):
        said, local = get(port, context, source)
        assert said["encrypted"] and said["alpn"] == "http/1.1" and said["servername"] == "localhost", said
        return said, local
    check_clients(limpet, visit)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "16"])     # Express 5 wants 18
def test_express(limpet, start, authority, version, place):
    port = start("express", place, version)
    context = authority.client_context()

    def visit(source):
        said, local = get(port, context, source)
        assert said["secure"] and said["protocol"] == "https", said
        return said, local
    check_clients(limpet, visit)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", VERSIONS)
def test_websocket(limpet, start, authority, version, place):
    port = start("ws", place, version)
    context = authority.client_context()

    def visit(source):
        websocket = WebSocket(port, "/", source, context=context)
        said = websocket.receive_json()
        local = websocket.socket.getsockname()[1]
        assert said["encrypted"], said
        websocket.echo("x" * 70000)
        websocket.close()
        return said, local
    check_clients(limpet, visit)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", VERSIONS)
def test_socketio_polling_only(start, authority, version, place):
    port = start("socketio", place, version)
    done = subprocess.run([need_node(), os.path.join(NODE_DIRECTORY, "socketio_client.js"), str(port), "12", "5",
                           str(authority.path)], stdout=subprocess.PIPE, timeout=90, check=True, text=True)
    whole = json.loads(done.stdout)
    assert len(whole) == 12 and all(len(pids) == 1 for pids in whole.values()), whole


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tls", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_kept_connection_and_big_bodies(start, authority, version, place, tls):
    port = start("http", place, version)
    body = os.urandom(8 << 20)
    with HttpClient(port, context=authority.client_context(version=tls), seconds=30) as client:
        for _ in range(3):
            status, _, answer = client.request(f"/bytes?{len(body)}")
            assert status == 200 and answer == b"x" * len(body)
            status, _, answer = client.request("/", "POST", body)
            assert json.loads(answer)["received"] == len(body)


def test_children_do_not_inherit_the_preload(limpet, start, authority):
    """What Limpet adds to NODE_OPTIONS is for the worker alone; what the user says there stays."""
    script = limpet.write("options.js", f"""
        require('child_process').execFile(process.execPath, ['-p', 'JSON.stringify(process.env)'], (error, text) => {{
          require('fs').writeFileSync({json.dumps(limpet.path('environment'))}, text)
        }})
        require({json.dumps(app('http'))})""")
    port = free_port()
    limpet.start(tls_config(port, [authority.issue("site")], command=f"{need_node()} {script} {port}", instances=1,
                            more="tls_at = worker\nenvironment = NODE_OPTIONS=--no-warnings\n"))
    assert get(port, authority.client_context())[0]["encrypted"]
    wait_until(lambda: os.path.exists(limpet.path("environment")) and os.path.getsize(limpet.path("environment")))
    with open(limpet.path("environment"), encoding="utf-8") as file:
        environment = json.load(file)
    assert environment["NODE_OPTIONS"] == "--no-warnings"
    assert "LIMPET_PRELOAD" not in environment and "LIMPET_TLS" not in environment


@pytest.mark.parametrize("kind", ["commonjs", "module"])
def test_module_applications(limpet, authority, kind):
    """Both kinds of modules are served, with --require and --import of the user's own beside Limpet's word."""
    name = "app.mjs" if kind == "module" else "app.cjs"
    load = "import http from 'http'" if kind == "module" else "const http = require('http')"
    script = limpet.write(name, f"""{load}
        http.createServer((request, response) => response.end(JSON.stringify(
          {{ address: request.socket.remoteAddress, mine: globalThis.mine }}))).listen(3000)""")
    mine = limpet.write("my own.cjs", "globalThis.mine = 'loaded'")
    port = free_port()
    limpet.start(tls_config(port, [authority.issue("site")], command=f"{need_node()} {script}", instances=1,
                            more=f'environment = NODE_OPTIONS="--require={mine}"\n'))
    said, _ = get(port, authority.client_context(), CLIENTS[0])
    assert said == {"address": CLIENTS[0], "mine": "loaded"}


# --- PROXY protocol headers

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", ("none", *PLACES))
def test_proxy_header_tells_the_address(limpet, authority, version, place):
    port = free_port()
    listen = "proxy_protocol = require\ntrusted = 127.0.0.0/8\n"
    config = tls_config(port, [authority.issue("site")], command=f"{need_node(version)} {app('http')} {port}",
                        instances=1, listen=listen, more="" if place == "none" else f"tls_at = {place}\n")
    limpet.start(config.replace("tls = site\n", "") if place == "none" else config)
    for header in (b"PROXY TCP4 203.0.113.7 198.51.100.1 4242 443\r\n",
                   b"PROXY TCP6 2001:db8::5 2001:db8::1 4242 443\r\n"):
        connection = connect_from(None, port)
        connection.sendall(header)
        if place != "none":
            connection = authority.client_context().wrap_socket(connection, server_hostname="localhost")
        with connection:
            said = last_answer(connection)
        assert said["address"] == header.split()[2].decode() and said["port"] == 4242, said
        assert said["encrypted"] == (place != "none")


# --- TLS in the worker

def test_ticket_is_good_in_every_worker(limpet, start, authority):
    port = start("http", "worker")
    context = authority.client_context(version=ssl.TLSVersion.TLSv1_2)
    with HttpClient(port, CLIENTS[0], context=context) as client:
        client.get_json()
        session = client.socket.session
    resumed_in = set()
    for source in CLIENTS:
        connection = context.wrap_socket(connect_from(source, port), server_hostname="localhost", session=session)
        with connection:
            assert connection.session_reused
            resumed_in.add(last_answer(connection)["pid"])
    assert resumed_in == set(limpet.workers().values())


def common_name(port, context, name):
    with context.wrap_socket(connect_from(None, port), server_hostname=name) as connection:
        return dict(row[0] for row in connection.getpeercert()["subject"])["commonName"]


@pytest.mark.parametrize("version", VERSIONS)
def test_certificate_by_name(start, authority, version):
    """Also where the certificates' keys are of different kinds: some versions of Node change only one of them."""
    pairs = [authority.issue("first", ("first.example",), "ec"), authority.issue("second", ("second.example",), "rsa"),
             authority.issue("wild", ("*.wild.example",), "ec")]
    port = start("http", "worker", version, certificates=pairs, instances=1)
    context = authority.client_context()
    assert common_name(port, context, "first.example") == "first.example"
    assert common_name(port, context, "Second.example") == "second.example"
    assert common_name(port, context, "a.wild.example") == "*.wild.example"
    context.check_hostname = False
    assert common_name(port, context, "a.b.wild.example") == "first.example"


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificates(start, authority, version):
    port = start("http", "worker", version, tls=f"client_ca = {authority.path}\nverify = require", instances=1)
    mine = authority.issue("client", ("somebody",), client=True)
    assert get(port, authority.client_context(*mine))[0]["encrypted"]
    with pytest.raises((OSError, http.client.HTTPException)):    # TLS 1.3: after the handshake, from the client's view
        get(port, authority.client_context())


def test_silent_client_is_ended(start):
    """handshake_timeout counts from the beginning, however the client dribbles."""
    port = start("http", "worker", tls="handshake_timeout = 300ms", instances=1)
    for first in (b"", b"\x16\x03\x01\x02\x00"):
        with connect_from(None, port, seconds=20) as connection:
            connection.sendall(first)
            assert ended(connection)


def ended(connection):
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_nonsense_does_not_end_the_worker(limpet, start, authority):
    port = start("http", "worker", instances=1)
    before = limpet.workers()
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 5000, b"\x16" * 20000):
        with connect_from(None, port, seconds=20) as connection:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            wait_until(lambda: ended(connection))     # pylint: disable=cell-var-from-loop
    raw = connect_from(None, port)
    with authority.client_context().wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(b"GET /bytes?100000 HTTP/1.1\r\n")
        os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + b"broken record, not from our key!")
        wait_until(lambda: ended(connection))
    assert get(port, authority.client_context())[0]["pid"] in before.values()
    assert limpet.workers() == before


def test_certificates_change_while_clients_stay(limpet, start, authority):
    certificate, key = authority.issue("changing", ("localhost", "old.example"))
    port = start("http", "worker", tls="watch_interval = 100ms", certificates=[(certificate, key)], instances=1)
    context = authority.client_context()
    context.check_hostname = False
    with HttpClient(port, context=context) as client:
        assert client.get_json()["encrypted"]
        good = certificate.read_text()
        certificate.write_text("nonsense")
        limpet.wait_log(r"\[tls:site\] the old certificates are kept")
        assert common_name(port, context, "localhost") == "localhost"
        certificate.write_text(good)
        other, other_key = authority.issue("other", ("new.example",))
        os.replace(other_key, key)
        os.replace(other, certificate)
        wait_until(lambda: common_name(port, context, "localhost") == "new.example")
        limpet.wait_log(r"\[tls:site\] the new certificates are in use")
        assert client.get_json()["encrypted"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("victim", ["acceptor", "supervisor"])
def test_no_tls_connection_ends_with_limpet(limpet, start, authority, version, victim):
    port = start("ws", "worker", version)
    context = authority.client_context()
    sockets = [WebSocket(port, "/", source, context=context) for source in CLIENTS[:12]]
    for websocket in sockets:
        websocket.receive_json()
    limpet.remember_processes()
    victim_pid = limpet.pid if victim == "supervisor" else limpet.acceptor_pid()
    os.kill(victim_pid, signal.SIGKILL)
    if victim == "supervisor":
        limpet.allow_alert("the supervisor is gone")
        limpet.wait_exit()
    else:
        wait_until(lambda: limpet.acceptor_pid() not in (None, victim_pid))
    for websocket in sockets:
        websocket.echo("still here" * 1000)
    if victim == "acceptor":
        WebSocket(port, "/", CLIENTS[0], context=context).close()
    for websocket in sockets:
        websocket.close()
    if victim == "supervisor":
        wait_until(lambda: not [pid for pid in limpet.processes() if psutil.pid_exists(pid)], 20)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_unreadable_key_is_said(limpet):
    """The worker's user cannot read the key: said at the start by name, and clients are refused, not served in plain."""
    certificate, key = Authority(limpet.path("ca")).issue("secret")
    port = free_port()
    limpet.start(tls_config(port, [(certificate, key)], command=f"{need_node()} {app('http')} {port}", instances=1,
                            more="tls_at = worker\nuser = nobody\n"))
    limpet.wait_log(rf"tls_at = worker, and its workers \(user nobody\) cannot read a file of \[tls:site\]: .*{key.name}")
    limpet.wait_log(r"limpet: \[tls:site\] its clients are refused")
    with connect_from(None, port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended(connection)
