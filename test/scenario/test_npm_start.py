"""Worry: `npm start` as the command. npm would stand between Limpet and Node: it closes the descriptors that Node needs, swallows
signals and doubles the memory. What the user means is the program that the script starts.

So the script's own program is started in its place, and said so; a script that only a shell can run is refused with a sentence
that says what to write. SPDX-License-Identifier: ISC
"""
import json
import os

import psutil
import pytest

from client import http_get
from limpet import client_address, free_port
from node_apps import need_node

SERVER = """
const http = require('http');
http.createServer((request, response) => response.end(JSON.stringify({
  slot: Number(process.env.LIMPET_SLOT), pid: process.pid, arguments: process.argv.slice(2), mode: process.env.MODE
}))).listen(process.env.PORT || 3000);
"""


@pytest.fixture
def package(limpet):
    """A function that makes a package with these scripts, and node in PATH; returns (directory, environment)."""
    def make(**scripts):
        directory = limpet.path("package")
        os.mkdir(directory)
        limpet.write("package/server.js", SERVER)
        limpet.write("package/package.json", json.dumps({"name": "shop", "version": "1.0.0", "scripts": scripts}))
        return directory, {"PATH": os.path.dirname(need_node()) + ":" + os.environ["PATH"]}
    return make


def config(port, directory, command, more=""):
    return f"""
[limpet]
drain_timeout = 1s
[listen:web]
bind = 127.0.0.1:{port}
[pool:web]
command = {command}
directory = {directory}
instances = 2
{more}"""


@pytest.mark.parametrize("command, script, arguments, mode", [
    ("npm start", "node server.js", [], None),
    ("npm run start", "MODE=fast node server.js --verbose", ["--verbose"], "fast"),
    ("npm start -- --extra", "node server.js", ["--extra"], None),
    ("yarn start", "cross-env MODE=slow node server.js 'two words'", ["two words"], "slow"),
    ("pnpm start", "node ./server.js 100%", ["100%"], None),
])
def test_the_script_s_program_is_started(limpet, package, command, script, arguments, mode):
    """Node itself is our child, so each client keeps his worker; nothing of npm runs."""
    directory, env = package(start=script)
    port = free_port()
    limpet.start(config(port, directory, command), env=env)
    assert limpet.log_lines(f'instead of "{command}" its program is started: node ')
    answers = [http_get(port, source=client_address(n)) for n in range(12) for _ in range(2)]
    assert {answer["pid"] for answer in answers} == set(limpet.workers().values())
    assert all(first["pid"] == second["pid"] for first, second in zip(answers[::2], answers[1::2]))
    assert {json.dumps(answer["arguments"]) for answer in answers} == {json.dumps(arguments)}
    assert {answer.get("mode") for answer in answers} == {mode}
    assert {child.name() for child in limpet.children()} == {"limpet-acceptor", "limpet-warden", "node"}
    for pid in limpet.workers().values():
        assert os.path.realpath(psutil.Process(pid).exe()) == os.path.realpath(need_node())


def test_limpet_run_resolves_it_too(limpet, package):
    directory, env = package(start="node server.js")
    port = free_port()
    limpet.start(["run", "-b", f"127.0.0.1:{port}", "-i", "2", "--", "npm", "start"], env=env, cwd=directory)
    assert http_get(port)["pid"] in limpet.workers().values()


NEEDS_SHELL = "needs a shell; write the program itself, such as command = node server.js"


@pytest.mark.parametrize("scripts, command, said", [
    ({"start": "npm run build && node server.js"}, "npm start", NEEDS_SHELL),
    ({"start": "node server.js > log"}, "npm start", NEEDS_SHELL),
    ({"start": "node $MAIN"}, "npm start", NEEDS_SHELL),
    ({"start": "node server.js", "prestart": "node build.js"}, "npm start",
     'has a script that runs before or after "start"; run that at deployment and write the program itself: '
     "command = node server.js"),
    ({"serve": "node server.js"}, "npm start",
     'has no script "start"; write the program itself, such as command = node server.js'),
    ({"start": "node server.js"}, "npm install",
     "npm install starts no worker; write the program itself, such as command = node server.js"),
])
def test_what_cannot_be_resolved_is_refused(limpet, package, scripts, command, said):
    """Exit code 2 with file and line, before anything is started."""
    directory, env = package(**scripts)
    done = limpet.run("-c", limpet.write_config(config(free_port(), directory, command)), env=env)
    assert done.returncode == 2
    assert said in done.stderr, done.stderr
    assert f"limpet.ini:7: command = {command}: " in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not limpet.processes()


def test_shell_on_is_taken_at_its_word(limpet, package):
    """Whoever writes shell = on gets his shell, and the application behind `exec` its clients."""
    directory, env = package()
    port = free_port()
    text = config(port, directory, "cd . && exec node server.js", "shell = on\ndelivery = node")
    limpet.start(text, env=env)
    assert http_get(port)["pid"] in limpet.workers().values()
