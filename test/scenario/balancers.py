"""Why: the load balancers that stand in front of a Limpet, or behind it, in real life, as Debian packages them. Each is
started in the foreground below a directory of the test's, on loopback, and ended by its process id.
SPDX-License-Identifier: ISC
"""
import contextlib
import os
import shutil
import socket
import subprocess

import pytest

from limpet import wait_until


def need(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def write(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(directory, arguments, port):
    """The program, from the moment that its port accepts to its end."""
    with open(os.path.join(directory, "balancer.log"), "ab") as log:
        process = subprocess.Popen([need(arguments[0]), *arguments[1:]], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, cwd=directory)
    try:
        wait_until(lambda: process.poll() is not None or _accepts(port), 20, f"{arguments[0]} at port {port}")
        if process.poll() is not None:
            with open(log.name, encoding="utf-8", errors="replace") as file:
                raise AssertionError(f"{arguments} ended with {process.returncode}:\n{file.read()[-3000:]}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def haproxy(directory, port, to, send="send-proxy", bind=""):
    config = write(directory, "haproxy.cfg", f"""
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{port} {bind}
    unique-id-format %[uuid()]
    default_backend limpet
backend limpet
    server limpet 127.0.0.1:{to} {send}
""")
    return running(directory, ["haproxy", "-db", "-f", config], port)


def haproxy_behind(directory, port):
    """An HTTP server that takes PROXY headers and tells what they said."""
    config = write(directory, "haproxy.cfg", f"""
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend behind
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type application/json lf-string \
'{{"client":"%[src]","port":%[src_port],"authority":"%[fc_pp_authority]","id":"%[fc_pp_unique_id,hex]"}}'
""")
    return running(directory, ["haproxy", "-db", "-f", config], port)


_NGINX = """daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
{module}
events {{ worker_connections 256; }}
"""
_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


def _nginx(directory, port, text, module=""):
    config = write(directory, "nginx.conf", _NGINX.format(directory=directory, module=module) + text)
    return running(directory, ["nginx", "-p", directory, "-e", f"{directory}/nginx.log", "-c", config], port)


def nginx(directory, port, to):
    if not os.path.exists(_MODULE):
        pytest.skip("nginx has no stream module")
    return _nginx(directory, port, f"""
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{to};
        proxy_protocol on;
    }}
}}""", f"load_module {_MODULE};")


def nginx_behind(directory, port):
    temporary = "\n".join(f"    {name}_temp_path {directory}/{name};"
                          for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return _nginx(directory, port, f"""
http {{
    access_log off;
{temporary}
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        default_type application/json;
        return 200 '{{"client":"$proxy_protocol_addr","port":$proxy_protocol_port}}';
    }}
}}""")


def _one_file(directory, certificate, key):
    """Certificate and key in one file, for those who want it so."""
    texts = []
    for path in (certificate, key):
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return write(directory, "both.pem", "".join(texts))


def hitch(directory, port, to, certificate, key):
    config = write(directory, "hitch.conf", f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{to}"
pem-file = "{_one_file(directory, certificate, key)}"
write-proxy-v2 = on
workers = 1
daemon = off
alpn-protos = "http/1.1"
user = "{'nobody' if os.geteuid() == 0 else ''}"
""")
    return running(directory, ["hitch", f"--config={config}"], port)


def stunnel(directory, port, to, certificate, key):
    config = write(directory, "stunnel.conf", f"""
foreground = yes
pid =
[front]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{to}
cert = {_one_file(directory, certificate, key)}
protocol = proxy
TIMEOUTclose = 0
""")
    return running(directory, ["stunnel4", config], port)


def haproxy_tls(directory, port, to, certificate, key):
    return haproxy(directory, port, to, "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,authority,unique-id,crc32c",
                   f"ssl crt {_one_file(directory, certificate, key)} alpn http/1.1")
