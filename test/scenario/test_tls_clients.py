"""The worry: TLS works with the one client library that the developer has, and with one kind of worker.

The story: openssl, gnutls, curl, Node and a browser speak TLS 1.2 and 1.3 to Limpet in front of every kind of worker:
those that get sockets (fd, node) and those that listen by themselves (proxy, listen). They are pinned as before, their
WebSockets go through, and a session that one relay has begun is resumed by the other, by a relay that was started after a
crash, and after the certificate's files were read again.
SPDX-License-Identifier: ISC
"""
import base64
import collections
import os
import re
import signal
import socket
import ssl
import subprocess

import pytest

from certificates import Authority, tls_config
from client import HttpClient
from limpet import BINARY, NODE_DIRECTORY, client_address, free_port, is_sanitized, wait_until
from node_apps import app, need_node

DELIVERIES = ("fd", "node", "proxy", "listen")
CLIENTS = 24


def need(program):
    for directory in ("/usr/bin", "/usr/sbin"):
        if os.access(f"{directory}/{program}", os.X_OK):
            return f"{directory}/{program}"
    return pytest.fail(f"{program} is not installed: run script/test")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def start(limpet, authority):
    """start(delivery) -> port of a listener with an ECDSA and an RSA certificate."""
    def begin(delivery, tls="", limits="stats_period = 100ms\nrelays = 2", listen=""):
        port, own = free_port(), free_port(2)
        command = f"{BINARY} @demo" if delivery == "fd" else f"{need_node()} {app('web')}"
        more = {"fd": "", "listen": "", "node": f"environment = PORT={port}\n", "proxy": f"port = {own}\n"}[delivery]
        names = ("localhost", "127.0.0.1")
        pairs = [authority.issue(f"site-{kind}", names, kind) for kind in ("ec", "rsa")]
        limpet.start(tls_config(port, pairs, command=command, instances=2, tls=tls, limits=limits, listen=listen,
                                more=f"delivery = {delivery}\n{more}"))
        return port
    return begin


def tls_client(port, context, source=None, session=None):
    raw = socket.create_connection(("127.0.0.1", port), 10, (source, 0) if source else None)
    return context.wrap_socket(raw, server_hostname="localhost", session=session)


class TlsHttp(HttpClient):
    def __init__(self, port, context, source=None, session=None):
        super().__init__(port, source)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session)
        self.connection.sock = self.socket


def ask(port, context, source=None, session=None):
    """(JSON of the answer, session, whether it was resumed)"""
    with TlsHttp(port, context, source, session) as client:
        return client.get_json(), client.socket.session, client.socket.session_reused


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_clients_are_pinned(start, authority, delivery, version):
    port = start(delivery)
    context = authority.client_context(version=version)
    homes = collections.defaultdict(set)
    for _ in range(3):
        for number in range(CLIENTS):
            answer, _, _ = ask(port, context, client_address(number))
            homes[number].add(answer["pid"])
            if delivery in ("fd", "node"):
                address = answer["client" if delivery == "fd" else "address"]
                assert address.removeprefix("::ffff:") == client_address(number)
    assert all(len(pids) == 1 for pids in homes.values()), homes
    assert len(set().union(*homes.values())) == 2


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_programs_that_people_use(start, authority, delivery, tmp_path):
    port = start(delivery)
    request = b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for version in ("-tls1_2", "-tls1_3"):
        done = subprocess.run([need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
                               "-CAfile", authority.path, "-verify_return_error", "-quiet", "-ign_eof", version],
                              input=request, capture_output=True, timeout=20, check=False)
        assert b'"pid"' in done.stdout, done.stderr
    for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"):
        done = subprocess.run([need("gnutls-cli"), "--port", str(port), "--x509cafile", authority.path, "--priority", priority,
                               "--logfile", tmp_path / "gnutls", "--sni-hostname", "localhost", "--verify-hostname",
                               "localhost", "127.0.0.1"], input=request, capture_output=True, timeout=20, check=False)
        assert b'"pid"' in done.stdout and done.returncode == 0, (done, (tmp_path / "gnutls").read_text())
    done = subprocess.run([need("curl"), "-sS", "--cacert", authority.path, f"https://localhost:{port}/whoami"],
                          capture_output=True, timeout=20, check=True)
    assert b'"pid"' in done.stdout
    script = f"""
        const WebSocket = require('ws')
        const socket = new WebSocket('wss://localhost:{port}/ws', {{ ca: require('fs').readFileSync('{authority.path}') }})
        socket.on('open', () => socket.send('there and back'))
        let seen = 0
        socket.on('message', text => {{ if (String(text).includes('there and back')) {{ console.log('back'); socket.close() }} }})
        socket.on('error', error => {{ console.error(error); process.exit(1) }})"""
    done = subprocess.run([need_node(), "-e", script], cwd=NODE_DIRECTORY, capture_output=True, timeout=20, check=False)
    assert done.stdout == b"back\n", done.stderr


def test_ecdsa_and_rsa_side_by_side(start, authority):
    port = start("proxy")
    context = authority.client_context(version=ssl.TLSVersion.TLSv1_2)
    shown = set()
    for ciphers in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
        context.set_ciphers(ciphers)
        with tls_client(port, context) as client:
            assert client.cipher()[0] == ciphers
            shown.add(client.getpeercert(True))
    assert len(shown) == 2


def relays(limpet):
    return [child.pid for child in limpet.children() if "@relay" in child.cmdline()[1:2]]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def test_resumption_everywhere(limpet, start, authority, version):
    port = start("proxy", tls="watch_interval = 100ms")
    context = authority.client_context(version=version)
    _, session, resumed = ask(port, context)
    assert not resumed
    for _ in range(12):                 # each of the relays gets some of them
        assert ask(port, context, session=session)[2], "not resumed"
    for pid in relays(limpet):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(relays(limpet)) == 2, 10, "two relays again")
    for _ in range(6):
        assert ask(port, context, session=session)[2], "not resumed after the death of the relays"
    mark = limpet.log_position()
    os.kill(limpet.pid, signal.SIGHUP)
    limpet.wait_log(r"(?i)certificates", after=mark)
    assert ask(port, context, session=session)[2], "not resumed after the files were read again"


def test_a_new_certificate_without_a_dropped_connection(limpet, start, authority):
    """Broken material keeps the old; good material is shown to the next client; sessions of the old one do not resume."""
    port = start("proxy", tls="watch_interval = 50ms")
    context = authority.client_context(version=ssl.TLSVersion.TLSv1_3)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    certificate, key = authority.directory / "site-ec.crt", authority.directory / "site-ec.key"

    def shown():
        with tls_client(port, context) as client:
            der = client.getpeercert(True)
        return ssl.DER_cert_to_PEM_cert(der)

    old = shown()
    _, session, _ = ask(port, context)
    with TlsHttp(port, context) as kept:
        first = kept.get_json()["pid"]
        mark = limpet.log_position()
        good = certificate.read_text()
        certificate.write_text(good.replace("MII", "MIX", 1))
        limpet.wait_log(r"(?i)WARNING.*site-ec\.crt", after=mark)
        assert shown() == old
        authority.issue("site-ec", ("localhost", "127.0.0.1"))
        wait_until(lambda: shown() != old, 10, "the new certificate is shown")
        assert not ask(port, context, session=session)[2], "a session of the old certificate was resumed"
        assert kept.get_json()["pid"] == first
    os.chmod(key, 0o644)
    mark = limpet.log_position()
    limpet.wait_log(r"(?i)WARNING.*site-ec\.key.*", after=mark)
    with TlsHttp(port, context) as client:
        client.get_json()


def test_a_browser_by_wss(start, authority, tmp_path):
    """Chromium loads the demo's page by https and keeps its WebSocket; the page says that it came by TLS."""
    selenium = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service
    from test_page import CHROMIUM
    port = start("fd")
    public = subprocess.run(f"openssl x509 -in {authority.directory}/site-ec.crt -noout -pubkey | openssl pkey -pubin -outform der"
                            " | openssl dgst -sha256 -binary", shell=True, capture_output=True, check=True).stdout
    options = selenium.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in [*CHROMIUM, f"--user-data-dir={tmp_path}/profile",
                     f"--ignore-certificate-errors-spki-list={base64.b64encode(public).decode()}"]:
        options.add_argument(argument)
    browser = selenium.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get(f"https://127.0.0.1:{port}/")
        wait_until(lambda: browser.find_element("id", "state").text == "connected", 30, "the page's WebSocket is open")
        browser.find_element("id", "text").clear()
        browser.find_element("id", "text").send_keys("hello")
        browser.find_element("id", "send").click()
        wait_until(lambda: browser.find_element("id", "echo").text.startswith("hello came back"), 10, "the echo")
    finally:
        browser.quit()


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's shadow of the memory is gigabytes; the plain build is searched")
def test_no_key_where_none_belongs(limpet, start, authority):
    """The private parts of the keys are in the relays alone: supervisor, acceptor and warden are searched, all of
    their memory (FAULTS 84)."""
    port = start("fd")
    ask(port, authority.client_context())
    secrets = []
    for kind in ("ec", "rsa"):
        text = subprocess.run(["openssl", "pkey", "-in", authority.directory / f"site-{kind}.key", "-noout", "-text"],
                              capture_output=True, text=True, check=True).stdout
        for name in ("priv", "privateExponent", "prime1", "prime2"):
            match = re.search(rf"^{name}:\n((?:    .*\n)+)", text, re.M)
            if match:
                number = bytes.fromhex(re.sub(r"[\s:]", "", match.group(1))).lstrip(b"\0")
                secrets += [number[:32], number[:32][::-1], number[-32:], number[-32:][::-1]]
    secrets += [line.encode() for kind in ("ec", "rsa")
                for line in (authority.directory / f"site-{kind}.key").read_text().splitlines()[1:3]]
    assert len(secrets) > 8
    holders = {"supervisor": limpet.pid, "acceptor": limpet.acceptor_pid(), "warden": limpet.warden_pid()}
    for role, pid in holders.items():
        assert not [secret for secret in secrets if secret in memory(pid)], f"a key is in the memory of the {role}"


def memory(pid):
    """All readable memory of a process."""
    found = bytearray()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as content:
        for line in maps:
            area, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in area.split("-"))
            if "r" not in rights or end - begin > 1 << 30:
                continue
            content.seek(begin)
            try:
                found += content.read(end - begin)
            except OSError:
                continue
    return bytes(found)


