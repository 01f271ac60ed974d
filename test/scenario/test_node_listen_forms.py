"""The worry: Limpet is not the transparent primary that it claims to be: some form of listen() binds elsewhere, prints
another address, or fails with another error than under Node's own cluster primary.

An application tries twenty forms of listen() and writes down what became of each: the address that server.address()
gives, or the error's code and system call. The same application runs under Node's own primary and under Limpet, on five
versions of Node. What its workers write must be the same, and within each primary all workers must write the same. Then
what is shared whole (UDP, a path) must be reachable, with the file mode that was asked for.
SPDX-License-Identifier: ISC
"""
import contextlib
import json
import os
import socket
import stat
import subprocess

import pytest

from limpet import free_port, wait_until
from node_apps import VERSIONS, OwnPrimary, app, certificate, need_node, run_arguments

WORKERS = 2
BUSY = 7            # forms.js: the port that somebody else has
FORMS = 12          # ports that it uses


def written(directory):
    """What each worker wrote down, in a form that can be compared."""
    files = [os.path.join(directory, f"worker{number}.json") for number in range(1, WORKERS + 1)]
    wait_until(lambda: all(os.path.exists(file) for file in files), 60, "the workers' results")
    results = []
    for file in files:
        with open(file, encoding="utf-8") as text:
            results.append(json.load(text))
    return results


def normalised(results, first, directory):
    """Ports relative to the first one; the kernel's choices just as such."""
    def relative(value):
        if isinstance(value, dict) and "port" in value:
            is_ours = first <= value["port"] < first + FORMS
            return {**value, "port": value["port"] - first if is_ours else "some"}
        return value.replace(directory, "") if isinstance(value, str) else value
    return {name: relative(value) for name, value in results.items()}


@contextlib.contextmanager
def busy(port):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        yield


def under_node(directory, first, files, version):
    os.mkdir(directory)
    with busy(first + BUSY), OwnPrimary("forms", directory, first, *files, workers=WORKERS, version=version):
        return written(directory)


def under_limpet(limpet, directory, first, files, version):
    os.mkdir(directory)
    with busy(first + BUSY):
        limpet.start(run_arguments("forms", directory, first, *files, workers=WORKERS, version=version))
        return written(directory)


@pytest.mark.parametrize("version", VERSIONS)
def test_same_as_under_nodes_own_primary(limpet, version):
    files = certificate(limpet.directory)
    own_first, our_first = free_port(FORMS), free_port(FORMS)
    own_directory, our_directory = limpet.path("own"), limpet.path("ours")
    own = under_node(own_directory, own_first, files, version)
    ours = under_limpet(limpet, our_directory, our_first, files, version)
    assert ours[0] == ours[1], "the workers of one pool get the same, also the kernel's choice of a port"
    expected = normalised(own[0], own_first, own_directory)
    assert expected["port"] == {"address": "::", "family": expected["port"]["family"], "port": 0}
    assert expected["port again"]["error"] == "EADDRINUSE"
    assert normalised(ours[0], our_first, our_directory) == expected
    mode = os.stat(os.path.join(our_directory, "a.sock")).st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o666 == 0o666


def test_refused_without_adopt_ports(limpet):
    """Without adopt_ports an application gets what is configured, EACCES for the rest, and one line of advice."""
    port, other = free_port(), free_port()
    limpet.start(f"[pool:web]\ncommand = {need_node()} {app('udp_and_path')} {other} {limpet.path('a.sock')}\n"
                 "instances = 1\nready = started\nrestart_delay = 10s\n"
                 f"[listen:front]\nbind = 127.0.0.1:{port}\n")
    limpet.wait_log(r"WARNING web: .*UDP port \d+ of 127.0.0.1, .*adopt_ports = on in \[pool:web\]")
    limpet.wait_log("bind EACCES")


def ask_udp(port, text):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(text, ("127.0.0.1", port))
        pid, _, said = client.recvfrom(2048)[0].partition(b" ")
        return int(pid), said


def test_udp_and_path_are_served(limpet):
    port, path = free_port(), limpet.path("a.sock")
    limpet.start(run_arguments("udp_and_path", port, path, workers=WORKERS))
    for _ in range(10):
        pid, said = ask_udp(port, b"hello")
        assert said == b"hello" and pid in limpet.workers().values()
    done = subprocess.run(["curl", "-s", "--unix-socket", path, "http://localhost/"], stdout=subprocess.PIPE,
                          timeout=20, check=True)
    assert json.loads(done.stdout)["pid"] in limpet.workers().values()


def test_udp_and_path_survive_the_acceptor(limpet):
    """A worker that starts after the acceptor was replaced gets the same sockets."""
    port, path = free_port(), limpet.path("a.sock")
    limpet.start(run_arguments("udp_and_path", port, path, workers=WORKERS))
    acceptor = limpet.acceptor_pid()
    os.kill(acceptor, 9)
    wait_until(lambda: limpet.acceptor_pid() not in (None, acceptor), 10, "a new acceptor")
    for slot in range(WORKERS):
        after = limpet.log_position()
        limpet.wait_worker(slot, other_than=limpet.kill_worker(slot))
        limpet.wait_log(rf"app/{slot}: ready after", after=after)
    assert ask_udp(port, b"again")[0] in limpet.workers().values()
    assert not limpet.log_lines("EADDRINUSE|EACCES")
