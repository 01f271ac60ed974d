"""Why: a worker of limpet_worker(3) that tells each client what its record said, byte for byte what a program in any
language finds there. Answers every request with JSON.
SPDX-License-Identifier: ISC
"""
import json
import os
import select
import socket
import struct
import sys
import threading

COMMAND = [sys.executable, os.path.abspath(__file__)]
NAMES = {1: "alpn", 2: "server_name", 5: "id", 0x21: "version", 0x22: "client_name", 0x23: "cipher"}


def tlvs(data):
    found, at = {}, 0
    while at < len(data):
        kind, length = struct.unpack_from("!BH", data, at)
        value = data[at + 3:at + 3 + length]
        assert len(value) == length, "a TLV that reaches beyond its record"
        if kind == 0x20:
            found.update(tlvs(value[5:]), ssl=value[0], verify=int.from_bytes(value[1:5], "big"))
        else:
            found[NAMES[kind]] = value
        at += 3 + length
    return found


def facts_of(record, client):
    command, family, length = struct.unpack_from("!BBH", record, 12)
    assert record[:12] == b"\r\n\r\n\0\r\nQUIT\n" and len(record) == 16 + length
    size = {0: 0, 0x11: 12, 0x21: 36}[family]
    half = (size - 4) // 2
    facts = tlvs(record[16 + size:])
    client_id = facts.pop("id")
    facts = {name: value.decode() if isinstance(value, bytes) else value for name, value in facts.items()}
    if command == 0x21:
        kind = socket.AF_INET if size == 12 else socket.AF_INET6
        facts["address"] = socket.inet_ntop(kind, record[16:16 + half])
        facts["local"] = socket.inet_ntop(kind, record[16 + half:16 + 2 * half])
        facts["port"], facts["local_port"] = struct.unpack_from("!HH", record, 16 + 2 * half)
    facts.update(pid=os.getpid(), family=client.family.name, length=len(record))
    return client_id, facts


def serve(client, facts):
    body = json.dumps(facts).encode()
    client.settimeout(60)
    with client:
        request = b""
        while b"\r\n\r\n" not in request:
            data = client.recv(65536)
            if not data:
                return
            request += data
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def main():
    link = socket.socket(fileno=int(os.environ["LIMPET_LINK_FD"]))
    link.send(bytes(8))
    while True:
        select.select([link], [], [])
        record, fds, _, _ = socket.recv_fds(link, 4096, 8)
        if not record:
            break
        client = socket.socket(fileno=fds[0])
        client_id, facts = facts_of(record, client)
        link.send(client_id)
        threading.Thread(target=serve, args=(client, facts)).start()


if __name__ == "__main__":
    main()
