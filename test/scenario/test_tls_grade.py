"""The worry: a default that a scanner of the trade frowns upon.

The story: Debian's testssl looks at a listener with the intermediate policy, whose certificate's authority it is told to
trust. It finds nothing of severity MEDIUM or above. What concerns a private authority, a name that is no public host, or
DNS is not ours to answer and is named here.
SPDX-License-Identifier: ISC
"""
import json
import os
import subprocess

import pytest

from certificates import Authority, tls_config
from limpet import free_port, is_sanitized

# Matters of a real certificate of a real host: chain to a public root, validity period, CAA record, OCSP and CRL addresses,
# HTTP headers that are the application's, and a name that testssl cannot look up.
NOT_OURS = ("cert_", "DNS_CAA", "OCSP", "HSTS", "HTTP_", "security_headers", "cookie", "banner", "service", "scan",
            "engine_problem", "overall_grade", "grade_cap", "IP_", "clientsimulation", "rating", "final_score", "X-", "Cache",
            "protocol_support_score", "key_exchange_score", "cipher_strength_score", "Referrer", "Permissions", "Content-")


@pytest.mark.skipif(is_sanitized(), reason="testssl asks what the plain build answers as well, for minutes")
def test_testssl_finds_nothing(limpet, tmp_path):
    authority = Authority(tmp_path / "ca")
    port = free_port()
    limpet.start(tls_config(port, [authority.issue(f"site-{kind}", ("localhost", "127.0.0.1"), kind) for kind in ("ec", "rsa")]))
    report = tmp_path / "report.json"
    subprocess.run(["/usr/bin/testssl", "--quiet", "--color", "0", "--nodns", "none", "--ip", "127.0.0.1", "--warnings", "batch",
                    "--add-ca", authority.path, "--jsonfile", report, "-p", "-S", "-s", "-f", "-U", f"localhost:{port}"],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=280, check=False,
                   env={**os.environ, "TERM": "dumb"})
    found = json.loads(report.read_text())
    assert len(found) > 60, found
    bad = [row for row in found if row["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
           and not row["id"].startswith(NOT_OURS)]
    assert not bad, bad
    assert {row["finding"] for row in found if row["id"] in ("TLS1_2", "TLS1_3")} != {"not offered"}
