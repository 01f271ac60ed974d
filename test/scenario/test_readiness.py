"""Worry: a worker counts as ready too early, too late or never, or one that fails again and again takes the machine with it.

Readiness comes from whom and how the pool says: by the link, by sd_notify from the worker itself and nobody else, or by having
started; who is late, or falls silent under a watchdog, is killed and replaced; who fails is started again at a growing distance,
for ever or max_restarts times, and comes back by itself when it is repaired.
SPDX-License-Identifier: ISC
"""
import os
import re
import socket
import time

import psutil
import pytest

from client import HttpClient, http_get
from limpet import cpu_seconds, environment_of, free_port, is_alive, is_sanitized, wait_until, web_config
from node_apps import need_node
from odd_worker import COMMAND

ODD = " ".join(COMMAND)


def config(port, command, more="", instances=1, limits=""):
    return web_config(port, command, instances, limits, more=more)


def one_worker(limpet):
    return wait_until(limpet.workers, 10, "a worker")


def ready_lines(limpet):
    return limpet.log_lines(r"web/\d: ready after")


@pytest.mark.parametrize("ready", ["auto", "notify"])
def test_readiness_by_sd_notify(limpet, ready):
    """The worker says nothing on its link; READY=1 comes when the file `go` is there."""
    port = free_port()
    limpet.start(config(port, f"{ODD} quiet wait-for=go notify=READY=1", f"ready = {ready}"), ready=False)
    one_worker(limpet)
    limpet.wait_log("acceptor: ready")
    assert not ready_lines(limpet)
    limpet.write("go", "")
    limpet.wait_ready()
    assert http_get(port)["slot"] == 0


def test_the_link_is_not_enough_where_notify_is_asked_for(limpet):
    port = free_port()
    limpet.start(config(port, ODD, "ready = notify\nstart_timeout = 300ms"), ready=False)
    limpet.wait_log("not ready after .* s .start_timeout.: killing it")
    assert not ready_lines(limpet)


def test_readiness_by_the_link_where_listening_is_asked_for(limpet):
    """sd_notify does not count."""
    port = free_port()
    limpet.start(config(port, f"{ODD} notify=READY=1 notify=STATUS=told wait-for=go", "ready = listening"), ready=False)
    limpet.wait_log("web/0: status: told")
    assert not ready_lines(limpet)
    limpet.write("go", "")
    limpet.wait_ready()


def test_a_stranger_cannot_say_it(limpet):
    """Anybody can send to the socket. The kernel tells who it was, and only the worker and its group are believed."""
    limpet.start(config(free_port(), f"{ODD} quiet wait-for=go notify=READY=1", "ready = notify",
                        limits="log_level = debug"), ready=False)
    pid = one_worker(limpet)[0]
    address = wait_until(lambda: environment_of(pid).get("NOTIFY_SOCKET"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"READY=1\nSTATUS=I am the worker", address)
        stranger.sendto(b"STOPPING=1", address)
        stranger.sendto(b"\0" * 10000, address)
    limpet.wait_log(rf"sd_notify from pid {os.getpid()}, which is no worker: ignored")
    limpet.write("go", "")
    limpet.wait_ready()
    assert not limpet.log_lines("I am the worker")
    assert limpet.workers() == {0: pid}


def test_a_helper_of_the_worker_may_say_it(limpet):
    """systemd-notify(1) is a child of the worker: its group counts as the worker."""
    script = limpet.write("helper.sh", f"python3 -c \"import sys; sys.path.insert(0, '{os.path.dirname(COMMAND[1])}');"
                                       " import odd_worker; odd_worker.notify('READY=1')\"\nexec sleep 1000\n")
    limpet.start(config(free_port(), f"sh {script}", "ready = notify", limits="drain_timeout = 10ms"))
    assert len(ready_lines(limpet)) == 1


def test_started_is_ready(limpet):
    limpet.start(config(free_port(), f"{ODD} hang", "ready = started", 2, "drain_timeout = 10ms"))
    assert len(ready_lines(limpet)) == 2


def test_status_is_logged_and_escaped(limpet):
    port = free_port()
    limpet.start(config(port, ODD))
    http_get(port, "/notify?STATUS=loaded%207%20models%1b[31m")
    assert limpet.wait_log(r"web/0: status: loaded 7 models\\x1b\[31m$")


def test_who_says_stopping_is_left_alone_and_replaced(limpet):
    """A worker that reloads itself: it takes no more clients, finishes those it has, and its exit is no failure."""
    port = free_port()
    limpet.start(config(port, ODD, "min_uptime = 1ms\nqueue_timeout = 60s"))
    old = HttpClient(port)
    pid = old.get_json()["pid"]
    old.get_json("/notify?STOPPING=1")
    assert old.get_json()["pid"] == pid
    old.connection.request("GET", "/exit?0")
    new = http_get(port, seconds=30)
    assert new["generation"] == 2
    assert limpet.log_lines("left by its own will .exited with code 0")
    old.close()


def test_start_timeout_kills_and_starts_again(limpet):
    limpet.start(config(free_port(), f"{ODD} ignore-term quiet", "start_timeout = 200ms"), ready=False)
    first = one_worker(limpet)[0]
    limpet.wait_log("web/0: not ready after 0.2 s .start_timeout.: killing it")
    limpet.wait_worker(0, other_than=first)
    limpet.wait_log("web/0: killed by SIGKILL after 0.2 s: starting it again")


def test_the_watchdog_kills_who_is_silent(limpet):
    """Requests that pat it keep it alive; then it falls silent."""
    port = free_port()
    limpet.start(config(port, ODD, "watchdog_timeout = 1s"))
    with HttpClient(port) as client:
        first = client.get_json("/environment")
        assert first["WATCHDOG_USEC"] == "1000000"
        pid = client.get_json()["pid"]
        uptime = psutil.Process(pid).create_time()

        def older_than_the_timeout():
            assert client.get_json("/notify?WATCHDOG=1")["pid"] == pid
            return time.time() - uptime > 2.5
        wait_until(older_than_the_timeout, 30)
    limpet.wait_log("web/0: no WATCHDOG=1 for watchdog_timeout: killing it")
    wait_until(lambda: not is_alive(pid))
    assert http_get(port, seconds=30)["generation"] == 2


def test_stagger_starts_one_after_the_other(limpet):
    """Slot 1 begins after slot 0: its process is the younger one by at least the delay."""
    limpet.start(config(free_port(), ODD, "stagger = 300ms", 3))
    born = [psutil.Process(limpet.workers()[slot]).create_time() for slot in range(3)]
    assert born[1] - born[0] > 0.25 and born[2] - born[1] > 0.25


def test_a_crash_loop_is_slowed_down_and_told(limpet):
    """Two slots: one cannot start. Its forks become rare, the supervisor is idle, the other slot serves; repaired, it
    comes back by itself."""
    port = free_port()
    limpet.start(config(port, f"{ODD} exit-unless=repaired-%i",
                        "restart_delay = 50ms\nrestart_delay_max = 800ms", 2), ready=False)
    limpet.write("repaired-0", "")
    limpet.wait_log("web/0: ready")
    limpet.wait_ready()
    limpet.wait_log("web/1: exited with code 1 after .* s: starting it again in 0.[678] s .failure 6 in a row.", 30)
    begin = limpet.log_position()
    before = cpu_seconds(limpet.pid)
    for number in range(40):
        assert http_get(port, source=f"127.0.3.{number + 1}")["slot"] == 0
    limpet.wait_log("failure 9 in a row", 30, begin)
    if not is_sanitized():
        assert cpu_seconds(limpet.pid) - before < 0.3
    delays = [float(d) for d in re.findall(r"web/1: .* starting it again in ([\d.]+) s", limpet.log())]
    assert delays[0] <= 0.1 and max(delays) <= 0.8 and min(delays[6:]) >= 0.5
    limpet.write("repaired-1", "")
    limpet.wait_log("web/1: ready", 30)
    wait_until(lambda: {http_get(port, source=f"127.0.3.{n + 1}")["slot"] for n in range(20)} == {0, 1})


def test_max_restarts_gives_up(limpet):
    port = free_port()
    limpet.start(config(port, f"{ODD} exit-unless=repaired-%i",
                        "restart_delay = 1ms\nrestart_delay_max = 1ms\nmax_restarts = 3", 2), ready=False)
    limpet.write("repaired-0", "")
    limpet.wait_log("web/0: ready")
    limpet.wait_log(r"ERROR web/1: exited with code 1 after .* s: given up after 4 failures in a row .max_restarts.")
    assert set(limpet.workers()) == {0}
    for number in range(20):
        assert http_get(port, source=f"127.0.3.{number + 1}")["slot"] == 0


def test_exit_0_of_a_node_worker_is_no_success(limpet):
    """Node ends with 0 also when its channel to us breaks or its last server is gone: it must not look like one that is
    done."""
    app = limpet.write("app.js", "process.exit(0)")
    limpet.start(config(free_port(), f"{need_node()} {app}", "restart_delay = 10ms"), ready=False)
    limpet.wait_log(r"WARNING web/0: exited with code 0 after .* s: starting it again in .* .failure 2 in a row.", 30)
    assert not ready_lines(limpet)
