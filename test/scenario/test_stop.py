"""Worry: stopping cuts answers, hangs, leaves something running or says that it failed.

TERM lets every client who was accepted be served and takes no new one; a second TERM stops waiting; INT is short; QUIT waits
without a deadline; a worker that ignores its signal is killed. Every ordered stop ends with exit code 0 and with nothing left,
also during the start, under load, and as process 1 of a container, where orphans are ours to reap.
SPDX-License-Identifier: ISC
"""
import contextlib
import os
import signal
import threading

import psutil
import pytest

from client import HttpClient, WebSocket, WebSocketClosed
from crowd import answered, unread_requests
from limpet import BINARY, client_address, free_port, is_alive, is_sanitized, wait_until, web_config
from node_apps import can_connect, need_node
from odd_worker import COMMAND
from test_supervisor_dies import SLOW_NODE, rest_of, slow_request

ODD = " ".join(COMMAND)


def config(port, command, instances=2, limits="", more=""):
    return web_config(port, command, instances, limits, more=more)


def command_of(limpet, kind):
    return f"{need_node()} {limpet.write('app.js', SLOW_NODE)}" if kind == "node" else ODD


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_term_lets_a_running_answer_finish(limpet, kind):
    port = free_port()
    limpet.start(config(port, command_of(limpet, kind)))
    slow = [slow_request(port, client_address(n)) for n in range(6)]
    limpet.send_signal(signal.SIGTERM)
    limpet.wait_log("SIGTERM: stopping; the workers have 60.0 s for their clients")
    wait_until(lambda: not can_connect(port), 10, "the port's being closed")
    assert limpet.is_running()
    limpet.write("finish", "")
    assert [rest_of(connection) for connection in slow] == [b"ended"] * 6
    assert limpet.wait_exit() == 0


def test_term_ends_at_drain_timeout(limpet):
    """The client does not go. He is told so: the demo's WebSocket ends with a close frame."""
    port = free_port()
    limpet.start(config(port, f"{BINARY} @demo", limits="drain_timeout = 500ms"))
    socket = WebSocket(port)
    socket.receive_json()
    assert limpet.stop() == 0
    with pytest.raises(WebSocketClosed, match="1001"):
        socket.receive()


def test_a_second_term_stops_now(limpet):
    """Clients who stay, and workers that ignore the signal: the second TERM ends both within its second."""
    port = free_port()
    limpet.start(config(port, f"{ODD} ignore-term", more="stop_timeout = 600s"))
    client = HttpClient(port)
    client.get_json()
    limpet.send_signal(signal.SIGTERM)
    limpet.wait_log("SIGTERM: stopping")
    assert client.get_json()
    assert limpet.stop() == 0
    assert limpet.log_lines("told again: stopping now")
    client.close()


def test_interrupt_is_short(limpet):
    port = free_port()
    limpet.start(config(port, f"{ODD} ignore-term", limits="interrupt_timeout = 100ms", more="stop_timeout = 600s"))
    client = HttpClient(port)
    client.get_json()
    assert limpet.stop(signal.SIGINT) == 0
    assert limpet.log_lines("SIGINT: stopping; the workers have 0.1 s")
    client.close()


def test_quit_waits_for_the_last_client(limpet):
    """drain_timeout is shorter than the client's stay, and does not count."""
    port = free_port()
    limpet.start(config(port, f"{BINARY} @demo", limits="drain_timeout = 1ms\ninterrupt_timeout = 1ms"))
    socket = WebSocket(port)
    pid = socket.receive_json()["pid"]
    others = set(limpet.workers().values()) - {pid}
    limpet.remember_processes()
    limpet.send_signal(signal.SIGQUIT)
    wait_until(lambda: not any(is_alive(other) for other in others), 10, "the idle worker's end")
    for number in range(50):
        socket.echo(f"still here {number}")
    socket.close()
    assert limpet.wait_exit() == 0


def test_a_worker_that_ignores_the_signal_is_killed(limpet):
    port = free_port()
    limpet.start(config(port, f"{ODD} ignore-term grandchild", limits="drain_timeout = 100ms",
                        more="stop_timeout = 300ms"))
    client = HttpClient(port)
    client.get_json()
    assert limpet.stop() == 0
    assert len(limpet.log_lines("did not end within stop_timeout: killing it")) == 1
    client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("moment", ["at once", "while workers start", "while a worker fails again and again"])
def test_signals_during_the_start(limpet, number, moment):
    command = {"at once": f"{BINARY} @demo", "while workers start": f"{ODD} hang",
               "while a worker fails again and again": "false"}[moment]
    limpet.start(config(free_port(), command, instances=4), ready=False)
    if moment == "at once":
        limpet.wait_log("ready")    # the first child: before it the signals' handlers are not ours to test
    elif moment == "while workers start":
        wait_until(lambda: len(limpet.workers()) == 4)
    else:
        limpet.wait_log("failure 2 in a row")
    assert limpet.stop(number) == 0


class Visitors:
    """Threads that connect and ask until the port is closed: who was let in must be answered whole."""

    def __init__(self, port, threads):
        self.port, self.served, self.cut = port, 0, []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, number):
        while True:
            try:
                connection = unread_requests(self.port, client_address(number), 1)[0]
            except ConnectionRefusedError:
                return
            except OSError as error:
                # The kernel may shut a handshake's door between the client's connect and his request.
                if isinstance(error, (ConnectionResetError, BrokenPipeError)) and not can_connect(self.port):
                    return
                raise
            good = answered([connection])
            with self._lock:
                self.served += good
                if not good:
                    self.cut.append(number)

    def join(self):
        for thread in self._threads:
            thread.join(30)


@pytest.mark.parametrize("kind", ["demo", "node"])
def test_no_answer_is_cut_under_load(limpet, kind):
    """A client whom the acceptor took is served. Only one whose handshake the kernel finished in the instant between the
    last accept and the close of the listener gets a reset: nobody can see him."""
    port = free_port()
    limpet.start(config(port, f"{BINARY} @demo" if kind == "demo" else command_of(limpet, "node"),
                        limits="log_level = debug"))
    visitors = Visitors(port, 6)
    enough = 100 if is_sanitized() else 400
    wait_until(lambda: visitors.served > enough, 60)
    assert limpet.stop() == 0
    visitors.join()
    counters = limpet.counters()
    assert counters["ended_handed_over"] == counters["accepted"]
    assert counters["accepted"] <= visitors.served + len(visitors.cut)
    assert visitors.served >= counters["accepted"], (visitors.cut, counters)


def test_held_clients_are_served_before_the_end(limpet):
    """Forty requests wait for a stopped worker when TERM comes; it wakes up, and all are answered."""
    port = free_port()
    limpet.start(config(port, f"{BINARY} @demo", instances=1, limits="stats_period = 50ms", more="stall_timeout = 0"))
    os.kill(limpet.workers()[0], signal.SIGSTOP)
    waiting = unread_requests(port, client_address(0), 40)
    limpet.wait_counters(lambda c: c["unacknowledged"] == 40)
    limpet.send_signal(signal.SIGTERM)
    limpet.wait_log("SIGTERM: stopping")
    os.kill(limpet.workers()[0], signal.SIGCONT)
    assert answered(waiting) == 40
    assert limpet.wait_exit() == 0


NAMES = ["limpet", "limpet", "limpet-acceptor", "limpet-warden"]

ORPHANS = """
import os, subprocess, sys
for n in range(5):                  # a child of a child: its parent ends, and process 1 inherits it
    subprocess.run(["sh", "-c", "setsid sh -c 'sleep 0.0%d' &" % n])
print("orphans made", flush=True)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own needs root")
def test_as_process_1_of_a_container(limpet):
    """Orphans of workers come to us: none stays a zombie; TERM works though process 1 has no default for it."""
    port = free_port()
    limpet.write("orphans.py", ORPHANS)
    text = config(port, f"/usr/bin/python3 orphans.py {BINARY} @demo")
    inner = limpet.binary
    limpet.binary = "unshare"
    limpet.start(["--pid", "--fork", "--mount-proc", "--kill-child", inner, "-c", limpet.write_config(text)])
    limpet.binary = inner
    process_1 = psutil.Process(limpet.pid).children()[0]
    with open(f"/proc/{process_1.pid}/status", encoding="ascii") as file:
        assert "NSpid:\t%d\t1\n" % process_1.pid in file.read()
    assert len(limpet.log_lines("orphans made")) == 2

    def family():
        """(name, status) of every child; None while an orphan is reaped under our eyes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return sorted((child.name(), child.status()) for child in process_1.children())
        return None
    wait_until(lambda: [name for name, _ in family() or []] == NAMES, 10, lambda: f"children {process_1.children()}")
    assert psutil.STATUS_ZOMBIE not in [status for _, status in wait_until(family)]
    with HttpClient(port) as client:
        worker = client.get_json()
    assert worker["pid"] < 1000
    limpet.remember_processes()
    process_1.send_signal(signal.SIGTERM)
    assert limpet.wait_exit() == 0


def test_signals_that_the_caller_had_blocked(limpet):
    """A program that blocks its signals and starts Limpet must not make it deaf."""
    port = free_port()
    limpet.start(config(port, ODD), preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))
    assert limpet.stop(signal.SIGTERM) == 0



def test_the_exit_code_of_a_detached_start(limpet):
    """-d: the parent ends with 0 when all is up; the process that it left holds nothing of the terminal (here: the pipes
    that run() reads to their end), and obeys TERM."""
    port = free_port()
    pid_file = limpet.path("pid")
    text = config(port, f"{BINARY} @demo", limits=f"log_file = {limpet.log_path}")
    done = limpet.run("-d", "-p", pid_file, "-c", limpet.write_config(text))
    assert done.returncode == 0, done.stderr
    with open(pid_file, encoding="ascii") as file:
        process = psutil.Process(int(file.read()))
    with HttpClient(port) as client:
        assert client.get_json()["slot"] in (0, 1)
    process.terminate()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 10)
    wait_until(lambda: not limpet.processes(), 10, lambda: f"left over: {limpet.processes()}")
    assert not os.path.exists(pid_file)


