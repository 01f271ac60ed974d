"""The worry: a worker that takes sockets from the link learns nothing of its client's TLS, or believes that Limpet's own pair
is the client, or does not work at all with a socket that is no TCP socket.

The story: clients with addresses of their own come by TLS, with and without a certificate, and by PROXY protocol headers;
the record says who they are. The demo and the examples in all languages serve them as they serve others.
SPDX-License-Identifier: ISC
"""
import shlex

import pytest

from certificates import Authority, tls_config
from client import HttpClient, WebSocket, connect_from, last_answer
from limpet import BINARY, client_address, free_port
from passport_worker import COMMAND
from workers import LINK_EXAMPLES, command_of

PASSPORT_WORKER = shlex.join(COMMAND)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def start(limpet, authority):
    def begin(command, tls="", listen=""):
        port = free_port()
        limpet.start(tls_config(port, [authority.issue("site")], command=command, instances=2, tls=tls, listen=listen,
                                limits="relays = 2\nstats_period = 100ms", more="delivery = fd\n"))
        return port
    return begin


def ask(port, context, source=None):
    with HttpClient(port, source, context=context) as client:
        return client.get_json(), client.socket


def test_the_record_tells_of_tls(start, authority):
    port = start(PASSPORT_WORKER, "alpn = http/1.1")
    context = authority.client_context(alpn=["http/1.1"])
    homes = {}
    for number in range(40):
        source = client_address(number % 20)
        with HttpClient(port, source, context=context) as client:
            own_port, (cipher, version, _) = client.socket.getsockname()[1], client.socket.cipher()
            said = client.get_json()
        assert (said["address"], said["port"]) == (source, own_port)
        assert (said["local"], said["local_port"]) == ("127.0.0.1", port)
        assert (said["server_name"], said["alpn"]) == ("localhost", "http/1.1")
        assert (said["cipher"], said["version"]) == (cipher, version)
        assert said["ssl"] & 1 and said["verify"] != 0 and "client_name" not in said
        assert said["family"] == "AF_UNIX" and said["length"] <= 1024
        assert homes.setdefault(source, said["pid"]) == said["pid"]
    assert len(set(homes.values())) == 2


def test_client_certificate(start, authority):
    port = start(PASSPORT_WORKER, f"client_ca = {authority.path}\nverify = optional")
    mine = authority.issue("client", ("somebody",), client=True)
    said, _ = ask(port, authority.client_context(*mine))
    assert said["client_name"] == "somebody" and said["verify"] == 0 and said["ssl"] & 6
    said, _ = ask(port, authority.client_context())
    assert "client_name" not in said and said["verify"] != 0


def test_header_before_tls(start, authority):
    port = start(PASSPORT_WORKER, listen="proxy_protocol = require\ntrusted = 127.0.0.0/8")
    connection = connect_from(None, port)
    connection.sendall(b"PROXY TCP6 2001:db8::5 2001:db8::1 4242 443\r\n")
    with authority.client_context().wrap_socket(connection, server_hostname="localhost") as client:
        said = last_answer(client)
    assert (said["address"], said["port"], said["local_port"]) == ("2001:db8::5", 4242, 443)
    assert said["server_name"] == "localhost"


def test_the_demo_says_https(start, authority):
    port = start(f"{BINARY} @demo")
    context = authority.client_context()
    said, _ = ask(port, context, client_address(3))
    assert said["scheme"] == "https" and said["client"] == client_address(3)
    websocket = WebSocket(port, "/ws", client_address(3), context=context)
    assert websocket.receive_json()["pid"] == said["pid"]
    websocket.echo("x" * 60000)
    websocket.close()


@pytest.mark.parametrize("name", LINK_EXAMPLES)
def test_examples(start, authority, name, tmp_path_factory):
    port = start(shlex.join(command_of(name, tmp_path_factory.getbasetemp())))
    for number in range(6):
        source = client_address(number)
        said, _ = ask(port, authority.client_context(), source)
        assert said["client"] == source
