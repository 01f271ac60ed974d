"""Why: everything that is measured stands behind one face: start it, know which processes are the
balancer and which the workers, end it. Each is set up as its own manual would, with WORKERS workers.

SPDX-License-Identifier: ISC
"""
import contextlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

import processes

HERE = pathlib.Path(__file__).resolve().parent
PORT = 8000  # below the ephemeral range, so that no client ever holds it
WORKERS = 4
BALANCER_CPU, OTHERS_CPU = {1}, {0}

LIMPET_FILE = """\
[limpet]
state_directory = {path}
runtime_directory = {path}
[listen:bench]
bind = 127.0.0.1:{port}
[pool:bench]
command = {command}
delivery = {delivery}
environment = PORT={port}
instances = {workers}
"""

# nbthread: HAProxy's own default is one thread per processor.
HAPROXY_FILE = """\
global
    maxconn 9000
    nbthread {threads}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{port} backlog 4096
    balance source
    hash-type consistent
{servers}
"""

NGINX_FILE = """\
load_module modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes {threads};
worker_rlimit_nofile 20000;
pid {path}/pid;
error_log stderr crit;
events {{ worker_connections 9000; }}
stream {{
    upstream workers {{
        hash $remote_addr consistent;
{servers}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass workers;
    }}
}}
"""


def ask(number, tls=None):
    """One request from the client address of that number, by an SSLContext or plain; the answering
    worker's id, None: nobody."""
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket())
            connection.settimeout(5)
            connection.bind((f'127.2.{number // 250}.{1 + number % 250}', 0))
            connection.connect(('127.0.0.1', PORT))
            if tls:
                connection = stack.enter_context(tls.wrap_socket(connection))
            connection.sendall(b'GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n')
            answer = b''
            while chunk := connection.recv(4096):
                answer += chunk
    except (ConnectionError, ssl.SSLError):
        return None
    return int(answer.partition(b'\r\n\r\n')[2]) if answer else None


class Contender:
    """A balancer with its workers. Used as a context: started on entry, ended on exit."""

    name = ''
    warm_up = 0.6  # seconds of load until it works as it always will
    tls = None  # the SSLContext by which it is asked, None: plain

    def __init__(self, programs, pinned=False, complete=True):
        self.programs = programs
        self.pinned = pinned
        self.complete = complete  # entered only when every worker has answered
        self.started = []  # subprocess.Popen, in order

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix='limpet-bench-')
        self.path = pathlib.Path(self.directory.name)
        self.log = open(self.path / 'log', 'wb')
        try:
            self.start()
            if self.complete:
                processes.wait_until(self.is_complete, 20, f'all workers of {self.name} answer')
            if self.pinned:
                processes.pin(self.all(), OTHERS_CPU)
                processes.pin(self.balancer(), BALANCER_CPU)
        except BaseException as error:
            self.__exit__(error)
            raise
        return self

    def __exit__(self, error, *_):
        if error:
            print(f'{self.name} said last:\n{self.said()[-2000:]}', file=sys.stderr)
        self.stop()

    def start(self):
        raise NotImplementedError

    def balancer(self):
        """Ids of the processes that stand between clients and workers."""
        raise NotImplementedError

    def acceptor(self):
        """Ids of those of them that take the clients in."""
        return self.balancer()

    def run(self, *command, **environment):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                   stdout=self.log, stderr=self.log, env={**os.environ, **environment})
        self.started.append(process)
        return process.pid

    def all(self):
        return [pid for process in self.started
                for pid in [process.pid] + processes.descendants(process.pid)]

    def stop(self):
        everything = self.all()
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in everything:  # ids are those of our own process namespace: nobody else's can be hit
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.log.close()
        self.directory.cleanup()

    def said(self):
        return (self.path / 'log').read_text(errors='replace')

    def is_complete(self):
        """Every worker has answered, seen from outside."""
        for process in self.started:
            if process.poll() is not None:
                raise RuntimeError(f'{self.name} ended at once:\n{self.said()}')
        return len({ask(number, self.tls) for number in range(16 * WORKERS)} - {None}) == WORKERS

    def threads(self):
        return len(BALANCER_CPU) if self.pinned else os.cpu_count()

    def backends(self, line, unix=False):
        """Starts workers that listen by themselves; `line` for each of their addresses."""
        lines = []
        for number in range(WORKERS):
            place = self.path / f'worker-{number}' if unix else PORT + 1 + number
            self.run(self.programs['worker'], 'listen', place)
            lines.append(line.format(number=number, address=place if unix else f'127.0.0.1:{place}'))
        return '\n'.join(lines)


class Limpet(Contender):
    name = 'Limpet, fd'
    delivery = 'fd'

    def command(self):
        return f'"{self.programs["worker"]}" link'

    def write_seed(self):
        """Every start but the first of a machine finds its seed; writing one waits for the disk."""
        seed = self.path / 'limpet.seed'
        if not seed.exists():
            seed.touch(mode=0o600)
            seed.write_text('0123456789abcdef\n')

    def start(self):
        self.write_seed()
        file = self.path / 'limpet.ini'
        file.write_text(LIMPET_FILE.format(path=self.path, port=PORT, command=self.command(),
                                           delivery=self.delivery, workers=WORKERS))
        self.supervisor = self.run(self.programs['limpet'], '-c', file)

    def roles(self):
        """Role -> process id, of every process that is Limpet's own program."""
        own = {'supervisor': self.supervisor}
        for pid in processes.descendants(self.supervisor):
            words = [word for word in processes.arguments(pid)[:2] if word.startswith('@')]
            if words:
                role = words[0][1:]
                same = sum(known.split()[0] == role for known in own)
                own[f'{role} {same + 1}' if same else role] = pid
        return own

    def balancer(self):
        return list(self.roles().values())

    def acceptor(self):
        return [self.roles()['acceptor']]

    def workers(self):
        return sorted(set(processes.descendants(self.supervisor)) - set(self.balancer()))


class LimpetNode(Limpet):
    name = 'Limpet, node'
    warm_up = 3  # until the just-in-time compiler is done
    delivery = 'node'

    def command(self):
        return f'node "{HERE / "app.js"}"'


class NodeCluster(Contender):
    name = 'Node cluster'
    warm_up = LimpetNode.warm_up

    def start(self):
        self.primary = self.run('node', HERE / 'cluster.js', PORT=str(PORT), WORKERS=str(WORKERS))

    def balancer(self):
        return [self.primary]


class Bare(Contender):
    """The least that a hand-over can cost on this machine; see bare.c."""

    name = 'bare hand-over'

    def start(self):
        self.process = self.run(self.programs['bare'], PORT, WORKERS, *self.command())

    def command(self):
        return 'link', self.programs['worker'], 'link'

    def balancer(self):
        return [self.process]


class BareNode(Bare):
    name = 'bare, Node'
    warm_up = LimpetNode.warm_up

    def command(self):
        return 'node', 'env', f'PORT={PORT}', 'node', HERE / 'app.js'


class Reuseport(Contender):
    name = 'SO_REUSEPORT'

    def start(self):
        for _ in range(WORKERS):
            self.run(self.programs['worker'], 'reuseport', PORT)

    def balancer(self):
        return []


class Haproxy(Contender):
    name = 'HAProxy'

    def start(self):
        servers = self.backends('    server w{number} {address}')
        file = self.path / 'haproxy.cfg'
        file.write_text(HAPROXY_FILE.format(port=PORT, servers=servers, threads=self.threads()))
        self.process = self.run('haproxy', '-db', '-f', file)

    def balancer(self):
        return [self.process]


class Nginx(Contender):
    name = 'nginx stream'

    def start(self):
        servers = self.backends('        server {address};')
        file = self.path / 'nginx.conf'
        file.write_text(NGINX_FILE.format(path=self.path, port=PORT, servers=servers, threads=self.threads()))
        self.process = self.run('nginx', '-c', file)

    def balancer(self):
        return [self.process] + processes.descendants(self.process)
