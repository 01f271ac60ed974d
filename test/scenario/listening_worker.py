"""Why: a worker that knows nothing of Limpet: an ordinary HTTP server on the port, path or inherited socket that
it is told of, which says who it is. `--late SECONDS` opens its socket late, `--notify` says READY=1 a moment after
that; /slow/SECONDS answers late.
SPDX-License-Identifier: ISC
"""
import http.server
import json
import os
import socket
import socketserver
import sys
import threading

pause = threading.Event().wait      # a slow program is what some tests are about


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/slow/"):
            pause(float(self.path.rpartition("/")[2]))
        body = json.dumps({"slot": int(os.environ["LIMPET_SLOT"]), "pid": os.getpid(),
                           "peer": str(self.client_address)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    daemon_threads = True

    def __init__(self, listening):
        super().__init__(None, Handler)
        self.socket = listening

    def fileno(self):
        return self.socket.fileno()

    def get_request(self):
        connection, address = self.socket.accept()
        connection.settimeout(None)
        return connection, address or "unix"

    def shutdown_request(self, request):
        try:
            request.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        request.close()


def listening_socket():
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_FDNAMES"] == "limpet"
        return socket.socket(fileno=3)
    if "LIMPET_SOCKET" in os.environ:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.environ["LIMPET_SOCKET"])
        os.chmod(os.environ["LIMPET_SOCKET"], 0o666)    # the relays are somebody else where Limpet is root
    else:
        listening = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    listening.listen(128)
    return listening


def main():
    arguments = sys.argv[1:]
    if "--late" in arguments:
        pause(float(arguments[arguments.index("--late") + 1]))
    listening = listening_socket()
    if "--notify" in arguments:
        pause(0.3)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    Server(listening).serve_forever()


if __name__ == "__main__":
    main()
