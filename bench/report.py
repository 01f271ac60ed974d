"""Why: from the numbers of all rounds to sentences: medians, their ratios, and each budget with its
target beside it. Nothing is measured here.

SPDX-License-Identifier: ISC
"""
from statistics import median

MEBI = 1 << 20


class Budget:
    """One line of the table. `target` is a bound; `least` says that it is the lower one."""

    def __init__(self, number, text, value, target, form='{:.2f}', least=False):
        self.number, self.text, self.value, self.target = number, text, value, target
        self.form, self.least = form, least

    def met(self):
        return self.value >= self.target if self.least else self.value <= self.target

    def cells(self):
        sign = '>=' if self.least else '<='
        return [self.number, self.text, self.form.format(self.value),
                f'{sign} {self.form.format(self.target)}', 'yes' if self.met() else '**no**']


class Results:
    """All samples: throughput[layout, mode][contender] is a list of one dictionary per round."""

    def __init__(self):
        self.throughput = {}
        self.backlogs, self.memories, self.respawns, self.starts = {}, [], [], []

    def add(self, layout, mode, name, sample):
        self.throughput.setdefault((layout, mode), {}).setdefault(name, []).append(sample)

    def median(self, layout, mode, name, figure):
        return median(sample[figure] for sample in self.throughput[layout, mode][name])

    def backlog(self, name):
        """Medians: of the first backlog of a fresh process, and of those after it."""
        runs = self.backlogs[name]
        return median(costs[0] for costs in runs), median(cost for costs in runs for cost in costs[1:])

    def ratio(self, layout, mode, figure, name, other):
        return self.median(layout, mode, name, figure) / self.median(layout, mode, other, figure)


def hand_over(results):
    def ratio(layout, other):
        return results.ratio(layout, 'new', 'acceptor', 'Limpet, fd', other)

    lines = [Budget('P1', f'fd: acceptor CPU per connection, of {other}\'s, layout {layout}', ratio(layout, other),
                    1 / 6, '{:.3f}') for layout in 'PU' for other in ('HAProxy', 'nginx stream')]
    lines += [Budget('own', f'fd: acceptor CPU per connection, of a bare hand-over\'s, layout {layout}',
                     ratio(layout, 'bare hand-over'), 1.25) for layout in 'PU']
    first, again = results.backlog('Limpet, fd')
    floor_first, floor_again = results.backlog('bare hand-over')
    return lines + [
        Budget('P1', 'fd: acceptor CPU per connection, layout U, µs',
               results.median('U', 'new', 'Limpet, fd', 'acceptor'), 12, '{:.1f}'),
        Budget('P1', 'fd: the same with a backlog of 2,000, the first of a fresh process, µs', first, 6, '{:.1f}'),
        Budget('own', 'fd: of a bare hand-over\'s', first / floor_first, 1.5),
        Budget('P1', 'fd: the same with a backlog of 2,000, again, µs', again, 6, '{:.1f}'),
        Budget('own', 'fd: of a bare hand-over\'s', again / floor_again, 1.5)]


def whole_machine(results):
    targets = {'SO_REUSEPORT': 0.92, 'HAProxy': 1.7, 'nginx stream': 1.7, 'Node cluster': 4.5}
    return [Budget('P2', f'fd, C workers: connections/s, of {other}\'s',
                   results.ratio('U', 'new', 'rate', 'Limpet, fd', other), target, least=True)
            for other, target in targets.items()]


def node(results):
    lines = [Budget('P3', 'node: connections/s, of Node\'s own cluster',
                    results.ratio('U', 'new', 'rate', 'Limpet, node', 'Node cluster'), 1.25, least=True)]
    for layout in 'PU':
        lines += [Budget('P3', f'node: acceptor CPU per connection, of Node\'s primary, layout {layout}',
                         results.ratio(layout, 'new', 'acceptor', 'Limpet, node', 'Node cluster'), 0.25),
                  Budget('own', f'node: acceptor CPU per connection, of a bare hand-over\'s, layout {layout}',
                         results.ratio(layout, 'new', 'acceptor', 'Limpet, node', 'bare, Node'), 1.5)]
    return lines


def afterwards(results):
    pairs = (('Limpet, fd', 'SO_REUSEPORT'), ('Limpet, node', 'Node cluster'))
    lines = []
    for name, direct in pairs:
        lines += [Budget('P4', f'{name}: keep-alive requests/s, of {direct}\'s',
                         results.ratio('U', 'keep', 'rate', name, direct), 0.95, least=True),
                  Budget('P4', f'{name}: p99 of a keep-alive request, of {direct}\'s',
                         results.ratio('U', 'keep', 'p99', name, direct), 1 / 0.95),
                  Budget('P4', f'{name}: CPU of all Limpet processes under these requests, % of a processor',
                         100 * results.median('U', 'keep', name, 'share'), 0.1, '{:.3f}')]
    return lines


def memory(results):
    def growth(run):
        return [sum(later.values()) - sum(sooner.values())
                for sooner, later in zip(run['steps'], run['steps'][1:])][-1] / run['each']

    held = 2 * results.memories[0]['each']
    return [Budget('P4', 'memory per idle handed-over connection (all Limpet processes), bytes',
                   median(map(growth, results.memories)), 0, '{:.1f}'),
            Budget('P4', f'RSS of supervisor + acceptor with {held:,} idle connections, MiB',
                   median(run['steps'][-1]['supervisor'] + run['steps'][-1]['acceptor']
                          for run in results.memories) / MEBI, 20, '{:.1f}')]


def respawns(results):
    return [Budget('P11', 'worker killed -9: its clients are served again after, median, ms',
                   median(ms for run in results.respawns for ms in run['back_ms']), 5, '{:.1f}'),
            Budget('P11', 'requests that hang', sum(run['hangs'] for run in results.respawns), 0, '{}'),
            Budget('P11', 'other clients that moved', sum(run['moved'] for run in results.respawns), 0, '{}')]


def start_up(results):
    lines = [Budget('P12', 'start to first accepted client, median, ms',
                    median(run['accepted_ms'] for run in results.starts), 10, '{:.1f}'),
             Budget('P12', 'start to first answered client, median, ms',
                    median(run['answered_ms'] for run in results.starts), 10, '{:.1f}')]
    return lines + [Budget('P12', f'RSS of the {role}, MiB',
                           median(run['resident'][role] for run in results.starts) / MEBI, 4, '{:.1f}')
                    for role in sorted(results.starts[0]['resident'])]


def budgets(results):
    return [line for part in (hand_over, whole_machine, node, afterwards, memory, respawns, start_up)
            for line in part(results)]


def table(head, rows):
    """Markdown that is also readable as it stands."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    lines = [head, ['-' * width for width in widths]] + rows
    return '\n'.join('| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths)) + ' |'
                     for line in lines)


def medians(results):
    """What the ratios were made from."""
    rows = []
    for (layout, mode), contenders in sorted(results.throughput.items(), reverse=True):
        for name, samples in contenders.items():
            middle = {figure: median(sample[figure] for sample in samples) for figure in samples[0]}
            rates = [sample['rate'] for sample in samples]
            rows.append(['new connection' if mode == 'new' else 'keep-alive request', layout, name,
                         f'{middle["rate"]:,.0f}', f'{min(rates):,.0f}-{max(rates):,.0f}',
                         f'{middle["cpu"]:.2f}', f'{middle["p50"]:,.0f}', f'{middle["p99"]:,.0f}',
                         sum(sample['bad'] for sample in samples)])
    return table(['operation', 'layout', 'contender', 'per second', 'lowest-highest',
                  'balancer CPU µs each', 'p50 µs', 'p99 µs', 'failed'], rows)


def notes(results):
    back = sorted(ms for run in results.respawns for ms in run['back_ms'])
    steps = results.memories[-1]['steps']
    return [f'- Respawn: {len(back)} kills, {back[0]:.1f} to {back[-1]:.1f} ms; '
            f'{sum(run["errors"] for run in results.respawns)} requests were cut off because the killed worker '
            'held them.',
            f'- Start: {len(results.starts)} times, first answer after '
            f'{min(run["answered_ms"] for run in results.starts):.1f} to '
            f'{max(run["answered_ms"] for run in results.starts):.1f} ms.',
            '- RSS in KiB with 0, half and all idle connections: '
            + '; '.join(f'{role} ' + ', '.join(f'{step[role] // 1024:,}' for step in steps)
                        for role in steps[0]) + '.']


def text(results):
    lines = budgets(results)
    met = sum(line.met() for line in lines)
    return '\n'.join([table(['budget', 'figure', 'measured', 'target', 'met'], [line.cells() for line in lines]),
                      '', f'{met} of {len(lines)} met.', '', '## Medians', '', medians(results), '',
                      *notes(results), ''])
