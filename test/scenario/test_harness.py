"""The worry: the checks that every scenario ends with have gone blind, and all is green for that reason.

A stand-in, a script that behaves like Limpet as far as the harness looks, commits one fault at a time: each
must be found, with its own words. Without a fault nothing is found.
SPDX-License-Identifier: ISC
"""
import sys

import pytest

from limpet import Limpet, free_port, wait_until

STAND_IN = """#!/usr/bin/python3
import os, signal, subprocess, sys, threading

fault = sys.argv[1]
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
pipe = subprocess.PIPE
acceptor = subprocess.Popen(["limpet", "@acceptor"], executable="/bin/sh", stdin=pipe)
worker = subprocess.Popen(["worker", "@worker"], executable="/bin/sh", stdin=pipe,
                          env=dict(os.environ, LIMPET_SLOT="0", LIMPET_GENERATION="1"))

def say(text):
    print("2026-08-24 12:00:00.123 UTC [1] " + text, file=sys.stderr, flush=True)

say("INFO supervisor: ready: all is up")
say("INFO supervisor: stats: accepted=3 waiting=0")
while not os.path.exists("go"):
    ended.wait(0.01)
if fault == "alert":
    say("ALERT supervisor: this must never happen")
if fault == "zombie":
    zombie = subprocess.Popen(["true"])
if fault == "descriptor":
    leaked = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
if fault == "left over":
    subprocess.Popen(["sleep", "60"], start_new_session=True)
if fault == "left over without a mark":
    subprocess.Popen(["sleep", "60"], start_new_session=True, env={})
if fault == "sanitizer":
    path = dict(part.split("=", 1) for part in os.environ["ASAN_OPTIONS"].split(":"))["log_path"]
    print("==1==ERROR: LeakSanitizer: detected memory leaks", file=open(path + ".1", "w"))
say("INFO supervisor: done")
while not ended.is_set():
    ended.wait(0.01)
for child in acceptor, worker:
    child.communicate()
sys.exit(3 if fault == "exit code" else 0)
"""

FAULTS = {
    "alert": "unexpected alerts",
    "zombie": "zombies",
    "descriptor": "descriptors were gained",
    "left over": "left over",
    "left over without a mark": "left over",
    "sanitizer": "sanitizer reports",
    "exit code": "exit code 3",
}


@pytest.fixture
def stand_in(tmp_path):
    program = tmp_path / "stand-in"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    instance = Limpet(str(program))
    instance.patience = 0.5
    for role in ("@acceptor", "@worker"):
        instance.write(role, "read line\n")

    def misbehave(fault):
        instance.start([fault])
        wait_until(lambda: instance.acceptor_pid() and instance.workers())
        instance.watch_descriptors()
        instance.write("go", "")
        instance.wait_log("done")
        return instance
    yield misbehave
    instance.destroy()
    assert not instance.processes()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(stand_in, fault):
    instance = stand_in(fault)
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        instance.check_end()


def test_nothing_is_found_where_nothing_is_wrong(stand_in):
    stand_in("none").check_end()


def test_an_alert_of_the_story_is_allowed(stand_in):
    instance = stand_in("alert")
    instance.allow_alert("must never")
    instance.check_end()


def test_it_sees_roles_workers_and_counters(stand_in):
    instance = stand_in("none")
    assert instance.workers() == {0: instance.wait_worker(0)}
    assert instance.generations() == {0: 1}
    assert instance.acceptor_pid() not in instance.workers().values()
    assert instance.counters() == {"accepted": 3, "waiting": 0}
    assert len(instance.processes()) == 3


def test_a_port_is_given_out_once():
    first = free_port(3)
    others = {free_port() for _ in range(50)}
    assert len(others) == 50 and not others & {first, first + 1, first + 2}


def test_an_end_before_ready_is_told_at_once(limpets):
    with pytest.raises(AssertionError, match="ended with 7 before it logged"):
        limpets(sys.executable).start(["-c", "import sys; sys.exit(7)"])
