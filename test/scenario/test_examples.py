"""The worry: does each example do under Limpet what its first lines promise?

The story: a stranger copies the two lines from the head of an example. Twenty clients come, three times each:
each always meets the same process, sees his own address, and finds the slot that Limpet reports for that
process. Then one worker is killed: its clients come back to the same slot in a new process, the others do not
notice.
SPDX-License-Identifier: ISC
"""
import os

import pytest

from client import http_get
from limpet import NODE_DIRECTORY, client_address, free_port
from workers import EXAMPLES, LINK_EXAMPLES, command_of, need

CLIENTS = [client_address(number) for number in range(20)]
NODE_APPLICATIONS = ("http", "express")  # by Node's own cluster protocol


@pytest.fixture(params=(*LINK_EXAMPLES, *NODE_APPLICATIONS))
def example(request, limpet, tmp_path_factory):
    limpet.port = free_port()
    address, name = f"127.0.0.1:{limpet.port}", request.param
    if name == "node":  # `limpet run` would choose delivery = node: the file says so, too
        command = " ".join(command_of(name, None))
        return limpet.start(f"[listen:web]\nbind = {address}\n"
                            f"[pool:web]\ncommand = {command}\ndelivery = fd\ninstances = 2\n")
    if name in NODE_APPLICATIONS:
        command = [need("node"), str(EXAMPLES / "node" / f"{name}.js")]
    else:
        command = command_of(name, tmp_path_factory.getbasetemp())
    modules = os.path.join(NODE_DIRECTORY, "node_modules")
    return limpet.start(["run", "-b", address, "-i", "2", "--", *command], env={"NODE_PATH": modules})


def places(example):
    """{client: (slot, pid)} of one request from each client."""
    found = {}
    for source in CLIENTS:
        me = http_get(example.port, "/", source)
        assert me["client"].removeprefix("::ffff:") == source
        found[source] = (me["slot"], me["pid"])
    return found


def test_the_example_serves_each_client_in_his_slot(example):
    first = places(example)
    assert places(example) == first
    assert places(example) == first
    workers = example.workers()
    assert len(workers) == 2
    assert set(first.values()) == set(workers.items()), "both workers have some of 20 clients"

    slot, pid = first[CLIENTS[0]]
    example.kill_worker(slot)
    example.wait_worker(slot, other_than=pid)
    after = places(example)
    for source in CLIENTS:
        assert after[source][0] == first[source][0]
        assert (after[source] == first[source]) == (first[source][0] != slot)
