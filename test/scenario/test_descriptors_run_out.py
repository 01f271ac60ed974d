"""Worry: the acceptor runs out of descriptors, and spins at full speed, or never accepts again, or forgets established
connections.

The acceptor may open 128 files. One worker is stopped and 1,000 of its clients come: the acceptor fills up with clients that are
not acknowledged. It uses hardly any processor time, connections that were handed over go on, and as soon as the worker
goes on, everybody who still waits is served. SPDX-License-Identifier: ISC
"""
import os
import resource
import signal
import time

from client import WebSocket, connect_from
from crowd import addresses_of
from limpet import cpu_seconds, free_port, is_sanitized, wait_until, web_config

CLIENTS = 1000


def ask(port, source):
    connection = connect_from(source, port, seconds=60)
    connection.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    connection.setblocking(False)
    return connection


def collect(pending, answers):
    """Reads what has come; moves finished connections from `pending` to `answers`."""
    for connection in list(pending):
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            data = b""
        pending.remove(connection)
        answers.append(data.startswith(b"HTTP/1.1 200"))
        connection.close()
    return not pending


def test_the_acceptor_does_not_spin_and_recovers(limpet):
    port = free_port()
    # The acceptor's limit is set from outside: that needs its user to be ours.
    user = "user = root" if os.geteuid() == 0 else ""
    limpet.start(web_config(port, limits=user, more="stall_timeout = 0\nqueue_timeout = 60s"))
    stopped, other = addresses_of(port, 0, 1)[0], addresses_of(port, 1, 1)[0]
    echo = WebSocket(port, source=other)
    echo.receive_json()
    acceptor = limpet.acceptor_pid()
    resource.prlimit(acceptor, resource.RLIMIT_NOFILE, (128, 128))
    os.kill(limpet.workers()[0], signal.SIGSTOP)
    pending = [ask(port, stopped) for _ in range(CLIENTS)]
    limpet.wait_counters(lambda c: c["accept_pauses"] > 0)
    before, begin = cpu_seconds(acceptor), time.monotonic()
    echoes = 0
    while time.monotonic() < begin + 5:
        echo.echo(f"number {echoes}")
        echoes += 1
    share = (cpu_seconds(acceptor) - before) / (time.monotonic() - begin)
    assert share < (0.15 if is_sanitized() else 0.03), f"the acceptor uses {share:.1%} of a processor"
    assert echoes > 100
    assert len(limpet.log_lines("accepting pauses")) <= 12, "about one line per second"
    assert len(os.listdir(f"/proc/{acceptor}/fd")) <= 128
    os.kill(limpet.workers()[0], signal.SIGCONT)
    answers = []
    wait_until(lambda: collect(pending, answers), 60, lambda: f"{len(pending)} clients are still waiting")
    assert answers.count(True) == CLIENTS
    assert limpet.acceptor_pid() == acceptor
    limpet.wait_counters(lambda c: c["held"] == 0 and c["unacknowledged"] == 0)
    echo.close()


def test_the_listening_socket_is_heard_again_at_once(limpet):
    """The same with connections that are refused at the limit: nothing else has to happen before it accepts again."""
    port = free_port()
    limpet.start(web_config(port, listen="max_connections = 20"))
    held = [WebSocket(port) for _ in range(20)]
    waiting = ask(port, None)
    limpet.wait_counters(lambda c: c["limit_pauses"] > 0)
    try:
        assert waiting.recv(1) is None, "the 21st is not accepted"
    except BlockingIOError:
        pass
    held.pop().close()
    answers = []
    wait_until(lambda: collect([waiting], answers), 10, "the waiting client is served")
    assert answers == [True]
    for websocket in held:
        websocket.close()


