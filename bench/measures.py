"""Why: each function makes one measurement of one contender and returns plain numbers; which ones,
how often and in what order is bench/run's business, what they mean is report.py's.

SPDX-License-Identifier: ISC
"""
import json
import os
import signal
import subprocess
import tempfile
import time

import processes
from contender import OTHERS_CPU, PORT, Limpet

MICRO = 1e6
CLIENTS = 64


def load_command(programs, pinned=False, **options):
    command = [str(programs['load']), '--target', f'127.0.0.1:{PORT}']
    if pinned:
        command = ['taskset', '-c', ','.join(map(str, OTHERS_CPU))] + command
    for name, value in options.items():
        command += [f'--{name}', str(value)]
    return command


def load(programs, pinned=False, **options):
    """Runs the load to its end; its report."""
    done = subprocess.run(load_command(programs, pinned, **options), stdout=subprocess.PIPE, check=True,
                          stdin=subprocess.DEVNULL)
    return json.loads(done.stdout.splitlines()[-1])


class Background:
    """A load that runs beside the measurement; lines() gives what it has said, report() ends it."""

    def __init__(self, programs, pinned=False, **options):
        self.output = tempfile.TemporaryFile('w+')
        self.process = subprocess.Popen(load_command(programs, pinned, **options), stdout=self.output,
                                        stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.output.close()

    def lines(self):
        self.output.flush()
        text = os.pread(self.output.fileno(), 1 << 24, 0).decode()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]

    def report(self):
        self.process.terminate()
        self.process.wait()
        return self.lines()[-1]


def options_of(contender, mode, clients=CLIENTS):
    return {'mode': mode, 'clients': clients, 'threads': 1 if contender.pinned or clients == 1 else 2}


def new_connections(contender, seconds):
    """A report of the load, and the processor time of the balancer and of its acceptor, in seconds."""
    watched = Watched(contender)
    report = load(contender.programs, contender.pinned, seconds=seconds, **options_of(contender, 'new'))
    return report, watched.used(), report['requests']


def kept_connections(contender, seconds):
    """The same between two moments at which nothing is opened or closed: what comes after the hand-over."""
    settle = 0.3
    with Background(contender.programs, contender.pinned, seconds=seconds + 2 * settle,
                    **options_of(contender, 'keep')) as clients:
        time.sleep(settle)
        watched = Watched(contender)
        time.sleep(seconds)
        used, lasted = watched.used(), watched.lasted()
        clients.process.wait(30)
        report = clients.lines()[-1]
    return report, used, report['requests_per_s'] * lasted


class Watched:
    """Processor time that the balancer, and of Limpet's processes the acceptor, use from now on."""

    def __init__(self, contender):
        balancer = contender.balancer()
        self.groups = balancer, contender.acceptor()
        self.before, self.begun = self.seconds(), time.monotonic()

    def seconds(self):
        return [processes.processor_seconds(group) for group in self.groups]

    def used(self):
        return [now - before for now, before in zip(self.seconds(), self.before)]

    def lasted(self):
        return time.monotonic() - self.begun


def window(contender, mode, seconds):
    """Rate, latency, and processor time of the balancer for each operation (µs) and of one processor."""
    measure = {'new': new_connections, 'keep': kept_connections}[mode]
    report, (balancer, acceptor), operations = measure(contender, seconds)
    if not report['requests']:
        raise RuntimeError(f'{contender.name}: nothing was answered: {report}')
    return {'rate': report['requests_per_s'], 'p50': report['p50_us'], 'p99': report['p99_us'],
            'cpu': balancer * MICRO / operations, 'acceptor': acceptor * MICRO / operations,
            'share': balancer / seconds,
            'bad': report['refused'] + report['errors'] + report['hangs']}


def throughput(kind, programs, modes, seconds, pinned=False):
    """Mode -> window, of one fresh and then warm contender."""
    with kind(programs, pinned) as contender:
        for mode in ('new', 'keep'):
            load(programs, pinned, seconds=contender.warm_up / 2, **options_of(contender, mode))
        return {mode: window(contender, mode, seconds) for mode in modes}


def backlog(kind, programs, times, connections=2000):
    """Processor time of who accepts per connection when many wait already, in µs, each time anew."""
    costs = []
    with kind(programs) as balancer:
        load(programs, mode='new', seconds=0.4)
        acceptor, = balancer.acceptor()
        for _ in range(times):
            os.kill(acceptor, signal.SIGSTOP)
            with Background(programs, mode='new', count=connections, clients=connections) as clients:
                processes.wait_until(lambda: processes.backlog(PORT) >= connections, 10, 'clients wait')
                before = processes.processor_seconds([acceptor])
                os.kill(acceptor, signal.SIGCONT)
                clients.process.wait(30)
                report = clients.lines()[-1]
            if report['requests'] != connections:
                raise RuntimeError(f'backlog: not all answered: {report}')
            costs.append((processes.processor_seconds([acceptor]) - before) * MICRO / connections)
    return costs


def memory(programs, each=5000):
    """Resident memory of Limpet's processes with none, `each` and twice `each` idle connections."""
    steps = []
    with Limpet(programs) as limpet:
        def note():
            time.sleep(0.5)  # answered is not yet tidied up: give the acceptor its turn
            steps.append({role: processes.resident(pid) for role, pid in limpet.roles().items()})

        note()
        with Background(programs, mode='hold', clients=each, seconds=120) as first:
            processes.wait_until(first.lines, 60, 'the first half of the connections is held')
            note()
            with Background(programs, mode='hold', clients=each, seconds=120, first=5000) as second:
                processes.wait_until(second.lines, 60, 'the second half of the connections is held')
                note()
                if first.report()['errors'] + second.report()['errors']:
                    raise RuntimeError('memory: idle connections were lost')
    return {'each': each, 'steps': steps}


def respawns(programs):
    """kill -9 of each worker once, under light load: how long until its clients are served again."""
    kills = []
    with Limpet(programs) as limpet:
        with Background(programs, mode='watch', clients=40, pause=0.01, patience=2, seconds=60) as watch:
            processes.wait_until(lambda: len(watch.lines()) >= 40, 10, 'all clients were served once')
            for worker in limpet.workers():
                kills.append((worker, time.monotonic_ns()))
                os.kill(worker, signal.SIGKILL)
                processes.wait_until(lambda: any(line['from'] == str(worker) for line in watch.lines()), 10,
                                     'the clients of a killed worker are served again')
                time.sleep(0.2)
            report = watch.report()
            changes = [line for line in watch.lines()[:-1] if line['from']]
    killed_at = {str(worker): at for worker, at in kills}
    moved = [line for line in changes
             if line['to'] in killed_at or line['answered_ns'] < killed_at.get(line['from'], float('inf'))]
    back = [min(line['answered_ns'] for line in changes if line['from'] == worker) - at
            for worker, at in killed_at.items()]
    return {'back_ms': [ns / 1e6 for ns in back], 'hangs': report['hangs'], 'errors': report['errors'],
            'moved': len(moved)}


def start_up(programs):
    """From the start of the program to the first client, in ms; memory of each role when it has settled."""
    with Background(programs, mode='watch', clients=1, pause=0.05, seconds=60) as watch:
        time.sleep(1)  # what ran before is cleared away; the client tries in vain, about twice per millisecond
        begun = time.monotonic_ns()
        with Limpet(programs, complete=False) as limpet:
            first = processes.wait_until(watch.lines, 20, 'a first client is served')[0]
            time.sleep(0.3)
            resident = {role: processes.resident(pid) for role, pid in limpet.roles().items()}
    return {'accepted_ms': (first['begun_ns'] - begun) / 1e6,
            'answered_ms': (first['answered_ns'] - begun) / 1e6, 'resident': resident}
