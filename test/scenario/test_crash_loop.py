"""Worry: a worker that dies at once is started again in a loop that eats the machine, or the log, or drags the other
workers down, or is given up for good although somebody repairs it.

One of four slots exits at once (its program looks at a file). In a minute it is started at most 15 times, the supervisor uses
hardly any processor time, the clients of the other slots go on, and the slot's own clients are served by others. Then the
file is repaired: the worker comes back by itself, and so do its clients. SPDX-License-Identifier: ISC
"""
import os
import time

from client import WebSocket, http_get
from crowd import addresses_of
from limpet import BINARY, cpu_seconds, free_port, is_sanitized, wait_until, web_config

WRAPPER = """#!/bin/sh
if [ "$LIMPET_SLOT" = 2 ] && [ -e "{directory}/broken" ]; then
  echo "the database does not answer" >&2
  exit 0
fi
exec {binary} @demo
"""


def test_a_worker_that_exits_at_once(limpet):
    port = free_port()
    wrapper = limpet.write("worker", WRAPPER.format(directory=limpet.directory, binary=BINARY))
    limpet.start(web_config(port, f"sh {wrapper}", 4, more="restart_delay_max = 20s"))
    sources = {slot: addresses_of(port, slot, 4) for slot in range(4)}
    sockets = [WebSocket(port, source=s) for slot in (0, 1, 3) for s in sources[slot]]
    hellos = [socket.receive_json() for socket in sockets]
    limpet.write("broken", "")
    limpet.kill_worker(2)
    limpet.wait_log(r"web/2: exited with code 0 after .*\(failure 3 in a row\)")
    begin, cpu_before = time.monotonic(), cpu_seconds(limpet.pid)
    seconds = 20 if is_sanitized() else 60
    rounds = 0
    while time.monotonic() < begin + seconds:
        assert http_get(port, "/whoami", sources[2][rounds % 4])["slot"] != 2
        assert http_get(port, "/whoami", sources[rounds % 2][0])["slot"] == rounds % 2
        sockets[rounds % len(sockets)].echo("still here")
        rounds += 1
        limpet.wait_counters(lambda _: True)  # the pace of the clients: one line of counters
    used = cpu_seconds(limpet.pid) - cpu_before
    starts = len(limpet.log_lines(r"web/2: the database does not answer"))
    assert 4 <= starts <= 15, f"{starts} starts"
    if not is_sanitized():
        assert used < 0.01 * seconds + 0.05, f"the supervisor used {used:.2f} s in {seconds} s"
    os.unlink(limpet.path("broken"))
    wait_until(lambda: http_get(port, "/whoami", sources[2][0])["slot"] == 2, 40, "slot 2 is back by itself")
    for source in sources[2]:
        assert http_get(port, "/whoami", source)["slot"] == 2
    for socket, hello in zip(sockets, hellos):
        assert hello["slot"] != 2
        socket.echo("still here")
        socket.close()
