"""Why: what one run of bench/run measures, of whom and in which order: hand-overs, relays, or TLS.
Each programme has the file that it fills, prepare(), one_round() and text().

SPDX-License-Identifier: ISC
"""
import sys

import contender
import contender_relay as relay
import contender_tls as tls
import measures
import measures_relay
import report
import report_relay


def say(words):
    print(words, file=sys.stderr, flush=True)


class Programme:
    title = ''
    command = ''  # as it is started
    file = ''
    about = ''  # a sentence more on what is measured
    peers = ('HAProxy', 'nginx')  # whose versions are named

    def __init__(self, found, quick):
        self.found, self.quick = found, quick

    def prepare(self):
        """Once, before the first round."""

    def one_round(self, seconds):
        raise NotImplementedError

    def text(self):
        raise NotImplementedError


class HandOver(Programme):
    title = 'Results'
    command = 'bench/run'
    file = 'RESULTS.md'
    peers = ('HAProxy', 'nginx', 'Node')

    # (layout, modes, contenders in the order of a round)
    PLAN = (
        ('P', ('new',), (contender.Limpet, contender.Bare, contender.Haproxy, contender.Nginx,
                         contender.LimpetNode, contender.BareNode, contender.NodeCluster)),
        ('U', ('new', 'keep'), (contender.Limpet, contender.Bare, contender.Reuseport, contender.Haproxy,
                                contender.Nginx, contender.LimpetNode, contender.BareNode, contender.NodeCluster)),
    )

    def __init__(self, found, quick):
        super().__init__(found, quick)
        self.results = report.Results()

    def prepare(self):
        # First: bind(2) looks through the TIME_WAIT sockets of its port, and a round leaves tens of thousands.
        self.results.starts += [measures.start_up(self.found) for _ in range(3 if self.quick else 10)]

    def one_round(self, seconds):
        results = self.results
        for layout, modes, kinds in self.PLAN:
            for kind in kinds:
                samples = measures.throughput(kind, self.found, modes, seconds, pinned=layout == 'P')
                for mode, sample in samples.items():
                    results.add(layout, mode, kind.name, sample)
                    say(f'  {layout} {mode:4} {kind.name:13} {sample["rate"]:9,.0f}/s  '
                        f'{sample["cpu"]:7.2f} µs  failed {sample["bad"]}')
        for kind in (contender.Limpet, contender.Bare):
            results.backlogs.setdefault(kind.name, []).append(measures.backlog(kind, self.found, 3))
        results.memories.append(measures.memory(self.found))
        results.respawns.append(measures.respawns(self.found))

    def text(self):
        return report.text(self.results)


def select(operations, *words):
    return {word: operations[word] for word in words}


class Between(Programme):
    """Of balancers that stay in between. plan(): (layout, operations, contenders) in the order of a round."""

    idle = ()  # contenders whose idle connections are measured

    def __init__(self, found, quick):
        super().__init__(found, quick)
        self.results = report_relay.RelayResults()
        self.operations = {}  # of all that was measured, in order

    def plan(self):
        raise NotImplementedError

    def one_round(self, seconds):
        for layout, operations, kinds in self.plan():
            self.operations.update(operations)
            for kind in kinds:
                samples = measures_relay.throughput(kind, self.found, operations, seconds, pinned=layout == 'P')
                for word, sample in samples.items():
                    self.note(layout, word, kind.name, sample)
        for kind in self.idle:
            sample = measures_relay.memory(kind, self.found)
            self.results.memories.setdefault(kind.name, []).append(sample)
            say(f'  P idle            {kind.name:24} {sample["each"]:9,.0f} bytes')

    def note(self, layout, word, name, sample):
        self.results.add(layout, word, name, sample)
        bulk = self.operations[word].bulk
        unit, scale = ('s', 'GB/s') if bulk else ('µs', '/s')
        say(f'  {layout} {word:14} {name:24} {sample["rate"]:10,.{2 if bulk else 0}f}{scale:5}'
            f'{sample["cpu"]:9.3f} {unit:3} p99 {sample["p99"]:9,.0f} µs  failed {sample["bad"]}')

    def budgets(self):
        raise NotImplementedError

    def text(self):
        return report_relay.text(self.budgets(), self.results, self.operations)


class Relay(Between):
    title = 'Results of relays'
    command = 'bench/run relay'
    file = 'RELAY.md'
    about = ('HAProxy in tcp mode with balance source; its splice is option splice-request and splice-response, '
             'because splice-auto changes nothing here. '
             f'Idle connections: {measures_relay.IDLE:,} in layout P, RSS of all processes of the balancer.\n')
    idle = (relay.LimpetProxy, relay.LimpetProxyUnix, relay.HaproxyRelay, relay.NginxRelay)

    def plan(self):
        known = measures_relay.PLAIN
        return (
            ('P', known, (relay.LimpetProxy, relay.HaproxyRelay, relay.LimpetProxyUnix, relay.HaproxyUnix,
                          relay.NginxRelay)),
            ('P', select(known, 'bulk 1', 'bulk 8'), (relay.HaproxySplice,)),
            ('U', select(known, 'new', 'keep', 'keep 512'),
             (relay.LimpetProxy, relay.HaproxyRelay2, relay.LimpetProxyUnix, relay.HaproxyUnix2, relay.HaproxyRelay,
              relay.NginxRelay2, relay.NginxRelay)),
        )

    def budgets(self):
        return (report_relay.relayed(self.results) + report_relay.bulk(self.results) +
                report_relay.idle(self.results, 'relayed plain', 512))


class Tls(Between):
    title = 'Results of TLS'
    command = 'bench/run tls'
    file = 'TLS.md'
    about = ('TLS 1.3, TLS_AES_128_GCM_SHA256, X25519; certificates ECDSA P-256 (EC) and RSA-2048; keep-alive and bulk '
             'with EC. hitch knows one backend: its workers share a port. '
             f'Idle connections: {measures_relay.IDLE:,} in layout P, RSS of all processes of the balancer.\n')
    peers = ('HAProxy', 'nginx', 'hitch', 'OpenSSL')
    idle = (tls.LimpetTls, tls.HaproxyTls, tls.NginxTls, tls.Hitch)

    def plan(self):
        known = measures_relay.TLS
        alone = (tls.LimpetTls, tls.HaproxyTls, tls.LimpetTlsUnix, tls.NginxTls, tls.Hitch)
        shakes = {key: {f'{word} {key}': known[word] for word in ('full', 'resumed')} for key in tls.KEYS}
        traffic = select(known, 'keep', 'keep 512', 'bulk 1', 'bulk 8')
        return (
            ('P', {**shakes['EC'], **traffic}, alone),
            ('P', shakes['RSA'], [tls.with_key(kind, 'RSA') for kind in alone]),
            ('U', {**shakes['EC'], **select(traffic, 'keep', 'keep 512')},
             (tls.LimpetTls, tls.HaproxyTls2, tls.LimpetTlsUnix, tls.Hitch2, tls.NginxTls2)),
        )

    def budgets(self):
        return report_relay.handshakes(self.results) + report_relay.idle(self.results, 'TLS', 16 << 10)


PROGRAMMES = {'': HandOver, 'relay': Relay, 'tls': Tls}
