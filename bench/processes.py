"""Why: what the kernel tells about processes: which ones belong together, the processor time they
used, their memory, and where they may run. Times are seconds, sizes bytes.

SPDX-License-Identifier: ISC
"""
import os
import pathlib
import time

PROC = pathlib.Path('/proc')


def children(pid):
    """Direct children of all threads of a process."""
    found = []
    for task in PROC.glob(f'{pid}/task/*'):
        try:
            found += [int(word) for word in (task / 'children').read_text().split()]
        except OSError:
            pass  # it ended while we looked
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def arguments(pid):
    """argv of a process; empty when it has ended."""
    try:
        return (PROC / str(pid) / 'cmdline').read_bytes().decode(errors='replace').split('\0')[:-1]
    except OSError:
        return []


def processor_seconds(pids):
    """Time on a processor, of all threads that still live: user and kernel, soft interrupts included."""
    total = 0
    for pid in pids:
        tasks = list(PROC.glob(f'{pid}/task/*'))
        if not tasks:
            raise RuntimeError(f'process {pid} ended during the measurement')
        total += sum(int((task / 'schedstat').read_text().split()[0]) for task in tasks)
    return total / 1e9


def machine_busy(seconds):
    """Share of all processors that somebody uses during this time."""
    def ticks():
        fields = [int(word) for word in (PROC / 'stat').read_text().splitlines()[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = ticks()
    time.sleep(seconds)
    total_after, idle_after = ticks()
    return 1 - (idle_after - idle) / (total_after - total)


def resident(pid):
    for line in (PROC / str(pid) / 'status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f'process {pid} has no VmRSS: it has ended')


def pin(pids, processors):
    for pid in pids:
        for task in PROC.glob(f'{pid}/task/*'):
            os.sched_setaffinity(int(task.name), processors)


def backlog(port):
    """Connections that wait in the backlog of a listening IPv4 socket."""
    for line in (PROC / 'self/net/tcp').read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == '0A' and int(fields[1].split(':')[1], 16) == port:
            return int(fields[4].split(':')[1], 16)
    return 0


def wait_until(condition, seconds, what):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f'not within {seconds} s: {what}')
        time.sleep(0.002)
