"""Why: what all rules share: which files there are, how a fault is told, and how a rule ends.
A rule prints `file:line: what is wrong: what to do` per fault; exit 0 good, 1 faults, 77 cannot be checked.
SPDX-License-Identifier: ISC
"""
import os
import re
import sys

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SKIPPED = 77
_faults = []


def files(*roots, suffixes=("",)):
    """Paths, relative to the top, of the files below the roots, in order."""
    found = []
    for root in roots:
        for directory, names, file_names in os.walk(os.path.join(TOP, root)):
            names[:] = sorted(n for n in names if n not in ("node_modules", "__pycache__", "corpus"))
            found += [os.path.relpath(os.path.join(directory, name), TOP)
                      for name in sorted(file_names) if name.endswith(tuple(suffixes))]
    return found


def c_files(*roots):
    return files(*(roots or ("src", "include")), suffixes=(".c", ".h"))


def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def lines(path):
    """(number, line) pairs, from 1."""
    return enumerate(text(path).splitlines(), 1)


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code(path):
    """The text with comments, string and character constants blanked; lines and columns stay."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', _blank, text(path),
                  flags=re.S)


def fault(path, line, what):
    _faults.append(f"{path}:{line}: {what}")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def done(summary=""):
    """Prints the faults and ends the program."""
    for one in _faults:
        print(one)
    if summary:
        print(summary)
    sys.exit(1 if _faults else 0)
