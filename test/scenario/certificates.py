"""Why: tests of TLS need authorities, servers and clients of every kind and age, made fresh and by the same program
that people use: Debian's openssl.
SPDX-License-Identifier: ISC
"""
import os
import pathlib
import ssl
import subprocess

_KINDS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}


def _openssl(*words, **run):
    done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **run)
    assert done.returncode == 0, f"openssl {words}: {done.stdout.decode()}"
    return done.stdout


class Authority:
    """A certificate authority in a directory of its own; `path` is its certificate."""

    def __init__(self, directory, name="Limpet test authority"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path, self.key = self.directory / "ca.pem", self.directory / "ca.key"
        _openssl("req", "-x509", *_KINDS["ec"], "-nodes", "-days", 30, "-subj", f"/CN={name}", "-keyout", self.key,
                 "-out", self.path, "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        (self.directory / "index.txt").touch()
        (self.directory / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = it\n[it]\ndatabase = {self.directory}/index.txt\ndefault_md = sha256\n"
            f"default_crl_days = 30\ncertificate = {self.path}\nprivate_key = {self.key}\n")

    def issue(self, file, names=("localhost",), kind="ec", days=30, client=False):
        """(certificate, key): the certificate with the authority's behind it."""
        certificate, key = self.directory / f"{file}.crt", self.directory / f"{file}.key"
        request, facts = self.directory / f"{file}.csr", self.directory / f"{file}.ext"
        _openssl("req", "-new", *_KINDS[kind], "-nodes", "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        use = "clientAuth" if client else "serverAuth"
        rows = ",".join(f"IP:{name}" if name[0].isdigit() else f"DNS:{name}" for name in names)
        facts.write_text(f"subjectAltName={rows}\nextendedKeyUsage={use}\nkeyUsage=digitalSignature\n")
        leaf = _openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self.key, "-CAcreateserial",
                        "-days", days, "-extfile", facts)
        text = leaf.decode()
        certificate.write_text(text[text.index("-----BEGIN"):] + self.path.read_text())
        os.chmod(key, 0o600)
        return certificate, key

    def revocations(self, *certificates):
        """A revocation list with these certificates on it."""
        crl = self.directory / "crl.pem"
        for certificate in certificates:
            _openssl("ca", "-config", self.directory / "ca.cnf", "-revoke", certificate)
        _openssl("ca", "-config", self.directory / "ca.cnf", "-gencrl", "-out", crl)
        return crl

    def client_context(self, certificate=None, key=None, alpn=(), version=None):
        """What a Python client needs to trust this authority."""
        context = ssl.create_default_context(cafile=self.path)
        if certificate:
            context.load_cert_chain(certificate, key)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if version:
            context.minimum_version = context.maximum_version = version
        return context


def tls_config(port, certificates, tls="", listen="", **web):
    """A configuration as limpet.web_config makes it, whose listener has TLS; `certificates` are (certificate, key)."""
    from limpet import web_config
    pairs = "\n".join(f"certificate = {certificate}\nkey = {key}" for certificate, key in certificates)
    return web_config(port, listen=f"tls = site\n{listen}", **web) + f"\n[tls:site]\n{pairs}\n{tls}\n"
