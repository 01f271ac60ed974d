"""The worry: do all workers that we ship keep the contract of limpet_worker(3), also at its edges?

The story: a worker is started with a link and nothing else. It says that it is ready, gets clients from us,
acknowledges each before it reads a byte of his, survives everything that a link may bring (a full link, a full
descriptor table, TLVs of a later Limpet), and when the link ends it serves those whom it has and leaves with
status 0. Whoever copies an example copies this behaviour.
SPDX-License-Identifier: ISC
"""
import os
import signal
import socket

import pytest

from link_player import NOT_ARRIVED, LinkPlayer, header, tlv, wait_until
from workers import LINK_EXAMPLES, command_of


@pytest.fixture(params=("demo", *LINK_EXAMPLES))
def command(request, tmp_path_factory):
    return command_of(request.param, tmp_path_factory.getbasetemp())


@pytest.fixture
def worker(command, tmp_path):
    with open(tmp_path / "worker.log", "wb") as log, LinkPlayer(command, log=log) as player:
        yield player


@pytest.fixture
def path(command):
    return "/whoami" if command[-1] == "@demo" else "/"


def serve(worker, path, **header_arguments):
    client = worker.new_client()
    client.ask(path)
    client_id = worker.hand_over(client, **header_arguments)
    assert worker.record() == client_id
    client.let_go()
    return client.read_json()


@pytest.mark.parametrize("source, shown", [
    (("192.0.2.7", 5555), "192.0.2.7"),
    (("2001:db8::5", 5555), "2001:db8::5"),
    (None, "unix"),
])
def test_a_client_is_who_the_header_says(worker, path, source, shown):
    """Behind another proxy the socket's own peer is that proxy: the header knows better."""
    worker.wait_ready()
    target = ("::1", 3000) if source and ":" in source[0] else ("127.0.0.1", 3000)
    answer = serve(worker, path, source=source, target=target)
    assert (answer["client"], answer["slot"], answer["pid"]) == (shown, 3, worker.pid)


def test_tlvs_of_a_later_limpet_are_skipped(worker, path):
    """ALPN, SSL and whatever else will come, before and after the id, empty and long."""
    worker.wait_ready()
    answer = serve(worker, path, before=tlv(0x01, b"h2") + tlv(0xE0, b""), after=tlv(0x20, b"\5" * 1500))
    assert answer["pid"] == worker.pid


def test_the_acknowledgement_comes_before_the_first_read(worker, path):
    """The link to Limpet is full, so the acknowledgement has to wait; until it is out the request stays unread,
    for if the worker died now another one would get it."""
    assert worker.record() == bytes(8)
    client = worker.new_client()
    client.ask(path)
    wait_until(lambda: client.unread() > 0, what="the request's arrival")
    asked, junk = client.unread(), 0
    with pytest.raises(BlockingIOError):
        while True:
            worker.worker_end.send(b"junk")
            junk += 1
    client_id = worker.hand_over(client)
    wait_until(lambda: not readable(worker.worker_end), what="the worker's taking the record")
    wait_until(worker.threads_sleep, what="the worker's waiting for the link")
    assert client.unread() == asked
    assert [worker.record() for _ in range(junk)] == [b"junk"] * junk
    assert worker.record() == client_id
    worker.forget_worker_end()
    client.let_go()
    assert client.read_json()["pid"] == worker.pid


def readable(sock):
    """Is there a record that nobody has received?"""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def test_a_full_descriptor_table_refuses_the_client(worker, path):
    """The kernel delivers the bytes and drops the socket without an error. The client must not be lost: he is
    refused by name, goes elsewhere, and the worker serves again as soon as there is room."""
    worker.wait_ready()
    sockets = worker.socket_count()
    serve(worker, path)  # whatever else is opened at the first client is open now
    wait_until(lambda: worker.socket_count() == sockets, what="the worker's closing the first client")
    limits = worker.fill_descriptor_table()
    client = worker.new_client()
    client.ask(path)
    client_id = worker.hand_over(client)
    assert worker.record() == client_id + bytes([NOT_ARRIVED])
    assert client.unread() > 0
    worker.restore_descriptor_table(limits)
    client_id = worker.hand_over(client)
    assert worker.record() == client_id
    client.let_go()
    assert client.read_json()["pid"] == worker.pid


def test_a_record_without_a_socket_is_refused(worker, path):
    worker.wait_ready()
    client_id = worker.new_id()
    worker.send(header(client_id))
    assert worker.record() == client_id + bytes([NOT_ARRIVED])
    assert serve(worker, path)["pid"] == worker.pid


def test_surplus_descriptors_are_not_kept(command, worker, path):
    """One socket per record is the contract; a second one must not stay open in the worker for ever."""
    if command[-1].endswith("plain.js"):
        pytest.skip("Node's pipe keeps a second descriptor for the next read; nothing in JavaScript can reach it")
    worker.wait_ready()
    client, other = worker.new_client(), worker.new_client()
    client.ask(path)
    client_id = worker.new_id()
    worker.send(header(client_id), client.handed, other.handed)
    assert worker.record()[:8] == client_id
    client.handed.close()
    other.handed.close()
    assert other.socket.recv(1) == b""


def test_a_client_who_leaves_at_once_costs_nothing(worker, path):
    worker.wait_ready()
    for _ in range(20):
        client = worker.new_client()
        client.socket.close()
        client_id = worker.hand_over(client)
        assert worker.record() == client_id
        client.let_go()
    assert serve(worker, path)["pid"] == worker.pid


def test_the_end_of_the_link_lets_clients_finish(worker, path):
    """Limpet stops the worker gently: a client who was handed over, but has not spoken yet, is still served;
    then the worker leaves by itself, with status 0."""
    worker.wait_ready()
    clients = [worker.new_client() for _ in range(5)]
    for client in clients:
        client_id = worker.hand_over(client)
        assert worker.record() == client_id
        client.let_go()
    worker.end_link()
    for client in clients:
        client.ask(path)
        assert client.read_json()["pid"] == worker.pid
        client.close()
    assert worker.wait_exit() == 0


def test_limpet_vanishes_with_answers_unread(command, worker, path):
    """Limpet is killed while three clients wait on the link and the worker's word is unread. The worker meets an
    error instead of the end, and must not take it for one: the clients have nobody else."""
    if command[-1].endswith("plain.js"):
        pytest.skip("libuv reads no more from a pipe after an error, so those three are lost with Limpet")
    wait_until(lambda: readable(worker.link), what="the worker's first word")
    os.kill(worker.pid, signal.SIGSTOP)
    clients = [worker.new_client() for _ in range(3)]
    for client in clients:
        client.ask(path)
        worker.hand_over(client)
    worker.vanish()
    os.kill(worker.pid, signal.SIGCONT)
    for client in clients:
        assert client.read_json()["pid"] == worker.pid
    assert worker.wait_exit() == 0


def test_the_end_of_the_link_without_clients_ends_the_worker(worker):
    worker.wait_ready()
    worker.end_link()
    assert worker.wait_exit() == 0


def test_a_queue_of_clients_is_served_once_each(worker, path):
    """Two hundred wait on the link before the worker reads: each gets one acknowledgement and one answer."""
    worker.wait_ready()
    clients = {}
    for number in range(200):
        client = worker.new_client()
        client.ask(path)
        clients[worker.hand_over(client, source=("192.0.2.9", 1000 + number))] = client
    answers = [worker.record() for _ in clients]
    assert sorted(answers) == sorted(clients)
    for client in clients.values():
        client.let_go()
        assert client.read_json()["client"] == "192.0.2.9"
