"""Why: the workers that come with Limpet, the demo and the examples, as commands ready to run: built where they
need it, named once for all tests.
SPDX-License-Identifier: ISC
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"
LIMPET = os.environ.get("LIMPET", str(TOP / "build" / "limpet"))

# Those that speak the contract of limpet_worker(3), and how they are run.
LINK_EXAMPLES = ("c", "asyncio", "threads", "ruby", "go", "node")


def need(program):
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def build(directory, *command):
    output = directory / f"hello-{pathlib.Path(command[-1]).suffix[1:]}"
    if not output.exists():
        part = output.with_suffix(f".{os.getpid()}")
        environment = dict(os.environ, GOCACHE=os.environ.get("GOCACHE", str(directory / "go-cache")))
        subprocess.run([arg.format(output=part) for arg in command], check=True, env=environment, timeout=300)
        part.rename(output)
    return [str(output)]


def command_of(name, directory):
    """argv of a worker; `directory` is where it may be built."""
    if name == "demo":
        return [LIMPET, "@demo"]
    if name == "c":
        return build(directory, need("cc"), "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{TOP}/include", "-o",
                     "{output}", str(EXAMPLES / "c" / "hello.c"))
    if name == "go":
        return build(directory, need("go"), "build", "-o", "{output}", str(EXAMPLES / "go" / "hello.go"))
    if name == "ruby":
        return [need("ruby"), str(EXAMPLES / "ruby" / "hello.rb")]
    if name == "node":
        return [need("node"), str(EXAMPLES / "node" / "plain.js")]
    return [sys.executable, str(EXAMPLES / "python" / f"{name}_hello.py")]
