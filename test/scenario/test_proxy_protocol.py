"""Worry: behind a load balancer every client has the balancer's address, so all land on one worker; or, worse, anybody
says that he is somebody else.

With proxy_protocol = require the header of haproxy, nginx, hitch and stunnel decides who the client is, for the choice of
the slot and for what the worker sees; with pass it also reaches the worker unread. Who may not send one, sends a wrong
one, or sends none in time, is closed. The other way round, haproxy and nginx understand what Limpet sends.
SPDX-License-Identifier: ISC
"""
import contextlib
import json
import os
import socket
import ssl
import subprocess
import time

import pytest

import balancers
from certificates import Authority
from client import connect_from, last_answer
from limpet import client_address, free_port, wait_until
from node_apps import app, need_node
from odd_worker import COMMAND

ODD = " ".join(COMMAND)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENTS = [client_address(n) for n in range(12)]
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def config(port, command=ODD, listen="proxy_protocol = require\ntrusted = 127.0.0.0/8", more="delivery = fd"):
    return f"""
[limpet]
stats_period = 100ms
[listen:web]
bind = 127.0.0.1:{port}
{listen}
[pool:web]
command = {command}
instances = 4
{more}"""


def v1(source, port=4660):
    return f"PROXY TCP4 {source} 198.51.100.2 {port} 443\r\n".encode()


def v2(source, port=4660, tlvs=b""):
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.2") + port.to_bytes(2, "big") + b"\x01\xbb" + tlvs
    return SIGNATURE + b"\x21\x11" + len(body).to_bytes(2, "big") + body


def answer_of(connection):
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    return json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])


def ask(port, header, source=None, request=REQUEST):
    """The answer to a request glued to its header."""
    with connect_from(source, port) as connection:
        connection.sendall(header + request)
        return answer_of(connection)


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def directory(tmp_path):
    os.chmod(tmp_path, 0o755)
    return str(tmp_path)


def front(name, directory, port, to, authority):
    plain = {"haproxy-v1": lambda: balancers.haproxy(directory, port, to),
             "haproxy-v2": lambda: balancers.haproxy(directory, port, to,
                                                     "send-proxy-v2 proxy-v2-options unique-id,crc32c"),
             "nginx": lambda: balancers.nginx(directory, port, to)}
    if name in plain:
        return plain[name](), None
    start = {"haproxy-tls": balancers.haproxy_tls, "hitch": balancers.hitch, "stunnel": balancers.stunnel}[name]
    return start(directory, port, to, *authority.issue("front")), authority.client_context()


FRONTS = ["haproxy-v1", "haproxy-v2", "haproxy-tls", "nginx", "hitch", "stunnel"]


def seen_through(port, context, path="/whoami"):
    seen = {}
    for source in CLIENTS:
        with connect_from(source, port, context=context) as connection:
            seen[source] = last_answer(connection, path)
    return seen


@pytest.mark.parametrize("name", FRONTS)
def test_fd_workers_behind(limpet, directory, authority, name):
    """Every client has his own address at the worker, and the slot that this address has without the balancer."""
    port, outside = free_port(), free_port()
    limpet.start(config(port))
    program, context = front(name, directory, outside, port, authority)
    with program:
        seen = seen_through(outside, context)
    for source in CLIENTS:
        assert seen[source]["client"] == source
        assert seen[source]["slot"] == ask(port, v1(source))["slot"]
    assert len({answer["slot"] for answer in seen.values()}) > 1


@pytest.mark.parametrize("name", ["haproxy-v1", "haproxy-tls", "nginx"])
def test_node_behind(limpet, directory, authority, name):
    """An unmodified Node application sees the client's address, and https where the balancer ended it."""
    port, outside = free_port(), free_port()
    limpet.start(config(port, f"{need_node()} {app('http')} {port}", more="delivery = node"))
    program, context = front(name, directory, outside, port, authority)
    with program:
        seen = seen_through(outside, context)
    for source in CLIENTS:
        assert seen[source]["address"] == source
        assert seen[source]["encrypted"] == (name == "haproxy-tls")
        again = ask(port, v2(source))
        assert (again["pid"], again["address"], again["port"]) == (seen[source]["pid"], source, 4660)


def test_exactly_the_header(limpet):
    """A header that comes byte by byte, with a request glued behind: the worker gets the request and nothing else."""
    port = free_port()
    limpet.start(config(port))
    for header in (v1(CLIENTS[0]), v2(CLIENTS[0]), v2(CLIENTS[0], tlvs=b"\x04\x00\x05dummy")):
        with connect_from(None, port) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(len(header) - 1):
                connection.sendall(header[at:at + 1])
            limpet.wait_counters(lambda c: c["greeting"] == 1)
            connection.sendall(header[-1:] + REQUEST)
            assert answer_of(connection)["client"] == CLIENTS[0]


def test_one_client_by_every_way(limpet):
    """v1, v2 and v4-mapped forms of one address have one slot; LOCAL and UNKNOWN are about the balancer itself."""
    port = free_port()
    limpet.start(config(port))
    mapped = b"\0" * 10 + b"\xff\xff"
    for source in CLIENTS[:4]:
        address = socket.inet_aton(source)
        ways = [v1(source), v2(source), f"PROXY TCP6 ::ffff:{source} ::ffff:127.0.0.1 1 2\r\n".encode(),
                SIGNATURE + b"\x21\x21\x00\x24" + mapped + address + mapped + b"\x7f\0\0\1" + b"\0\1\0\2"]
        answers = [ask(port, way) for way in ways]
        assert {answer["client"] for answer in answers} == {source}
        assert len({answer["slot"] for answer in answers}) == 1
        for local in (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0"):
            answer = ask(port, local, source)
            assert (answer["client"], answer["slot"]) == (source, answers[0]["slot"])


@pytest.mark.parametrize("mode", ["require", "pass"])
def test_who_is_turned_away(limpet, mode):
    """Not trusted, with and without a header; trusted, with none, a wrong one or a late one. Others are served meanwhile."""
    port = free_port()
    limpet.start(config(port, listen=f"proxy_protocol = {mode}\ntrusted = 127.0.0.1/32\nheader_timeout = 700ms"))
    crc = b"\x03\x00\x04\0\0\0\0"
    stories = [("127.0.0.2", v1(CLIENTS[0]) + REQUEST, "not_trusted"), ("127.0.0.2", REQUEST, "not_trusted"),
               ("127.0.0.1", REQUEST, "bad_header"), ("127.0.0.1", v1("010.0.0.1"), "bad_header"),
               ("127.0.0.1", v2(CLIENTS[0], tlvs=crc), "bad_header"), ("127.0.0.1", b"PROXY TCP4 ", "late_header"),
               ("127.0.0.1", b"", "late_header"), ("127.0.0.1", v2(CLIENTS[0])[:-1], "late_header")]
    for source, words, reason in stories:
        before = limpet.wait_counters(lambda c: True)["ended_" + reason]
        with connect_from(source, port) as connection:
            connection.sendall(words)
            assert is_closed(connection), reason
        limpet.wait_counters(lambda c, n=before, r=reason: c["ended_" + r] == n + 1)
    assert limpet.log_lines("127.0.0.1:\\d+: no valid PROXY protocol header: it begins neither as version 1 nor as "
                            'version 2 does \\(it said "GET /whoami')
    if mode == "require":
        assert ask(port, v1(CLIENTS[0]), "127.0.0.1")["client"] == CLIENTS[0]


def test_rules_hold_for_who_is_behind(limpet):
    """deny names a client, not the balancer that he comes through."""
    port = free_port()
    limpet.start(config(port, listen=f"proxy_protocol = require\ntrusted = 127.0.0.0/8\ndeny = {CLIENTS[1]}/32"))
    assert ask(port, v1(CLIENTS[0]))["client"] == CLIENTS[0]
    with connect_from(None, port) as connection:
        connection.sendall(v1(CLIENTS[1]) + REQUEST)
        assert is_closed(connection)
    limpet.wait_counters(lambda c: c["ended_denied"] == 1)


def trickle(connections, still):
    """A byte to each, once a second, as long as `still()`."""
    while still():
        began = time.monotonic()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"x")
        wait_until(lambda: time.monotonic() > began + 1 or not still(), 5)


def test_a_crowd_that_hardly_speaks(limpet):
    """1,000 clients say a byte a second: they are closed at their deadline, and those who speak are served at once."""
    port = free_port()
    limpet.start(config(port, listen="proxy_protocol = require\ntrusted = 127.0.0.0/8\nheader_timeout = 3s"))
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect_from(client_address(n), port)) for n in range(1000)]
        for connection in crowd:
            connection.sendall(b"PROXY UNKNOWN ")
        limpet.wait_counters(lambda c: c["greeting"] > 900)
        assert ask(port, v1(CLIENTS[0]))["client"] == CLIENTS[0]
        trickle(crowd, lambda: limpet.counters()["greeting"] > 0)
        assert all(map(is_closed, crowd))
    limpet.wait_counters(lambda c: c["ended_late_header"] + c["ended_bad_socket"] >= 1000 and c["greeting"] == 0)


@pytest.mark.parametrize("header", [v1, v2], ids=["v1", "v2"])
def test_pass(limpet, header):
    """The worker reads the header by itself; the slot goes by the address in it."""
    port = free_port()
    limpet.start(config(port, f"{ODD} read-header", "proxy_protocol = pass\ntrusted = 127.0.0.0/8"))
    slots = {}
    for source in CLIENTS:
        answers = [ask(port, header(source), "127.0.0.1") for _ in range(2)]
        assert [bytes.fromhex(answer["header"]) for answer in answers] == [header(source)] * 2
        slots[source] = {answer["slot"] for answer in answers}
        assert len(slots[source]) == 1
    assert len(set.union(*slots.values())) > 1


def hello_of(name):
    """What openssl says first when it looks for this server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ["-servername", name] if name else ["-noservername"]
        process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *words],
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        connection, _ = listener.accept()
        with connection:
            hello = connection.recv(65536)
        process.communicate(timeout=10)
    return hello


@pytest.mark.parametrize("mode", ["off", "require"])
def test_tls_passthrough(limpet, authority, mode):
    """The server name chooses the pool, the handshake is the worker's, who gets every byte of it."""
    port = free_port()
    certificate, key = authority.issue("inside", ("chat.example.org", "web.example.org", "localhost"))
    proxy = "proxy_protocol = require\ntrusted = 127.0.0.0/8" if mode == "require" else ""
    header = v1(CLIENTS[0]) if mode == "require" else b""
    pools = "".join(f"[pool:{name}]\ncommand = {ODD} tls={certificate}:{key}\ninstances = 2\ndelivery = fd\n"
                    for name in ("web", "chat"))
    limpet.start(f"""
[listen:web]
bind = 127.0.0.1:{port}
pool = web
tls_passthrough = on
sni = chat.example.org chat
sni = *.chat.example.org chat
{proxy}
{pools}""")
    context = ssl.create_default_context(cafile=authority.path)
    context.check_hostname = False
    for name, pool in (("chat.example.org", "chat"), ("CHAT.example.org", "chat"), ("a.chat.example.org", "chat"),
                       ("a.b.chat.example.org", "web"), ("web.example.org", "web"), (None, "web")):
        with connect_from(CLIENTS[0], port) as connection:
            connection.sendall(header)
            with context.wrap_socket(connection, server_hostname=name) as tls:
                answer = last_answer(tls, "/environment")
        assert answer["LIMPET_POOL"] == pool, name
    with connect_from(None, port) as connection:
        connection.sendall(header + REQUEST)
        assert is_closed(connection)
    limpet.wait_log("no valid TLS ClientHello: it does not begin with a handshake record")


def test_hello_in_pieces(limpet, authority):
    """A ClientHello that comes byte by byte leads to the same pool, and is answered."""
    port = free_port()
    certificate, key = authority.issue("pieces", ("chat.example.org",))
    limpet.start(f"""
[listen:web]
bind = 127.0.0.1:{port}
tls_passthrough = on
[pool:web]
command = {ODD} tls={certificate}:{key}
delivery = fd
instances = 2""")
    hello = hello_of("chat.example.org")
    with connect_from(None, port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(hello)):
            connection.sendall(hello[at:at + 1])
        assert connection.recv(3) == b"\x16\x03\x03"


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("behind", [balancers.haproxy_behind, balancers.nginx_behind], ids=["haproxy", "nginx"])
def test_what_we_send(limpet, directory, behind, version):
    """haproxy and nginx as servers of a pool know the client by what Limpet tells them, also where Limpet was told."""
    port, told, server = free_port(), free_port(), free_port()
    with behind(directory, server):
        limpet.start(f"""
[listen:direct]
bind = 127.0.0.1:{port}
[listen:told]
bind = 127.0.0.1:{told}
proxy_protocol = require
trusted = 127.0.0.0/8
[pool:web]
server = 127.0.0.1:{server}
delivery = proxy
send_proxy = {version}""")
        for source in CLIENTS[:4]:
            with connect_from(source, port) as connection:
                own = connection.getsockname()
                answer = last_answer(connection)
            assert (answer["client"], answer["port"]) == own
            answer = ask(told, v2(source, 4321))
            assert (answer["client"], answer["port"]) == (source, 4321)
            if version == "v2" and "id" in answer:
                assert answer["id"]

