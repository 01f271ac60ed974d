"""Worry: clients that come and go at the worst moments make counters drift, leak descriptors, or crash something.

Ten thousand clients connect and leave at random moments (before a byte, in the middle of a request, after it; by FIN or by
RST), while workers are killed now and then. Afterwards every gauge is 0 and there is no descriptor more.
SPDX-License-Identifier: ISC
"""
import random
import threading

import pytest

from client import connect_from, http_get
from crowd import reset
from limpet import BINARY, client_address, free_port, web_config

CLIENTS = 10000
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n"
NODE = """
require('http').createServer((request, response) => response.end(JSON.stringify({
  slot: Number(process.env.LIMPET_SLOT), pid: process.pid}))).listen(3000);
"""


def come_and_go(port, count, seed, trouble):
    dice = random.Random(seed)
    for _ in range(count):
        try:
            connection = connect_from(client_address(dice.randrange(500)), port, seconds=30)
            moment = dice.randrange(4)
            if moment >= 1:
                connection.sendall(REQUEST[:dice.randrange(1, len(REQUEST))] if moment == 1 else REQUEST)
            if moment == 3:
                connection.recv(10)
            if dice.random() < 0.5:
                reset(connection)
            else:
                connection.close()
        except (ConnectionError, TimeoutError) as error:
            trouble.append(repr(error))


@pytest.mark.parametrize("kind", ["fd", "node"])
def test_ten_thousand_clients_leave(limpet, kind):
    port = free_port()
    command = f"{BINARY} @demo" if kind == "fd" else f"node {limpet.write('app.js', NODE)}"
    limpet.start(web_config(port, command, 3, listen="max_per_client = 5000",
                           more="min_uptime = 10ms\nrestart_delay = 1ms\nrestart_delay_max = 1ms"))
    limpet.watch_descriptors()
    trouble = []
    threads = [threading.Thread(target=come_and_go, args=(port, CLIENTS // 4, seed, trouble)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        limpet.wait_worker(1, other_than=limpet.kill_worker(1))
        limpet.wait_counters(lambda c: c["slots_up"] == 3, 30)
    for thread in threads:
        thread.join()
    assert http_get(port, "/whoami")["pid"]
    # A request that its worker had read when the worker was killed ends with it.
    assert len(trouble) < CLIENTS / 100, trouble[:5]
    counters = limpet.wait_counters(
        lambda c: c["held"] == c["unacknowledged"] == 0 and c["counted"] <= 1 and c["accepted"] >= CLIENTS, 30)
    assert counters["accepted"] == sum(n for name, n in counters.items() if name.startswith("ended_"))
