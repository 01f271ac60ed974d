"""Worry: under systemd, Limpet opens a port a second time instead of taking the one that it was given, or never says that it is
ready, or hands systemd's variables and sockets on to the workers, who then speak for it.

A test plays systemd: it holds the listening socket across lives of Limpet, so that no client is refused between two of them, and
reads what is told on NOTIFY_SOCKET. SPDX-License-Identifier: ISC
"""
import os
import shutil
import signal
import socket
import sys

import pytest

from client import http_get
from crowd import answered, unread_requests
from limpet import BINARY, client_address, descriptors, free_port, wait_until
from odd_worker import COMMAND

ODD = " ".join(COMMAND)

# What systemd does between fork and exec: descriptors from 3 on, and the pid that they are meant for.
LAUNCHER = """
import os, sys
sockets = [int(number) for number in sys.argv[1].split(",")]
spare = [os.dup(number) for number in sockets]
for place, number in enumerate(spare, 3):
    os.dup2(number, place)
    os.set_inheritable(place, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(sockets))
os.environ["LISTEN_FDNAMES"] = ":".join(["web"] * len(sockets))
os.execv(sys.argv[2], sys.argv[2:])
"""


def config(binds, command=ODD, instances=1, limits=""):
    lines = "\n".join(f"bind = {bind}" for bind in binds)
    return f"""
[limpet]
{limits}
[listen:web]
{lines}
[pool:web]
command = {command}
instances = {instances}
"""


def start_with(limpet, sockets, text, **start):
    program, limpet.binary = limpet.binary, sys.executable
    numbers = [s.fileno() for s in sockets]
    try:
        limpet.start(["-c", LAUNCHER, ",".join(map(str, numbers)), program, "-c", limpet.write_config(text)],
                     pass_fds=numbers, **start)
    finally:
        limpet.binary = program


class Manager:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path, self.heard = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)

    def has_heard(self, line):
        try:
            while True:
                self.heard += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return line in self.heard

    def wait(self, line):
        """Waits for the line, and forgets what came before it."""
        wait_until(lambda: self.has_heard(line), 20, lambda: f"{line!r} in {self.heard}")
        del self.heard[:self.heard.index(line) + 1]


@pytest.fixture
def manager(limpet):
    return Manager(limpet.path("systemd"))


def test_sockets_are_adopted_and_survive(limpet):
    """IPv4, dual-stack and UNIX. While Limpet is down clients queue, and the next life serves them."""
    plain = socket.create_server(("127.0.0.1", 0))
    dual = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    local = socket.socket(socket.AF_UNIX)
    path = limpet.path("socket")
    local.bind(path)
    local.listen()
    ports = plain.getsockname()[1], dual.getsockname()[1]
    text = config([f"127.0.0.1:{ports[0]}", f":{ports[1]}", f"unix:{path}"])
    for _ in range(2):
        start_with(limpet, [plain, dual, local], text)
        for port in ports:
            assert http_get(port)["slot"] == 0
        assert http_get(ports[1], host="::1")["slot"] == 0
        assert limpet.stop() == 0
        assert os.path.exists(path)     # systemd's path is not ours to remove
    queued = unread_requests(ports[0], client_address(1), 20)
    start_with(limpet, [plain, dual, local], text)
    assert answered(queued) == 20
    for listener in (plain, dual, local):
        listener.close()


def test_a_socket_that_does_not_fit_is_not_taken(limpet):
    """Another port than the configuration's: Limpet opens its own."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = free_port()
        start_with(limpet, [other], config([f"127.0.0.1:{port}"]))
        assert http_get(port)["slot"] == 0
        assert limpet.stop() == 0


def test_variables_for_another_process_are_not_ours(limpet):
    """LISTEN_PID of somebody else, as a program that systemd started hands it on by mistake."""
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"]), env={"LISTEN_PID": "1", "LISTEN_FDS": "3"})
    assert http_get(port)["slot"] == 0


def test_workers_know_nothing_of_systemd(limpet, manager):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        start_with(limpet, [listener], config([f"127.0.0.1:{port}"]),
                   env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1",
                        "INVOCATION_ID": "0123456789abcdef"})
        inode = os.fstat(listener.fileno()).st_ino
        for pid in [limpet.warden_pid(), *limpet.workers().values()]:
            assert f"socket:[{inode}]" not in descriptors(pid).values()
        found = http_get(port, "/environment")
        assert found["NOTIFY_SOCKET"] != manager.path
        strange = [name for name in found if name.startswith(("LISTEN_", "WATCHDOG_", "INVOCATION_"))]
        assert not strange
        assert limpet.stop() == 0


def test_systemd_is_told(limpet, manager):
    """Ready only when the workers are; a death shows in the status; a stop is announced."""
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"], f"{ODD} wait-for=go-%i", 2), env={"NOTIFY_SOCKET": manager.path},
                 ready=False)
    wait_until(lambda: len(limpet.workers()) == 2)
    limpet.write("go-0", "")
    limpet.wait_log("web/0: ready")
    assert not manager.has_heard("READY=1")
    limpet.write("go-1", "")
    manager.wait("READY=1")
    manager.wait(f"MAINPID={limpet.pid}")
    manager.wait("STATUS=2 of 2 workers ready")
    os.remove(limpet.path("go-1"))
    limpet.kill_worker(1)
    manager.wait("STATUS=1 of 2 workers ready")
    limpet.write("go-1", "")
    manager.wait("STATUS=2 of 2 workers ready")
    assert "STOPPING=1" not in manager.heard
    assert limpet.stop() == 0
    manager.wait("STOPPING=1")


def test_a_manager_that_has_gone_stops_nothing(limpet, manager):
    port = free_port()
    limpet.start(config([f"127.0.0.1:{port}"], f"{BINARY} @demo"), env={"NOTIFY_SOCKET": manager.path})
    manager.socket.close()
    limpet.wait_worker(0, other_than=limpet.kill_worker(0))
    assert http_get(port)["generation"] == 2
    assert limpet.stop() == 0


def test_lines_for_the_journal_have_a_priority(limpet):
    """<5> is a notice for the journal, which cuts it off (sd-daemon(3))."""
    limpet.start(config([f"127.0.0.1:{free_port()}"], f"{ODD} say=hello"), env={"JOURNAL_STREAM": "8:12345"})
    assert limpet.log_lines(r"^<5>.*NOTICE supervisor: ready: ")
    assert limpet.log_lines(r"^<6>.*OUT web/0: hello$")


def test_with_the_real_activator(limpet):
    """systemd-socket-activate(1) listens, and starts Limpet when the first client comes: he is served."""
    activator = shutil.which("systemd-socket-activate")
    if not activator:
        pytest.skip("systemd-socket-activate is not installed")
    port = free_port()
    program, limpet.binary = limpet.binary, activator
    passed = [part for name, value in limpet.environment().items() for part in ("-E", f"{name}={value}")]
    limpet.start(["-l", f"127.0.0.1:{port}", *passed, program, "-c",
                  limpet.write_config(config([f"127.0.0.1:{port}"], f"{BINARY} @demo"))], ready=False)
    limpet.binary = program
    limpet.wait_log("Listening on 127.0.0.1")
    assert http_get(port, seconds=30)["slot"] == 0
    assert limpet.stop(signal.SIGTERM) == 0
