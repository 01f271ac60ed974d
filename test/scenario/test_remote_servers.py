"""The servers of a pool are on other machines. Their addresses come from a name server, which answers in any order,
changes its mind, and fails; the servers themselves fall ill, refuse, and return. Whatever happens, only the clients
of the server concerned are moved, and they go back to it as soon as it is there again.
SPDX-License-Identifier: ISC
"""
import collections
import os
import signal

import pytest

from client import HttpClient, http_get
from limpet import client_address, free_port, wait_until
from servers import name_server, servers

ADDRESSES = ["127.77.0.1", "127.77.0.2", "127.77.0.3"]
CLIENTS = 60


def config(port, lines, limits="relays = 1", listen=""):
    """One pool without workers; `lines` are those of [pool:web]."""
    return f"""
[limpet]
stats_period = 100ms
{limits}
[listen:web]
bind = 127.0.0.1:{port}
{listen}
[pool:web]
{lines}
"""


def by_name(dns, port, lines="", name="dns:app.example"):
    return f"server = {name}:{port}\nresolve_interval = 100ms\n{lines}", f"relays = 1\nresolver = 127.0.0.1:{dns.port}"


def places(port, count=CLIENTS):
    """{client's address: the server that answered}"""
    return {source: http_get(port, "/", source)["slot"] for source in map(client_address, range(count))}


def assert_only_moved(before, after, lost):
    """Everybody is where he was, but those of `lost` are somewhere else."""
    assert lost in before.values() and lost not in after.values()
    assert {s: p for s, p in after.items() if before[s] != lost} == {s: p for s, p in before.items() if p != lost}


def wait_places(port, expected, what):
    """Waits until the clients are where they are expected."""
    wait_until(lambda: places(port) == expected, 15, what)


def test_one_of_three_disappears_from_its_name_and_returns(limpet):
    port = free_port()
    with servers(*ADDRESSES) as (backend, _), name_server({"app.example": ADDRESSES}) as dns:
        limpet.start(config(port, *by_name(dns, backend)))
        wait_until(lambda: len(limpet.log_lines("may get clients")) == 3)
        before = places(port)
        assert set(before.values()) == set(ADDRESSES)
        lost = ADDRESSES[1]
        old = HttpClient(port, next(source for source, place in before.items() if place == lost))
        assert old.get_json("/")["slot"] == lost

        dns.set({"app.example": [ADDRESSES[2], ADDRESSES[0]]})
        limpet.wait_log(rf"server {lost}:{backend} .*is gone from its name")
        wait_until(lambda: lost not in places(port).values())
        assert_only_moved(before, places(port), lost)
        assert old.get_json("/")["slot"] == lost        # what is connected stays

        position = limpet.log_position()
        dns.set({"app.example": ADDRESSES})
        limpet.wait_log(rf"server {lost}:{backend} .*may get clients", after=position)
        wait_places(port, before, "everybody returns")
        old.close()


def test_a_name_server_that_fails_changes_nothing(limpet):
    port = free_port()
    with servers(*ADDRESSES) as (backend, _), name_server({"app.example": ADDRESSES}) as dns:
        limpet.start(config(port, *by_name(dns, backend)))
        wait_until(lambda: len(limpet.log_lines("may get clients")) == 3)
        before = places(port)
        dns.set({"other.example": ADDRESSES})           # there is no such name any more
        limpet.wait_log("looking up .*nothing changes")
        assert places(port) == before
        dns.stop()                                      # nobody answers
        assert places(port) == before
        position = limpet.log_position()
        dns.write({"app.example": ADDRESSES[:2]})
        dns.start()
        limpet.wait_log("is answered again", 30, after=position)
        wait_until(lambda: ADDRESSES[2] not in places(port).values())
        assert_only_moved(before, places(port), ADDRESSES[2])
        assert len(limpet.log_lines("looking up .*nothing changes")) == 1       # said once


def test_a_name_server_that_comes_late_is_asked_again(limpet):
    port = free_port()
    with servers(*ADDRESSES) as (backend, _), name_server({"app.example": ADDRESSES}) as dns:
        dns.stop()
        limpet.start(config(port, *by_name(dns, backend)), ready=False)
        limpet.wait_log("looking up .*0 known")
        dns.start()
        wait_until(lambda: len(limpet.log_lines("may get clients")) == 3, 20)
        assert set(places(port).values()) == set(ADDRESSES)


def test_two_limpets_with_one_seed_agree(limpets):
    """They see the addresses in another order (the name server turns them at each answer), one of them has seen
    another past, and they have different numbers of relays."""
    ports = [free_port(), free_port()]
    with servers(*ADDRESSES) as (backend, _), name_server({"app.example": [ADDRESSES[2]]}) as dns:
        lines, limits = by_name(dns, backend)
        one, other = limpets(), limpets()
        limits += f"\nseed_file = {one.path('seed')}"
        one.start(config(ports[0], lines, limits))
        wait_until(lambda: len(one.log_lines("may get clients")) == 1)
        dns.set({"app.example": ADDRESSES})
        wait_until(lambda: len(one.log_lines("may get clients")) == 3)
        other.start(config(ports[1], lines, limits.replace("relays = 1", "relays = 2")))
        wait_until(lambda: len(other.log_lines("may get clients")) == 3)
        wait_until(lambda: set(places(ports[1]).values()) == set(ADDRESSES))
        first, second = places(ports[0], 1000), places(ports[1], 1000)
        assert first == second
        assert min(collections.Counter(first.values()).values()) > 250


def test_srv_records_give_port_weight_and_reserve(limpet):
    """Two targets with weights 1 and 3 on ports of their own; a third of lower priority gets nobody."""
    port, backends = free_port(), [free_port(), free_port(), free_port()]
    rows = zip(ADDRESSES, backends, ("1,1", "1,3", "2,9"), "abc")
    options = [f"--srv-host=_ws._tcp.app.example,{name}.example,{backend},{rank}" for _, backend, rank, name in rows]
    hosts = {f"{name}.example": [address] for name, address in zip("abc", ADDRESSES)}
    with servers(ADDRESSES[0], port=backends[0]), servers(ADDRESSES[1], port=backends[1]), \
            servers(ADDRESSES[2], port=backends[2]), name_server(hosts, *options) as dns:
        limpet.start(config(port, "server = srv:_ws._tcp.app.example\nresolve_interval = 100ms",
                            f"relays = 1\nresolver = 127.0.0.1:{dns.port}"))
        wait_until(lambda: len(limpet.log_lines("may get clients")) == 2)
        found = collections.Counter(places(port, 400).values())
        assert set(found) == set(ADDRESSES[:2])
        assert 200 < found[ADDRESSES[1]] < 370 and found[ADDRESSES[0]] > 30


def three_lines(port, check):
    """Each with a name of its own; three failures close and two good checks open, quickly."""
    lines = [f"server = {address}:{port} name={name}" for name, address in zip("abc", ADDRESSES)]
    return "\n".join([*lines, f"check = {check}", "check_interval = 300ms", "check_timeout = 300ms"])


def test_a_server_that_answers_500_gets_no_new_clients(limpet):
    port = free_port()
    with servers(*ADDRESSES) as (backend, made):
        limpet.start(config(port, three_lines(backend, "http GET /health expecting 200-299")))
        before = places(port)
        wait_until(lambda: all(server.checks > 3 for server in made))
        old = HttpClient(port, next(source for source, place in before.items() if place == made[0].name))
        assert old.get_json("/")["slot"] == made[0].name
        made[0].health = 500
        limpet.wait_log("gets no new clients: .*it answered 500")
        wait_until(lambda: made[0].name not in places(port).values())
        assert_only_moved(before, places(port), made[0].name)
        assert old.get_json("/")["slot"] == made[0].name
        made[0].health = 204
        limpet.wait_log("is well again")
        wait_places(port, before, "everybody returns")
        old.close()


def test_a_successor_of_relay_0_knows_who_is_ill(limpet):
    """The relay that checks dies while a server is ill: the server stays closed, and is opened by the next relay."""
    port = free_port()
    with servers(*ADDRESSES) as (backend, made):
        limpet.start(config(port, three_lines(backend, "http GET /health")))
        before = places(port)
        made[1].health = 503
        limpet.wait_log("gets no new clients: .*it answered 503")
        relay = limpet.role_pid("@relay")
        os.kill(relay, signal.SIGKILL)
        wait_until(lambda: limpet.role_pid("@relay") not in (None, relay))
        wait_until(lambda: made[1].name not in places(port).values())
        assert_only_moved(before, places(port), made[1].name)
        made[1].health = 200
        limpet.wait_log("is well again")
        wait_places(port, before, "everybody returns")


def test_a_tcp_check_finds_a_server_that_is_gone(limpet):
    """It is found out before any client could meet it."""
    port = free_port()
    with servers(*ADDRESSES) as (backend, made):
        limpet.start(config(port, three_lines(backend, "tcp")))
        before = places(port)
        made[2].close()
        limpet.wait_log("gets no new clients: .*Connection refused")
        wait_until(lambda: made[2].name not in places(port).values())
        errors = limpet.counters()["connect_errors"]
        assert_only_moved(before, places(port), made[2].name)
        assert limpet.wait_counters(lambda counters: True)["connect_errors"] == errors
        made[2].open()
        limpet.wait_log("is well again")
        wait_places(port, before, "everybody returns")


def test_a_command_may_judge(limpet):
    """The command finds the server's address in LIMPET_ADDRESS."""
    port = free_port()
    with servers(*ADDRESSES) as (backend, made):
        script = limpet.write("judge", f"#!/bin/sh\n! test -e '{limpet.directory}'/ill-\"$LIMPET_ADDRESS\"\n")
        limpet.start(config(port, three_lines(backend, f"exec /bin/sh {script}")))
        before = places(port)
        ill = limpet.write(f"ill-{made[0].name}:{backend}", "")
        wait_until(lambda: made[0].name not in places(port).values(), 15)
        assert_only_moved(before, places(port), made[0].name)
        os.unlink(ill)
        wait_places(port, before, "everybody returns")


@pytest.mark.parametrize("relays", [1, 2])
def test_clients_find_out_about_a_server_that_refuses(limpet, relays):
    """Without checks: the first clients that meet it are served by the next server of their ranking."""
    port = free_port()
    with servers(*ADDRESSES) as (backend, made):
        limpet.start(config(port, three_lines(backend, "off"), f"relays = {relays}"))
        before = places(port)
        made[1].close()
        assert_only_moved(before, places(port), made[1].name)       # and nobody was turned away
        assert limpet.wait_counters(lambda counters: counters["retries"] > 0)
        made[1].open()
        wait_places(port, before, "everybody returns")


def test_names_decide_not_the_order_of_the_lines(limpets):
    """The configuration is written anew with the lines in another order, on another machine of the same seed."""
    ports = [free_port(), free_port()]
    with servers(*ADDRESSES) as (backend, _):
        lines = three_lines(backend, "off").splitlines()
        one, other = limpets(), limpets()
        seed = f"relays = 1\nseed_file = {one.path('seed')}"
        one.start(config(ports[0], "\n".join(lines), seed))
        other.start(config(ports[1], "\n".join(reversed(lines)), seed))
        assert places(ports[0], 200) == places(ports[1], 200)
