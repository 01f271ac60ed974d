"""Worry: what workers print is lost, unreadable or dangerous: a line of one stops the others, fills the memory or the disk,
or makes the terminal of whoever reads it obey.

Every line is captured, told apart by time, worker and stream, escaped where it is not text, and bounded; a flood costs the
worker that makes it and nobody else; a log that cannot be written, or that nobody reads, never stops the service.
SPDX-License-Identifier: ISC
"""
import json
import os
import re
import signal

import psutil
import pytest

from client import HttpClient, http_get
from crowd import addresses_of
from limpet import free_port, is_sanitized, wait_until, web_config
from odd_worker import COMMAND

ODD = " ".join(COMMAND)
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC"


def config(port, command=ODD, limits="", more="", instances=1):
    return web_config(port, command, instances, limits, more=more)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_bytes(client, data):
    client.get_json(f"/write?{data.hex()}")


def test_lines_say_who_printed_them_and_when(limpet):
    limpet.start(config(free_port(), f"{ODD} 'say=hello from %i' 'complain=oh dear'", instances=2))
    for slot in range(2):
        assert limpet.wait_log(rf"^{TIME} OUT web/{slot}: hello from {slot}$")
        assert limpet.wait_log(rf"^{TIME} ERR web/{slot}: oh dear$")


def test_json_lines_can_be_parsed(limpet):
    """All of them, ours and theirs, whatever the workers print."""
    port = free_port()
    text = 'a "quoted" \\ back\tslash \u00e9 \u2603 \U0001f41a'
    limpet.start(config(port, limits="log_format = json"), ready=False)
    limpet.wait_log('"text":"ready: ')
    with HttpClient(port) as client:
        write_bytes(client, text.encode() + b"\n\xff\xfe\x00\x1b[31m\x7f\n")
    limpet.wait_log(r"x1b|\\u001b")
    lines = [json.loads(line) for line in limpet.log().splitlines()]
    printed = [line for line in lines if line.get("stream") == "stdout"]
    assert [line["text"] for line in printed] == [text, "\\xff\\xfe\\x00\x1b[31m\x7f"]
    assert {line["subject"] for line in printed} == {"web/0"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    assert "\x1b" not in limpet.log()


def test_bytes_that_are_no_text_are_escaped(limpet):
    port = free_port()
    limpet.start(config(port))
    with HttpClient(port) as client:
        write_bytes(client, b"\x1b]0;title\x07 \xc3\x28 ok \xe2\x98\x83 \r\n" + b"next\r\n")
    limpet.wait_log(r"OUT web/0: next$")
    assert limpet.log_lines("OUT web/0: .*ok")[0].endswith(r"\x1b]0;title\x07 \xc3( ok " + "\u2603 ")
    with open(limpet.log_path, "rb") as file:
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", file.read())


def test_a_long_line_comes_in_pieces(limpet):
    """100,000 bytes without a newline, then an ordinary line: nothing is lost, nothing is mixed."""
    port = free_port()
    limpet.start(config(port))
    text = "".join(f"{number:06}," for number in range(100000 // 7))
    with HttpClient(port) as client:
        for begin in range(0, len(text), 20000):
            write_bytes(client, text[begin:begin + 20000].encode())
        write_bytes(client, b"\nafter it\n")
    limpet.wait_log("OUT web/0: after it$")
    pieces = [line.partition("web/0: ")[2] for line in limpet.log_lines("OUT web/0: ")]
    assert "".join(pieces[:-1]) == text
    assert len(pieces) > 10 and max(map(len, pieces)) <= 8192


@pytest.mark.parametrize("how", ["exit", "SIGKILL"])
def test_last_words_are_not_lost(limpet, how):
    """A worker dies with its last 40 lines in the pipe, and no newline at the end; the supervisor was not looking."""
    port = free_port()
    limpet.start(config(port))
    client = HttpClient(port)
    pid = client.get_json()["pid"]
    os.kill(limpet.pid, signal.SIGSTOP)
    for number in range(40):
        client.get_json(f"/say?word-{number}-{'x' * 500}")
    write_bytes(client, b"the very last word")
    if how == "SIGKILL":
        os.kill(pid, signal.SIGKILL)
    else:
        client.connection.request("GET", "/exit?3")
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    os.kill(limpet.pid, signal.SIGCONT)
    limpet.wait_log("OUT web/0: the very last word$")
    limpet.wait_log("killed by SIGKILL" if how == "SIGKILL" else "exited with code 3")
    assert len(limpet.log_lines(r"OUT web/0: word-\d+-")) == 40
    client.close()


def test_a_flood_costs_only_who_makes_it(limpet):
    """One worker prints as fast as it can. The other's clients are served, the supervisor neither grows nor burns the
    processor, and the log gets a bounded share of the flood."""
    port = free_port()
    limpet.start(config(port, instances=2))
    loud, = addresses_of(port, 0, 1)
    quiet, = addresses_of(port, 1, 1)
    http_get(port, "/rubbish", loud)
    limpet.wait_log("yyyy")
    before = psutil.Process(limpet.pid).memory_info().rss
    size, cpu = limpet.log_position(), psutil.Process(limpet.pid).cpu_times()
    count = 0

    def three_megabytes():
        nonlocal count
        assert http_get(port, "/whoami", quiet)["slot"] == 1
        count += 1
        return limpet.log_position() - size > 3 << 20
    wait_until(three_megabytes, 60)
    now = psutil.Process(limpet.pid).cpu_times()
    assert count > 20       # answers of the other worker while three seconds' worth of rubbish was logged
    if not is_sanitized():
        assert psutil.Process(limpet.pid).memory_info().rss - before < 8 << 20
        assert now.user + now.system - cpu.user - cpu.system < 1
    assert limpet.stop(signal.SIGINT) == 0


def test_usr1_opens_the_log_again(limpet):
    """logrotate: rename, USR1; nothing goes to the old file any more, no line is lost."""
    port = free_port()
    path, old = limpet.path("limpet.log"), limpet.path("limpet.log.1")
    limpet.start(config(port, limits=f"log_file = {path}"), ready=False)
    wait_until(lambda: os.path.exists(path) and "ready: 1 of 1" in read(path))
    with HttpClient(port) as client:
        client.get_json("/say?before")
        wait_until(lambda: "before" in read(path))
        os.rename(path, old)
        client.get_json("/say?between")
        wait_until(lambda: "between" in read(old))
        limpet.send_signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(path) and "SIGUSR1: log opened again" in read(path))
        client.get_json("/say?after")
        wait_until(lambda: "after" in read(path))
    assert "OUT web/0: after" not in read(old)
    assert os.stat(path).st_mode & 0o777 == 0o640 & ~int(_umask(limpet.pid), 8)


def _umask(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith("Umask:"))


def test_usr1_with_an_impossible_path_keeps_the_old_log(limpet):
    """The directory is gone: the old file goes on, and says so."""
    os.mkdir(limpet.path("logs"))
    path, moved = limpet.path("logs/limpet.log"), limpet.path("moved")
    limpet.start(config(free_port(), limits=f"log_file = {path}"), ready=False)
    wait_until(lambda: os.path.exists(path) and "ready: 1 of 1" in read(path))
    os.rename(limpet.path("logs"), moved)
    limpet.send_signal(signal.SIGUSR1)
    wait_until(lambda: "going on with the old log" in read(f"{moved}/limpet.log"))


def test_a_log_file_that_is_a_link_is_refused(limpet):
    """Who may write to the directory of the log could point it at any file of the machine, and we may be root."""
    victim = limpet.write("victim", "precious\n")
    os.symlink(victim, limpet.path("link"))
    os.makedirs(limpet.path("state"))
    os.makedirs(limpet.path("run"))
    done = limpet.run("-c", limpet.write_config(config(free_port(), limits=f"log_file = {limpet.path('link')}")))
    assert done.returncode == 1
    assert f"log_file {limpet.path('link')} is a symbolic link: name the file itself" in done.stderr
    assert read(victim) == "precious\n"


def test_a_pipe_that_nobody_reads_stops_nothing(limpet):
    """Standard error is a pipe whose reader sleeps. Requests, deaths and restarts go on; lines that found no room are
    counted and told when the reader wakes up."""
    port = free_port()
    reader, writer = os.pipe()
    for name in ("state", "run"):
        os.mkdir(limpet.path(name))
    arguments = ["-c", limpet.write_config(config(port, instances=2))]
    limpet.process = psutil.Popen([limpet.binary, *arguments], stdin=-3, stdout=writer, stderr=writer,
                                  env=limpet.environment(), cwd=limpet.directory)
    os.close(writer)
    wait_until(lambda: limpet.acceptor_pid() and len(limpet.workers()) == 2)
    source, = addresses_of(port, 0, 1)
    for number in range(400):
        http_get(port, f"/say?{number}-{'x' * 2000}", source)
    limpet.wait_worker(1, other_than=limpet.kill_worker(1))
    other, = addresses_of(port, 1, 1)
    assert http_get(port, source=other)["generation"] == 2
    os.set_blocking(reader, False)
    text = b""

    def lost_lines_are_told():
        nonlocal text
        try:
            while piece := os.read(reader, 65536):
                text += piece
        except BlockingIOError:
            pass
        http_get(port, "/say?now", source)
        return re.search(rb"logs: \d+ lines were lost: whoever reads them is too slow", text)
    wait_until(lost_lines_are_told, 20, lambda: text[-300:])
    os.close(reader)
    assert http_get(port, "/say?nobody-is-there", source)["slot"] == 0
    assert limpet.stop() == 0
