"""Worry: the first thing that a stranger meets is a start that fails, with a message that does not help him, or with
something left running.

Each failure is one line that names the thing, says what is wrong with it and what to do next; the exit code is 1 (2 where the
configuration itself is wrong), and no process, no socket and no pid file is left.
SPDX-License-Identifier: ISC
"""
import os
import re
import shutil
import socket
import stat

import pytest

from limpet import BINARY, free_port, wait_until

NOBODY = 65534


def config(port, limits="", more="", command=f"{BINARY} @demo", bind=None):
    return f"""
[limpet]
{limits}
[listen:web]
bind = {bind or f'127.0.0.1:{port}'}
[pool:web]
command = {command}
instances = 2
{more}"""


def fails(limpet, text, code=1, **run):
    """Starts it, expects it to fail with the code; returns what it said, without time and place."""
    for name in ("state", "run"):
        os.makedirs(limpet.path(name), exist_ok=True)
    done = limpet.run("-c", limpet.write_config(text), seconds=15, **run)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    wait_until(lambda: not limpet.processes(), 5, lambda: f"left over: {limpet.processes()}")
    lines = [line for line in done.stderr.splitlines() if " ERROR " in line or line.startswith("limpet: ")]
    assert len(lines) == 1, done.stderr
    return re.sub(r"^.*?(ERROR supervisor|limpet): ", "", lines[0])


def test_the_port_is_in_use(limpet):
    """By a program that has a name and a pid; /proc tells both."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = fails(limpet, config(port))
    with open("/proc/self/comm", encoding="utf-8") as file:
        name = file.read().strip()
    assert said == (f"cannot start: 127.0.0.1:{port} is in use by {name} (pid {os.getpid()}): "
                    "stop it or take another port")


def test_the_port_is_in_use_by_another_limpet(limpets):
    port = free_port()
    first, second = limpets(), limpets()
    first.start(config(port))
    said = fails(second, config(port))
    assert said == (f"cannot start: 127.0.0.1:{port} is in use by limpet (pid {first.pid}): "
                    "stop it or take another port")


def test_a_second_address_is_in_use(limpet):
    """The first one was open already: it must be free again."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "is in use" in fails(limpet, config(0, bind=f"127.0.0.1:{free}\n"
                                                           f"bind = 127.0.0.1:{other.getsockname()[1]}"))
    socket.create_server(("127.0.0.1", free)).close()


def test_a_unix_path_is_in_use(limpet):
    path = limpet.path("socket")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        said = fails(limpet, config(0, bind=f"unix:{path}"))
        assert re.fullmatch(rf"cannot start: unix:{path} is in use by .+ \(pid {os.getpid()}\): "
                            "stop it or take another path", said)
    assert stat.S_ISSOCK(os.stat(path).st_mode)     # it is not ours to remove


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_port_needs_a_privilege(limpet):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 81:
            pytest.skip("this machine lets everybody open low ports")
    for name in ("state", "run"):
        os.makedirs(limpet.path(name), exist_ok=True)
        os.chown(limpet.path(name), NOBODY, NOBODY)
    shutil.copy(BINARY, limpet.path("program"))
    limpet.binary = limpet.path("program")
    said = fails(limpet, config(81, command=f"{limpet.binary} @demo"), user=NOBODY, group=NOBODY, extra_groups=[])
    assert said == ("cannot start: 127.0.0.1:81: port 81 needs root or CAP_NET_BIND_SERVICE: start as root, or "
                    "setcap cap_net_bind_service=+ep on the limpet binary, or use a systemd socket, or "
                    "sysctl net.ipv4.ip_unprivileged_port_start=81")


def test_an_address_of_another_machine(limpet):
    said = fails(limpet, config(0, bind="192.0.2.1:8080"))
    assert said == ('cannot start: 192.0.2.1:8080 is not an address of this machine: "ip address" lists those that are, '
                    "*:8080 takes them all") or ":8080 takes them all" in said


@pytest.mark.parametrize("command, more, said", [
    ("no-such-program --port 1", "", 'cannot start: pool web: command: there is no "no-such-program" in PATH'),
    ("/no/such/program", "", "cannot start: pool web: command: /no/such/program: No such file or directory"),
    ("/proc/version", "", "cannot start: pool web: command: /proc/version: Permission denied"),
    ("/etc", "", "cannot start: pool web: command: /etc: Is a directory"),
    (f"{BINARY} @demo", "directory = /no/such/place",
     "cannot start: pool web: directory /no/such/place: No such file or directory"),
    (f"{BINARY} @demo", "directory = /etc/hostname", "cannot start: pool web: directory /etc/hostname: Not a directory"),
])
def test_the_program_cannot_be_started(limpet, command, more, said):
    assert fails(limpet, config(free_port(), command=command, more=more)).startswith(said)


def test_an_unknown_user_of_a_pool(limpet):
    said = fails(limpet, config(free_port(), more="user = no-such-user"), code=2)
    assert "limpet.ini:" in said and '"no-such-user"' in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the acceptor a user")
def test_an_unknown_user_of_the_acceptor(limpet):
    said = fails(limpet, config(free_port(), limits="user = no-such-user"), code=2)
    assert '"no-such-user"' in said


def test_the_seed_is_no_secret(limpet):
    path = limpet.write("seed", "0123456789abcdef\n")
    os.chmod(path, 0o644)
    text = config(free_port(), limits=f"seed_file = {path}")
    assert fails(limpet, text) == (f"cannot start: seed_file {path} can be read or written by others (mode 0644): "
                                   f"chmod 600 {path}")
    os.chmod(path, 0o600)
    limpet.start(text)      # what it said to do helps


def test_a_seed_that_is_none(limpet):
    path = limpet.write("seed", "hello\n")
    os.chmod(path, 0o600)
    assert fails(limpet, config(free_port(), limits=f"seed_file = {path}")) == (
        f"cannot start: seed_file {path} must hold 16 hex digits and nothing else: remove it, and a new one is made")


def test_it_runs_already(limpets):
    first, second = limpets(), limpets()
    path = first.path("pid")
    first.start(config(free_port(), limits=f"pid_file = {path}"))
    assert fails(second, config(free_port(), limits=f"pid_file = {path}")) == (
        f"cannot start: pid_file {path} is locked: limpet already runs as pid {first.pid}")
    with open(path, encoding="ascii") as file:
        assert int(file.read()) == first.pid
    assert first.stop() == 0
    assert not os.path.exists(path)


def test_a_pid_file_that_is_something_else(limpet):
    path = limpet.write("notes", "do not lose this\n")
    assert fails(limpet, config(free_port(), limits=f"pid_file = {path}")) == (
        f"cannot start: pid_file {path} holds something else than a process id: take another path")
    with open(path, encoding="ascii") as file:
        assert file.read() == "do not lose this\n"


def test_the_runtime_directory_is_open_to_others(limpet):
    """Whoever may write there could put his own socket in the place of ours."""
    path = limpet.path("open")
    os.mkdir(path)
    os.chmod(path, 0o777)
    said = fails(limpet, config(free_port(), limits=f"runtime_directory = {path}"))
    assert said == (f"cannot start: runtime_directory {path} can be written by others (mode 0777): chmod go-w {path}, "
                    "or name another directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a directory away")
def test_the_runtime_directory_is_somebody_elses(limpet):
    path = limpet.path("his")
    os.mkdir(path)
    os.chown(path, NOBODY, NOBODY)
    said = fails(limpet, config(free_port(), limits=f"runtime_directory = {path}"))
    assert said == (f"cannot start: runtime_directory {path} belongs to uid {NOBODY} and not to us (uid 0): "
                    "name another directory")


def test_the_log_cannot_be_opened(limpet):
    said = fails(limpet, config(free_port(), limits="log_file = /no/such/place/log"))
    assert said == "cannot start: log_file /no/such/place/log cannot be opened: No such file or directory"


def test_the_configuration_is_wrong(limpet):
    """Exit code 2, with file and line, and nothing was touched."""
    port = free_port()
    said = fails(limpet, config(port, more="instnaces = 3"), code=2)
    assert re.fullmatch(r'.*limpet\.ini:\d+: .*"?instnaces"?.*instances.*', said), said


def test_a_detached_start_says_so_too(limpet):
    """-d: the parent waits, and ends with the code of the failure."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        text = config(other.getsockname()[1])
        done = limpet.run("-d", "-c", limpet.write_config(text))
    assert done.returncode == 1
    assert "is in use by" in done.stderr
    assert not limpet.processes()
