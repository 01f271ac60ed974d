"""Why: what report.py is for hand-overs, for balancers that stay in between: the budgets P6 to P10, and
the figures that they were made from. Nothing is measured here.

SPDX-License-Identifier: ISC
"""
from statistics import median

from report import Budget, Results, table

PEER = {'P': 'HAProxy', 'U': 'HAProxy, 2 threads'}  # as many threads as Limpet has relays
HITCH = {'P': 'hitch', 'U': 'hitch, 2 workers'}
KIBI = 1 << 10


class RelayResults(Results):
    """Operations are words of measures_relay; `memories` has a list of samples per contender."""

    def __init__(self):
        super().__init__()
        self.memories = {}

    def each(self, name):
        """Bytes of an idle connection."""
        return median(sample['each'] for sample in self.memories[name])


def of(peer):
    """Whose figure it is compared with."""
    name, _, rest = peer.partition(', ')
    return f'of {name}\'s' + (f' ({rest})' if rest else '')


def cpu(results, number, what, layout, word, peer, target, name='Limpet'):
    workers = ', UNIX workers' if name != 'Limpet' else ''
    return Budget(number, f'{what}{workers}, {of(peer)}, layout {layout}',
                  results.ratio(layout, word, 'cpu', name, peer), target)


def relayed(results):
    lines = []
    for number, what, word, tcp, unix in (('P6', 'CPU per new connection', 'new', 0.95, 0.75),
                                          ('P7', 'CPU per keep-alive request', 'keep', 0.90, 0.78)):
        for layout, peer in PEER.items():
            lines += [cpu(results, number, what, layout, word, peer, tcp),
                      cpu(results, number, what, layout, word, peer, unix, 'Limpet, UNIX')]
    return lines + [Budget('P7', f'p99 of a request at 512 connections, {of(peer)}, layout {layout}',
                           results.ratio(layout, 'keep 512', 'p99', 'Limpet', peer), 1)
                    for layout, peer in PEER.items()]


def bulk(results):
    return [cpu(results, 'P8', f'CPU per GB, {streams}', 'P', word, peer, target)
            for word, streams in (('bulk 1', '1 stream'), ('bulk 8', '8 streams'))
            for peer, target in (('HAProxy', 0.25), ('HAProxy, splice', 0.55))]


def handshakes(results):
    lines = []
    for layout, keys in (('P', ('EC', 'RSA')), ('U', ('EC',))):
        for key in keys:
            for kind, unix in (('full', 0.85), ('resumed', 0.80)):
                what, word = f'CPU per {kind} handshake and request, {key}', f'{kind} {key}'
                lines += [cpu(results, 'P10', what, layout, word, PEER[layout], 0.9),
                          cpu(results, 'P10', what, layout, word, HITCH[layout], 1.0),
                          cpu(results, 'P10', what, layout, word, PEER[layout], unix, 'Limpet, UNIX')]
    return lines


def idle(results, what, target):
    return [Budget('P9', f'memory per idle {what} connection, bytes', results.each('Limpet'), target, '{:,.0f}')]


def row(operation, word, layout, name, samples):
    """`operation` as in measures_relay; its row of the table of medians."""
    middle = {figure: median(sample[figure] for sample in samples) for figure in samples[0]}
    rates = [sample['rate'] for sample in samples]
    rate, cost = ('{:.2f}', '{:.3f} s') if operation.bulk else ('{:,.0f}', '{:.2f} µs')
    key = [part for part in word.split() if part.isupper()]
    return [', '.join([operation.text] + key), layout, name, rate.format(middle['rate']),
            f'{rate.format(min(rates))}-{rate.format(max(rates))}', cost.format(middle['cpu']),
            *('-' if operation.bulk else f'{middle[figure]:,.0f}' for figure in ('p50', 'p99')),
            sum(sample['bad'] for sample in samples)]


def medians(results, operations):
    rows = [row(operations[word], word, layout, name, samples)
            for layout in 'PU' for word in operations
            for name, samples in results.throughput.get((layout, word), {}).items()]
    return table(['operation', 'layout', 'contender', 'per second', 'lowest-highest', 'balancer CPU each',
                  'p50 µs', 'p99 µs', 'failed'], rows)


def memories(results):
    rows = [[name, f'{results.each(name):,.0f}', f'{median(sample["before"] for sample in samples) / KIBI:,.0f}',
             f'{median(sample["after"] for sample in samples) / KIBI:,.0f}']
            for name, samples in results.memories.items()]
    return table(['contender', 'bytes per idle connection', 'RSS before, KiB', 'RSS with all, KiB'], rows)


def text(lines, results, operations):
    """`lines` are budgets; `operations` word -> Operation, in the order of the table."""
    met = sum(line.met() for line in lines)
    return '\n'.join([table(['budget', 'figure', 'measured', 'target', 'met'], [line.cells() for line in lines]),
                      '', f'{met} of {len(lines)} met.', '', '## Medians', '', medians(results, operations), '',
                      '## Idle connections', '', memories(results), ''])
