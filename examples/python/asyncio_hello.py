"""Why: a worker with asyncio: clients come over Limpet's link and become ordinary streams. To try it:

    limpet run -b 127.0.0.1:3000 -i 2 -- python3 examples/python/asyncio_hello.py
    curl http://127.0.0.1:3000/

SPDX-License-Identifier: ISC
"""
import asyncio
import json
import os

import limpet_worker


async def serve(client):
    reader, writer = await asyncio.open_connection(sock=client.socket)
    try:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"pid": os.getpid(), "slot": int(os.environ["LIMPET_SLOT"]),
                           "client": client.address[0] if client.address else "unix"}) + "\n"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                     f"Connection: close\r\n\r\n{body}".encode())
        await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass  # he left, or does not speak HTTP
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


async def main():
    loop = asyncio.get_running_loop()
    link = limpet_worker.open_link()
    clients = set()
    ended = loop.create_future()

    def on_link():
        try:
            while client := limpet_worker.receive(link):
                task = loop.create_task(serve(client))
                clients.add(task)
                task.add_done_callback(clients.discard)
        except BlockingIOError:
            return  # no more for now
        loop.remove_reader(link)
        ended.set_result(None)

    loop.add_reader(link, on_link)
    limpet_worker.ready(link)
    await ended
    await asyncio.gather(*clients)  # finish the clients that we have


asyncio.run(main())
