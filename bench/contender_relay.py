"""Why: the balancers that stay between client and worker, plain. Each in one and in several threads,
with workers on TCP ports and on UNIX sockets, so that like is compared with like.

SPDX-License-Identifier: ISC
"""
import processes
from contender import PORT, WORKERS, Contender, Limpet

OPEN_FILES = 20000  # two for each connection
CONNECTIONS = 9700

LIMPET_FILE = """\
[limpet]
state_directory = {path}
runtime_directory = {path}
relays = {threads}
[listen:bench]
bind = 127.0.0.1:{port}
{listen}
[pool:bench]
command = "{worker}" listen
delivery = proxy
{place}
instances = {workers}
{tls}
"""

HAPROXY_FILE = """\
global
    maxconn {connections}
    nbthread {threads}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{defaults}
listen bench
    bind 127.0.0.1:{port} backlog 4096 {bind}
    balance source
    hash-type consistent
{servers}
"""

# worker_connections counts both sides.
NGINX_FILE = """\
load_module modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes {threads};
worker_rlimit_nofile {files};
pid {path}/pid;
error_log stderr crit;
events {{ worker_connections {files}; }}
stream {{
    upstream workers {{
        hash $remote_addr consistent;
{servers}
    }}
    server {{
        listen 127.0.0.1:{port} {listen} backlog=4096;
{tls}
        proxy_pass workers;
    }}
}}
"""


class LimpetProxy(Limpet):
    """relays = auto, but one where it has one processor."""

    name = 'Limpet'
    unix = False
    relays = None  # None: by the layout

    def fill(self, **more):
        place = f'socket = {self.path}/worker-%i' if self.unix else f'port = {PORT + 1}'
        threads = self.relays or (1 if self.pinned else 'auto')
        return LIMPET_FILE.format(path=self.path, port=PORT, threads=threads, worker=self.programs['worker'],
                                  place=place, workers=WORKERS, **more)

    def text(self):
        return self.fill(listen='', tls='')

    def start(self):
        self.path.chmod(0o755)  # the relays may be another user, and the workers' sockets are here
        self.write_seed()
        file = self.path / 'limpet.ini'
        file.write_text(self.text())
        self.supervisor = self.run(self.programs['limpet'], '-c', file)

    def acceptor(self):
        return self.balancer()


class LimpetProxyUnix(LimpetProxy):
    name = 'Limpet, UNIX'
    unix = True


class HaproxyRelay(Contender):
    name = 'HAProxy'
    unix = False
    nbthread = 1
    connections = CONNECTIONS
    defaults = ''

    def fill(self, **more):
        servers = self.backends('    server w{number} {address}', self.unix)
        return HAPROXY_FILE.format(port=PORT, servers=servers, threads=self.nbthread, defaults=self.defaults,
                                   connections=self.connections, **more)

    def text(self):
        return self.fill(bind='')

    def start(self):
        file = self.path / 'haproxy.cfg'
        file.write_text(self.text())
        self.process = self.run('haproxy', '-db', '-f', file)

    def balancer(self):
        return [self.process]


class HaproxyRelay2(HaproxyRelay):
    name = 'HAProxy, 2 threads'
    nbthread = 2


class HaproxyUnix(HaproxyRelay):
    name = 'HAProxy, UNIX'
    unix = True


class HaproxyUnix2(HaproxyUnix):
    name = 'HAProxy, UNIX, 2 threads'
    nbthread = 2


class HaproxySplice(HaproxyRelay):
    name = 'HAProxy, splice'
    # Not splice-auto: it leaves such a stream to recv(2) and send(2), as strace shows, and would change nothing.
    defaults = '    option splice-request\n    option splice-response'
    connections = 2000  # it sets descriptors for pipes aside, a quarter as many


class NginxRelay(Contender):
    name = 'nginx stream'
    count = 1

    def fill(self, **more):
        servers = self.backends('        server {address};')
        return NGINX_FILE.format(path=self.path, port=PORT, servers=servers, threads=self.count,
                                 files=OPEN_FILES, **more)

    def text(self):
        return self.fill(listen='', tls='')

    def start(self):
        file = self.path / 'nginx.conf'
        file.write_text(self.text())
        self.process = self.run('nginx', '-c', file)

    def balancer(self):
        return [self.process] + processes.descendants(self.process)


class NginxRelay2(NginxRelay):
    name = 'nginx stream, 2 workers'
    count = 2
