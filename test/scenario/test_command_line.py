"""Worry: what a person types does something else than he expects: the background, the pid file, the quiet, the manual.

The letters are those of nginx, HAProxy and PgBouncer. -d returns when the workers are ready and says by its exit code what
became of the start; -t and -T touch nothing; -T prints what -T reads; --help fits a screen. SPDX-License-Identifier: ISC
"""
import os
import signal

import pytest

from client import http_get
from limpet import BINARY, free_port, is_alive, wait_until

CONFIG = """
[limpet]
pid_file = {directory}/limpet.pid
log_file = {directory}/limpet.log
[listen:web]
bind = 127.0.0.1:{port}
[pool:web]
command = {command}
instances = 2
"""


def config(limpet, port, command=f"{BINARY} @demo"):
    return limpet.write("limpet.ini", CONFIG.format(directory=limpet.directory, port=port, command=command))


def test_background_until_told_to_stop(limpet):
    port = free_port()
    for name in ("state", "run"):
        os.makedirs(limpet.path(name))
    started = limpet.run("-d", "-c", config(limpet, port))
    assert started.returncode == 0, started.stderr
    with open(limpet.path("limpet.pid"), encoding="ascii") as file:
        pid = int(file.read())
    try:
        assert pid != os.getpid() and os.getsid(pid) != os.getsid(0)
        assert http_get(port)["pid"], "the workers are ready when the command returns"
        again = limpet.run("-c", limpet.path("limpet.ini"))
        assert again.returncode == 1 and str(pid) in again.stderr, again.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), 20)
    assert not os.path.exists(limpet.path("limpet.pid"))


def test_background_says_that_it_failed(limpet):
    for name in ("state", "run"):
        os.makedirs(limpet.path(name))
    failed = limpet.run("-d", "-c", config(limpet, free_port(), "/nonexistent/program"))
    assert failed.returncode == 1
    assert "/nonexistent/program" in failed.stderr


def test_checking_touches_nothing(limpet):
    port = free_port()
    path = config(limpet, port)
    checked = limpet.run("-t", path)
    assert (checked.returncode, checked.stderr) == (0, f"limpet: configuration {path} is good\n")
    dumped = limpet.run("-T", path)
    assert dumped.returncode == 0 and f"bind = 127.0.0.1:{port}" in dumped.stdout
    again = limpet.run("-T", limpet.write("again.ini", dumped.stdout))
    assert again.stdout == dumped.stdout, "what is printed means the same when it is read"
    assert sorted(os.listdir(limpet.directory)) == ["again.ini", "limpet.ini", "sanitizer"]


@pytest.mark.parametrize("letter,least", [("-q", "WARNING"), ("-v", "DEBUG")])
def test_quiet_and_verbose(limpet, letter, least):
    port = free_port()
    limpet.start(["demo", "-b", f"127.0.0.1:{port}", letter], ready=letter == "-v")
    wait_until(lambda: len(limpet.workers()) == 4, 20)
    wait_until(lambda: served(port), 20)
    if least == "WARNING":
        assert limpet.log() == ""
    else:
        limpet.wait_log(r"DEBUG .*127\.0\.0\.1:\d+.*acknowledged")


def served(port):
    try:
        return http_get(port)["pid"]
    except OSError:
        return None


def test_help_fits_a_screen(limpet):
    lines = limpet.run("--help").stdout.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 100
    version = limpet.run("-V")
    assert version.returncode == 0 and "libevent" in version.stdout


@pytest.mark.parametrize("arguments,sentence", [
    (["run"], "run needs a command"),
    (["run", "-b", ":1", "--"], "run needs a command"),
    (["run", "--", "python3", "x.py"], "limpet run -b :3000 -- python3 x.py"),
    (["run", "-i", "none", "--", "node", "x.js"], "-i"),
    (["demo", "now"], '"now"'),
    (["--nonsense"], "--nonsense"),
    (["-c"], "-c"),
    (["-b", ":80", "x.ini"], "go with run and demo"),
    (["a.ini", "b.ini"], '"b.ini"'),
    (["/nonexistent.ini"], "/nonexistent.ini"),
])
def test_wrong_words(limpet, arguments, sentence):
    answer = limpet.run(*arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("limpet: ") and sentence in answer.stderr, answer.stderr
    assert answer.stderr.count("\n") == 1
