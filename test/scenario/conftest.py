"""Why: gives each scenario its own Limpet, ends it whatever happened, and shows its log when a test fails.
SPDX-License-Identifier: ISC
"""
import os

import pytest

from limpet import BINARY, Limpet, node_program


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    setattr(item, "report_" + report.when, report)
    if report.failed:
        for instance in getattr(item, "limpets", []):
            report.sections.append(("Limpet's log", instance.tail(100)))


@pytest.fixture
def limpets(request):
    """A function that makes further instances, for tests with more than one."""
    assert os.access(BINARY, os.X_OK), f"{BINARY} is not built: run script/test, or set LIMPET"
    made = request.node.limpets = []

    def make(*arguments):
        made.append(Limpet(*arguments))
        return made[-1]
    yield make
    passed = getattr(request.node, "report_call", None) is not None and request.node.report_call.passed
    try:
        for instance in made:
            if passed and instance.process is not None:
                instance.check_end()
    finally:
        # The log is kept in memory for the report: the directory goes away with the instance.
        for instance in made:
            text = instance.tail(100)
            instance.tail = lambda lines=100, text=text: text
            instance.destroy()


@pytest.fixture
def limpet(limpets):
    """One instance, not yet started."""
    return limpets()


@pytest.fixture
def node():
    """node("22"): the path of that Node version."""
    def find(version):
        path = node_program(version)
        if not os.access(path, os.X_OK):
            pytest.fail(f"Node {version} is not installed: run script/test, "
                        "or npm ci in test/scenario/node")
        return path
    return find
