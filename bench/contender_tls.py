"""Why: the balancers of contender_relay.py with TLS towards the client, and hitch. Certificates are made
when they are first wanted, by the openssl program; the protocol is 1.3, the load allows nothing else.

SPDX-License-Identifier: ISC
"""
import pathlib
import ssl
import subprocess

import processes
from contender import PORT, WORKERS, Contender
from contender_relay import HaproxyRelay, LimpetProxy, NginxRelay

KEYS = {
    'EC': ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'),
    'RSA': ('-newkey', 'rsa:2048'),
}

HITCH_FILE = """\
frontend = {{
    host = "127.0.0.1"
    port = "{port}"
}}
backend = "[127.0.0.1]:{backend}"
pem-file = "{pem}"
tls-protos = TLSv1.2 TLSv1.3
workers = {threads}
backlog = 4096
daemon = off
user = "root"
"""


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def certificate(key, directory):
    """Paths of a self-signed certificate, its key, and both in one file."""
    paths = [pathlib.Path(directory) / f'{key}.{end}' for end in ('crt', 'key', 'pem')]
    subprocess.run(['openssl', 'req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=bench.example', *KEYS[key],
                    '-out', str(paths[0]), '-keyout', str(paths[1])], check=True, stderr=subprocess.DEVNULL)
    paths[2].touch(mode=0o600)
    paths[2].write_text(paths[0].read_text() + paths[1].read_text())
    return paths


class Tls:
    """Mixed into a contender: `key` is a word of KEYS, and the files are there before it starts."""

    key = 'EC'
    tls = context()

    def start(self):
        self.certificate, self.private, self.both = certificate(self.key, self.path)
        super().start()


class LimpetTls(Tls, LimpetProxy):
    def text(self):
        return self.fill(listen='tls = bench',
                         tls=f'[tls:bench]\ncertificate = {self.certificate}\nkey = {self.private}')


class LimpetTlsUnix(LimpetTls):
    name = 'Limpet, UNIX'
    unix = True


class HaproxyTls(Tls, HaproxyRelay):
    def text(self):
        return self.fill(bind=f'ssl crt {self.both}')


class HaproxyTls2(HaproxyTls):
    name = 'HAProxy, 2 threads'
    nbthread = 2


class NginxTls(Tls, NginxRelay):
    def text(self):
        return self.fill(listen='ssl', tls=f'        ssl_protocols TLSv1.2 TLSv1.3;\n'
                                           f'        ssl_certificate {self.certificate};\n'
                                           f'        ssl_certificate_key {self.private};')


class NginxTls2(NginxTls):
    name = 'nginx stream, 2 workers'
    count = 2


class HitchProxy(Contender):
    """It knows one backend: the workers share its port, and the kernel spreads the connections."""

    name = 'hitch'
    count = 1

    def start(self):
        for _ in range(WORKERS):
            self.run(self.programs['worker'], 'reuseport', PORT + 1)
        file = self.path / 'hitch.conf'
        file.write_text(HITCH_FILE.format(port=PORT, backend=PORT + 1, pem=self.both, threads=self.count))
        self.process = self.run('hitch', f'--config={file}')

    def balancer(self):
        return [self.process] + processes.descendants(self.process)


class Hitch(Tls, HitchProxy):
    pass


class Hitch2(Hitch):
    name = 'hitch, 2 workers'
    count = 2


def with_key(kind, key):
    """The same contender with another certificate."""
    return type(f'{kind.__name__}{key}', (kind,), {'key': key})
