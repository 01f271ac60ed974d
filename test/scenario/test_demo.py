"""The worry: does the demo worker treat everybody well, bad clients, slow ones, and those who are there at its end?

The story: the demo is the first thing that a stranger runs and the worker that our own tests lean on. A browser,
a hasty script and somebody who means no good talk to it; then Limpet takes the link away, or sends SIGTERM, and
nobody's answer may be cut off.
SPDX-License-Identifier: ISC
"""
import asyncio
import json
import os
import signal
import subprocess

import pytest
import websockets

from limpet import is_sanitized
from link_player import PATIENCE, LinkPlayer, wait_until
from workers import LIMPET, command_of


@pytest.fixture
def demo(tmp_path):
    with open(tmp_path / "demo.log", "wb") as log, LinkPlayer(command_of("demo", tmp_path), log=log) as player:
        player.wait_ready()
        yield player


def arrive(demo):
    client = demo.new_client()
    client_id = demo.hand_over(client)
    assert demo.record() == client_id
    client.let_go()
    return client


def on_websocket(client, talk):
    """Runs the coroutine talk(websocket, hello) with an open WebSocket of this client."""
    async def run():
        client.socket.setblocking(False)
        async with websockets.connect("ws://test/ws", sock=client.socket, max_size=None,
                                      compression=None) as websocket:
            return await talk(websocket, json.loads(await websocket.recv()))
    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def test_requests_in_a_row_are_answered_in_their_order(demo):
    client = arrive(demo)
    paths = ["/health", "/nowhere", "/whoami", "/?query"] * 5
    client.say(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))
    statuses = [client.read_answer()[0] for _ in paths]
    assert statuses == [200, 404, 200, 200] * 5


def test_a_request_may_come_byte_by_byte(demo):
    client = arrive(demo)
    for byte in b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n":
        client.say(bytes([byte]))
    assert client.read_json()["generation"] == 7


def test_head_has_no_body(demo):
    client = arrive(demo)
    client.say(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = client.read_all().partition(b"\r\n\r\n")
    assert b"Content-Length: " in head and body == b""


@pytest.mark.parametrize("request_bytes, status", [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01", 400),
    (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000, 431),
    (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
])
def test_a_bad_request_is_told_why(demo, request_bytes, status):
    """The whole answer arrives, although what he sent is not read to its end: no reset cuts it off."""
    client = arrive(demo)
    client.say(request_bytes)
    assert client.read_answer()[0] == status


def test_who_does_not_read_is_not_read_from(demo):
    """Five thousand requests for the page and no reading: the demo stops taking more, and keeps none of it in
    memory; when he reads, each is answered."""
    client = arrive(demo)
    count, request = 5000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    unsent = request * count
    client.socket.setblocking(False)

    def stuck():
        nonlocal unsent
        try:
            unsent = unsent[client.socket.send(unsent):]
        except BlockingIOError:
            pass
        return demo.threads_sleep()
    wait_until(stuck, what="the demo's waiting for him")
    with open(f"/proc/{demo.pid}/status", encoding="ascii") as status:
        private = next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
    assert is_sanitized(LIMPET) or private < 4 << 10, "kB of memory"

    async def read_all():
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(client.socket, unsent))
        seen, tail = 0, b""
        while seen < count:
            piece = await loop.sock_recv(client.socket, 1 << 20)
            assert piece, f"the connection ended after {seen} answers"
            joined = tail + piece
            seen += joined.count(b"HTTP/1.1 200 OK\r\n")
            tail = joined[-16:] if not joined.endswith(b"HTTP/1.1 200 OK\r\n") else b""
        await sending
        return seen
    assert asyncio.run(asyncio.wait_for(read_all(), 60)) == count


def test_a_websocket_says_who_it_is_and_echoes(demo):
    async def talk(websocket, hello):
        assert (hello["slot"], hello["pid"], hello["pool"]) == (3, demo.pid, "test")
        for message in ("", "grüße", "a" * 65536, b"", bytes(range(256)) * 256):
            await websocket.send(message)
            assert await websocket.recv() == message
        await websocket.send(["in ", "three ", "parts"])
        assert await websocket.recv() == "in three parts"
        await (await websocket.ping(b"still there?"))
    on_websocket(arrive(demo), talk)


def test_a_message_over_64_kib_ends_the_websocket(demo):
    async def talk(websocket, _):
        await websocket.send("a" * 65537)
        with pytest.raises(websockets.ConnectionClosedError):
            await websocket.recv()
        return websocket.close_code
    assert on_websocket(arrive(demo), talk) == 1009


def test_the_end_of_the_link_leaves_websockets_open(demo):
    """A rolling restart waits for them: they go on until their client closes, then the worker leaves."""
    idle = arrive(demo)
    idle.ask("/whoami", extra="")
    idle.read_json()

    async def talk(websocket, _):
        demo.end_link()
        assert await asyncio.get_running_loop().run_in_executor(None, idle.read_all) == b""
        await websocket.send("still here")
        assert await websocket.recv() == "still here"
    on_websocket(arrive(demo), talk)
    assert demo.wait_exit() == 0


def test_sigterm_says_goodbye(demo):
    """WebSockets are told 1001, so that a page knows that it may come back; the worker leaves with status 0."""
    async def talk(websocket, _):
        os.kill(demo.pid, signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        return websocket.close_code
    assert on_websocket(arrive(demo), talk) == 1001
    assert demo.wait_exit() == 0


def test_without_limpet_it_says_what_to_run(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "LIMPET_LINK_FD"}
    result = subprocess.run(command_of("demo", tmp_path), env=environment, capture_output=True, text=True,
                            timeout=PATIENCE, check=False)
    assert result.returncode == 2 and "limpet demo" in result.stderr
