"""Why: whoever writes a wrong configuration must be told so at once, in a sentence that names the line
and what to write, before anything was started, opened or created.

The table is wrong_config.txt. For each block: `limpet -t -c wrong.ini` prints exactly that sentence and
ends with 2; `limpet -c wrong.ini` does the same, and leaves no file, socket or process behind.
SPDX-License-Identifier: ISC
"""
import os
import pathlib
import subprocess

import psutil
import pytest

from limpet import BINARY

TABLE = pathlib.Path(__file__).with_name("wrong_config.txt")
MARK = "LIMPET_TEST_WRONG_CONFIG"


def blocks():
    for block in TABLE.read_text().split("\n== ")[1:]:
        title, rest = block.split("\n", 1)
        lines, sentence = rest.rsplit("\n=> ", 1) if "\n=> " in rest else ("", rest.removeprefix("=> "))
        yield pytest.param(lines, sentence.strip(), id=title.replace(" ", "_"))


def run(directory, *arguments):
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), MARK: str(directory),
                   "STATE_DIRECTORY": str(directory / "state"), "RUNTIME_DIRECTORY": str(directory / "run")}
    environment.update({name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ})
    return subprocess.run([BINARY, *arguments], cwd=directory, env=environment, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def left_behind(directory):
    """Processes of this test, told by what they inherited."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(directory):
                found.append(process)
        except psutil.Error:
            pass
    return found


@pytest.mark.parametrize("lines, sentence", blocks())
def test_the_sentence_is_exact_and_nothing_is_started(tmp_path, lines, sentence):
    (tmp_path / "wrong.ini").write_text(lines + "\n" if lines else "")
    for arguments in (["-t", "-c", "wrong.ini"], ["-c", "wrong.ini"]):
        result = run(tmp_path, *arguments)
        assert result.stderr == f"limpet: {sentence}\n"
        assert result.stdout == ""
        assert result.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.ini"]
    assert left_behind(tmp_path) == []


def test_the_table_is_not_empty():
    assert len(list(blocks())) >= 60


def test_a_good_file_is_called_good(tmp_path):
    (tmp_path / "good.ini").write_text("[pool:web]\ncommand = node app.js\n[listen:http]\nbind = :3000\n")
    result = run(tmp_path, "-t", "-c", "good.ini")
    assert (result.stderr + result.stdout).strip() == "limpet: configuration good.ini is good"
    assert result.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["good.ini"]


def test_what_is_printed_is_read_back(tmp_path):
    (tmp_path / "good.ini").write_text(
        "[limpet]\nlog_file = ${:- }$${x\n[pool:web]\ncommand = node 'a b.js' %i %%\nweight = 0:2\nweight = 1:0.1\n"
        "instances = 3\nenvironment = A=1\nenvironment = B= two  words\n[listen:http]\nbind = :3000\nbind = unix:/a b\n")
    first = run(tmp_path, "-T", "-c", "good.ini")
    assert first.returncode == 0, first.stderr
    text = first.stdout[first.stdout.index("[limpet]"):]
    (tmp_path / "again.ini").write_text(text)
    again = run(tmp_path, "-T", "-c", "again.ini")
    assert again.returncode == 0, again.stderr
    assert again.stdout[again.stdout.index("[limpet]"):] == text
