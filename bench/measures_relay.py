"""Why: the measurements of balancers that stay between client and worker: what each operation costs
them, and what an idle connection holds. Plain numbers only, as in measures.py.

SPDX-License-Identifier: ISC
"""
import time

import measures
import processes

IDLE = 9000
OPENING = 128  # connections of the memory measurement that may be on their way at a time
SETTLE = 1.0
SETTLE_MOST = 30
GIGA = 1e9
RESUMED_LEAST = 0.98


def settled_load(contender, seconds, options):
    """The report of a load from when it has settled, the processor time of the balancer, and for how
    long that was measured."""
    with measures.Background(contender.programs, contender.pinned, seconds=SETTLE_MOST + seconds, **options) as clients:
        processes.wait_until(lambda: len(clients.lines()) == options['threads'], SETTLE_MOST,
                             f'{contender.name} has answered every client')
        watched = measures.Watched(contender)
        time.sleep(seconds)
        (used, _), lasted = watched.used(), watched.lasted()
        report = clients.report()
    return report, used, lasted


class Operation:
    """What the load does and how it is counted. `settle`: from how many seconds after its start, and when
    every client has been answered, of a long answer with its beginning."""

    def __init__(self, text, settle, bulk=False, clients=measures.CLIENTS, **options):
        self.text, self.settle, self.bulk, self.clients, self.options = text, settle, bulk, clients, options

    def run(self, contender, seconds, tls):
        """The report of the load, operations per second, and the balancer's processor seconds for each."""
        options = {**measures.options_of(contender, self.options['mode'], self.clients), 'patience': 15, **tls,
                   'settle': self.settle, **self.options}
        report, used, lasted = settled_load(contender, seconds, options)
        rate = report['bytes_per_s'] / GIGA if self.bulk else report['requests_per_s']
        if not rate:
            raise RuntimeError(f'{contender.name}: {self.text}: nothing was answered: {report}')
        return report, rate, used / (rate * lasted)


# In the order of a contender's measurements.
PLAIN = {
    'new': Operation('new connection', settle=0.2, mode='new'),
    'keep': Operation('keep-alive request', settle=0.4, mode='keep'),
    'keep 512': Operation('keep-alive request, 512 connections', settle=0.6, clients=512, mode='keep'),
    'bulk 1': Operation('GB, 1 stream', settle=0.3, bulk=True, clients=1, mode='bulk'),
    'bulk 8': Operation('GB, 8 streams', settle=0.3, bulk=True, clients=8, mode='bulk'),
}
TLS = {
    'full': Operation('full handshake and request', settle=0.6, mode='new', tls='full'),
    'resumed': Operation('resumed handshake and request', settle=0.6, mode='new', tls='resumed'),
    'keep': Operation('keep-alive request', settle=0.6, mode='keep'),
    'keep 512': Operation('keep-alive request, 512 connections', settle=0.6, clients=512, mode='keep'),
    **{word: PLAIN[word] for word in ('bulk 1', 'bulk 8')},
}


def tls_of(contender):
    return {'tls': 'full'} if contender.tls else {}


def check(contender, word, report):
    """A figure of another kind of handshake would be worth nothing."""
    kind = word.split()[0]
    if kind == 'resumed' and report['resumed'] < RESUMED_LEAST * report['handshakes']:
        raise RuntimeError(f'{contender.name}: handshakes are not resumed: {report}')
    if kind == 'full' and report['resumed']:
        raise RuntimeError(f'{contender.name}: handshakes are resumed: {report}')


def window(contender, word, operation, seconds):
    """Rate (per second), latency (µs), and processor time of the balancer for each operation: µs, or
    seconds for each GB."""
    report, rate, cost = operation.run(contender, seconds, tls_of(contender))
    check(contender, word, report)
    return {'rate': rate, 'p50': report['p50_us'], 'p99': report['p99_us'],
            'cpu': cost * (1 if operation.bulk else measures.MICRO),
            'bad': report['refused'] + report['errors'] + report['hangs']}


def warm_up(contender):
    for mode in ('new', 'keep'):
        measures.load(contender.programs, contender.pinned, seconds=contender.warm_up / 2, **tls_of(contender),
                      **measures.options_of(contender, mode))


def throughput(kind, programs, operations, seconds, pinned):
    """Word -> window, of one fresh and then warm contender."""
    with kind(programs, pinned) as contender:
        warm_up(contender)
        return {word: window(contender, word, operation, seconds) for word, operation in operations.items()}


def memory(kind, programs, connections=IDLE):
    """Resident memory of the balancer's processes when warm, and with so many idle connections."""
    with kind(programs, pinned=True) as contender:
        warm_up(contender)
        time.sleep(SETTLE)
        before = sum(map(processes.resident, contender.balancer()))
        with measures.Background(programs, mode='hold', clients=connections, opening=OPENING, seconds=300,
                                 patience=30, **tls_of(contender)) as clients:
            held = processes.wait_until(clients.lines, 120, f'{contender.name} holds {connections} connections')
            time.sleep(SETTLE)  # what has been answered is tidied up
            after = sum(map(processes.resident, contender.balancer()))
            report = clients.report()
        if held != [{'held': connections}] or report['errors'] + report['hangs']:
            raise RuntimeError(f'{contender.name}: idle connections were lost: {held} {report}')
    return {'before': before, 'after': after, 'each': (after - before) / connections}
